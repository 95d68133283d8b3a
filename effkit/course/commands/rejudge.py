"""``effkit rejudge LAB``: judge the stored answers again after a task was mended; nothing is executed."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effkit.course.rejudge import Change


def add(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "rejudge",
        help="judge the stored answers of a lab again, after a task was mended",
        description="Show whose score changes when the stored answers are judged by the tasks as they are now.",
    )
    parser.add_argument("lab", help="the lab's name, for example lab2_parameters")
    parser.add_argument("--apply", action="store_true", help="record the new scores (manual grades stay)")


def run(options: argparse.Namespace) -> int:
    """Show the changes, and apply them if asked to; return 1 if somebody must be graded by a new run."""
    from effkit.course.grade import quieten
    from effkit.course.rejudge import rejudge

    quieten()
    changes = rejudge(options.course, options.lab, apply=options.apply)
    changed = [change for change in changes if change.scores]
    for change in changed:
        tasks = ", ".join(f"{task} {before:g} -> {after:g}" for task, (before, after) in change.scores.items())
        print(f"{change.student}: {change.difference:+g} ({tasks})")
    print(
        f"{len(changed)} of {len(changes)} students change{'s' if len(changed) == 1 else ''}, {_sum(changed)} points in all"
    )
    again = [change for change in changes if change.not_covered or change.problem]
    for change in again:
        why = change.problem or f"{', '.join(change.not_covered)} asks what was not asked when it was graded"
        print(f"RUN AGAIN {change.student}: {why}", file=sys.stderr)
    if again:
        names = " ".join(change.student for change in again)
        print(f"For these: effkit grade {options.lab} --force --student {names}", file=sys.stderr)
    if not options.apply:
        print(f"Nothing was recorded. To record it: effkit rejudge {options.lab} --apply")
    return 1 if again else 0


def _sum(changes: "list[Change]") -> str:
    return f"{sum(change.difference for change in changes):+g}"
