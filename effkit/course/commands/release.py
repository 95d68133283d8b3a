"""``effkit release``: make the student bundle, unless something must not reach the students."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "release",
        help="make the student bundle: lectures, labs, effkit's wheel, environment, README",
        description="Make the folder and the zip that students get. Nothing is written unless every notebook is what its"
        " source gives, every solution scores all points and every lab as handed out scores none (executed and judged as"
        " grading does it), and no solution or expected value is anywhere in the bundle, inside the wheel neither.",
        epilog="Exit status: 0 the bundle is there, 1 it was refused for the reasons above, 2 it could not be checked.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to (default: release/effkit-course-VERSION in the course folder); the zip is put beside it. An earlier"
        " bundle there is replaced, anything else is not",
    )
    parser.add_argument("--labs", nargs="+", default=[], metavar="LAB", help="hand out only these labs (default: all)")
    parser.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run the solutions with all your rights where no sandbox can be had",
    )


def run(options: argparse.Namespace) -> int:
    """Make the bundle; return 0, or 1 if it was refused."""
    from effkit.course.grade import quieten
    from effkit.course.release import release

    def say(line: str) -> None:
        print(line, flush=True)

    quieten()
    try:
        done = release(options.course, options.output, options.labs, unsafe=options.unsafe_no_sandbox, say=say)
    except KeyboardInterrupt:
        print("effkit: interrupted; no bundle was written", file=sys.stderr)
        return 130
    for refusal in done.refusals:
        print(refusal, file=sys.stderr)
    if done.refusals:
        print(
            f"REFUSED for {len(done.refusals)} reason{'s' * (len(done.refusals) > 1)}: no bundle was written",
            file=sys.stderr,
        )
        return 1
    print(f"wrote {done.folder} and {done.archive}")
    return 0
