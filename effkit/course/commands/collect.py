"""``effkit collect LAB SOURCE...``: sort what an LMS gave into submitted/."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "collect",
        help="sort an LMS download (zip or folder) into submitted/",
        description="Put the notebooks of a lab from Canvas, Moodle or Blackboard downloads, from folders named after"
        " students or from single files into submitted/STUDENT/LAB/LAB.ipynb. Of several attempts the latest is taken."
        " Nothing that lies there is replaced by an older attempt, so it is safe to run again, with any download.",
        epilog="Exit status: 0 all was collected, 1 look at the lines above the summary, 2 it could not be done.",
    )
    parser.add_argument("lab", help="the lab's name, for example lab2_parameters")
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="ZIP_OR_FOLDER", help="a zip as downloaded, a folder, or a notebook"
    )
    parser.add_argument(
        "--roster",
        type=Path,
        metavar="CSV",
        help="the students, exported by Canvas or Moodle, or with the columns student_id,first_name,last_name,email; they"
        " are put into the gradebook, give the folders in submitted/ their names, and those without a submission are listed",
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing, only say what would be done")


def run(options: argparse.Namespace) -> int:
    """Collect; return 0, or 1 if somebody must look at something."""
    from effkit.course.collect import collect
    from effkit.course.sort_files import Notice

    looked_at = 0

    def say(notice: Notice) -> None:
        nonlocal looked_at
        harmless = notice.kind in ("LATER ATTEMPT", "LATE")
        looked_at += not harmless
        print(f"{notice.kind} {notice.text}", file=sys.stdout if harmless else sys.stderr)

    done = collect(options.course, options.lab, options.sources, options.roster, dry_run=options.dry_run, say=say)
    if done.without:
        print(f"WITHOUT A SUBMISSION ({len(done.without)}): {', '.join(done.without)}")
    if done.new_students:
        print(f"{done.new_students} students are new in the gradebook")
    would = "would be " if options.dry_run else ""
    counts = ", ".join(f"{count} {would}{outcome}" for outcome, count in done.counts.items() if count)
    print(f"{options.lab}: {counts or 'nothing was found to collect'}")
    return int(looked_at > 0)
