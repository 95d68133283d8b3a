"""``effkit doctor FILE...``: say what is wrong with a notebook before it is submitted or graded."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effkit.course.errors import CourseError

if TYPE_CHECKING:
    from effkit.course.doctor import Looked
    from effkit.course.lab import ReleasedLab

NEEDS_COURSE = False


def add(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "doctor",
        help="say what is wrong with a lab's notebook before it is submitted or graded",
        description="Examine notebooks of the labs and say in one line each what is wrong: a file that is no notebook or has"
        " another name, graded cells that are missing, copied, split or changed, marks that a program dropped, files that"
        " do not belong. Nothing is written without --fix, and an answer is never changed.",
        epilog="Exit status: 0 nothing found, 1 something found, 2 something cannot be read at all.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a notebook, or a folder with a submission: submitted/*/lab2_parameters examines a class",
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="repair what can be repaired without touching an answer; the original is kept as NAME.bak",
    )
    parser.add_argument(
        "--lab",
        default="",
        metavar="LAB",
        help="the lab's name, or an untouched notebook of it, to compare with (default: what the notebook says it is)",
    )


def run(options: argparse.Namespace) -> int:
    """Examine every file; return 0 if nothing was found, 1 if something was, 2 if a file cannot be read."""
    statuses = [_examine(path, options) for path in options.files]
    if len(statuses) > 1:
        found, unreadable = statuses.count(1), statuses.count(2)
        print(f"{len(statuses)} examined: {found} with findings, {unreadable} that cannot be read")
    return max(statuses)


def _examine(path: Path, options: argparse.Namespace) -> int:
    from effkit.course.doctor import look_for_student
    from effkit.course.lab import ReleasedLab
    from effkit.course.reading import shown
    from effkit.course.which_lab import lab_of

    name = shown(str(path))
    if not os.path.lexists(path):
        print(f"{name}: there is no such file.", file=sys.stderr)
        return 2
    lab = lab_of(path, options.course, options.lab)
    looked = look_for_student(path, lab or ReleasedLab("", "", ()))
    done = _fix(looked, lab, path) if options.fix and lab else []
    for finding in looked.findings:
        fixable = finding.repaired and lab and not options.fix
        print(f"{name}: {finding.sentence}{' (--fix repairs it)' if fixable else ''}")
    for sentence in done:
        print(f"{name}: {sentence}.")
    if not looked.findings:
        print(f"{name}: nothing found ({lab.name if lab else ''}).")
    return 2 if looked.notebook is None else int(bool(looked.findings))


def _fix(looked: "Looked", lab: "ReleasedLab", path: Path) -> list[str]:
    from effkit.course.fix import set_aside, write_repair

    try:
        done = write_repair(looked, lab)
        if any(finding.kind == "timestamp" for finding in looked.findings):
            done.append(set_aside(path / "timestamp.txt"))
    except OSError as problem:
        raise CourseError(f"{path} cannot be repaired on the disk ({problem.strerror}); nothing was lost") from problem
    return done
