"""The `effkit` command."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from effkit.course.commands import collect, doctor, grade, rejudge, release, report
from effkit.course.errors import CourseError
from effkit.profiling import command as profile_command

# Each module has add(commands) and run(options); NEEDS_COURSE = False in one that works outside a course folder.
_COMMANDS: dict[str, Any] = {
    "collect": collect,
    "doctor": doctor,
    "grade": grade,
    "rejudge": rejudge,
    "release": release,
    "report": report,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 all is well, 1 somebody must look, 2 it could not be done."""
    parser = argparse.ArgumentParser(prog="effkit", description="Profile a model; in the course folder, build and grade.")
    parser.add_argument("--course", type=Path, default=Path(), metavar="FOLDER", help="the course folder (default: here)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    notebooks = commands.add_parser(
        "notebooks", help="generate solutions/, labs/ and lectures/ notebooks from their sources"
    )
    notebooks.add_argument("--check", action="store_true", help="write nothing; fail if a notebook differs from its source")
    notebooks.add_argument("--force", action="store_true", help="replace notebooks with uncommitted work, keeping a .bak")
    notebooks.add_argument("--rerun", action="store_true", help="run every lecture again, also if its source did not change")
    profile_command.add(commands)
    for module in _COMMANDS.values():
        module.add(commands)
    options = parser.parse_args(arguments)
    if options.command == "profile":
        return profile_command.run(options)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a student's file may have any name
    own = _COMMANDS.get(options.command)
    for needed in ("nbgrader_config.py", "pyproject.toml") if getattr(own, "NEEDS_COURSE", True) else ():
        if not (options.course / needed).is_file():
            parser.exit(2, f"effkit: {options.course.resolve()} is not a course folder: it has no {needed}\n")
    try:
        return own.run(options) if own else _notebooks(options)
    except ModuleNotFoundError as missing:
        print(
            f"effkit: {missing.name} is not installed; install the course tools: pip install 'effkit[course]'",
            file=sys.stderr,
        )
    except CourseError as problem:
        print(f"effkit: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        print("effkit: interrupted; what was graded so far is in the gradebook, and running again is safe", file=sys.stderr)
        return 130
    except OSError as problem:
        print(f"effkit: cannot use {problem.filename}: {problem.strerror}", file=sys.stderr)
    return 2


def _notebooks(options: argparse.Namespace) -> int:
    from effkit.course.notebooks import build, stale, to_run, write
    from effkit.course.source import Course

    course = Course.read(options.course)
    built = build(course, rerun=options.rerun and not options.check)
    if options.check:
        outdated = stale(course, built)
        for path in outdated:
            print(f"{path} differs from its source: run `make notebooks`")
        return 1 if outdated else 0
    for path in to_run(course, built):
        print(f"{path} has to be run, which takes up to half a minute", flush=True)
    try:
        written = write(course, built, force=options.force)
    except KeyboardInterrupt:
        print("effkit: interrupted; nothing was written", file=sys.stderr)
        return 130
    for path in written:
        print(f"wrote {path}")
    print(f"{len(written)} of {len(built)} notebooks changed")
    return 0
