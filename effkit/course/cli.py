"""The `effkit` command."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from effkit.profiling import command as profile_command


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
    grading = commands.add_parser("grade", help="grade every submission of a lab in submitted/")
    grading.add_argument("lab", help="the lab's name, for example lab2_parameters")
    grading.add_argument(
        "--seed", type=_seed, metavar="N", help="the seed of the random cases (default: a new one each run)"
    )
    profile_command.add(commands)
    options = parser.parse_args(arguments)
    if options.command == "profile":
        return profile_command.run(options)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a student's file may have any name
    try:
        from effkit.course.nbgrader_api import CourseError
    except ModuleNotFoundError as missing:
        parser.exit(2, f"effkit: {missing.name} is not installed; install the course tools: pip install 'effkit[course]'\n")
    for needed in ("nbgrader_config.py", "pyproject.toml"):
        if not (options.course / needed).is_file():
            parser.exit(2, f"effkit: {options.course.resolve()} is not a course folder: it has no {needed}\n")
    try:
        return _notebooks(options) if options.command == "notebooks" else _grade(options)
    except CourseError as problem:
        print(f"effkit: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        print("effkit: interrupted; what was graded so far is in the gradebook, and running again is safe", file=sys.stderr)
        return 130
    except OSError as problem:
        print(f"effkit: cannot use {problem.filename}: {problem.strerror}", file=sys.stderr)
    return 2


def _seed(argument: str) -> int:
    """Return a seed that also the kernel can read from its environment."""
    if not argument.isdecimal() or int(argument) >= 2**31:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to {2**31 - 1}, not {argument!r}")
    return int(argument)


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


def _grade(options: argparse.Namespace) -> int:
    from effkit.course.grade import grade, misplaced, quieten

    quieten()
    rows = grade(options.course, options.lab, seed=options.seed)
    left_out = [row for row in rows if row.status in ("not graded", "no feedback")]
    for row in left_out:
        print(f"{row.status.upper()} {row.student}: {row.reasons}", file=sys.stderr)
    lost = misplaced(options.course)
    for path in lost:
        print(f"LEFT OUT {path}: it is not at submitted/STUDENT/LAB/LAB.ipynb", file=sys.stderr)
    return 1 if left_out or lost else 0
