"""``effkit report LAB``: what a teacher should know of a graded lab, and the scores for an LMS."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effkit.course.report.write import Report

_LINES = 5  # of what needs a person: the page has all


def add(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "report",
        help="write what a class got wrong and who needs a person, and the scores for Canvas and Moodle",
        description=(
            "Write grades/LAB-report.html (scores, tasks, mistakes, integrity flags, repairs), grades/LAB-report.csv (the "
            "tasks in figures), and grades/LAB-canvas.csv and grades/LAB-moodle.csv to import. Nothing is graded again; "
            "manual grades are taken as they are by now."
        ),
    )
    parser.add_argument("lab", help="the lab's name, for example lab2_parameters")


def run(options: argparse.Namespace) -> int:
    """Write the report; return 0, or 1 if somebody must look at something."""
    from effkit.course.grade import quieten
    from effkit.course.report.page import summary
    from effkit.course.report.write import write_report

    quieten()
    report = write_report(options.course, options.lab)
    print(" ".join(summary(report.results, report.totals)))
    lines = _important(report)
    for line in lines[:_LINES]:
        print(line, file=sys.stderr)
    if len(lines) > _LINES:
        print(f"... and {len(lines) - _LINES} more in the report", file=sys.stderr)
    lab = options.lab
    print(f"Report: grades/{lab}-report.html; tasks: grades/{lab}-report.csv")
    print(f"For import: grades/{lab}-canvas.csv, grades/{lab}-moodle.csv (either the tasks or the total, not both)")
    return 1 if report.results.needs_attention else 0


def _important(report: "Report") -> list[str]:
    from effkit.course.report.matters import attention
    from effkit.course.report.page import visible

    lines = []
    for matter in attention(report.results):
        many = len(matter.students) > 3
        who = ", ".join(matter.students[:3]) + (f" and {len(matter.students) - 3} more" if many else "")
        lines.append(visible(f"{matter.title.upper()}{f' {who}' if who else ''}: {matter.text}"))
    for row in report.rows:
        lines += [f"TASK {row.name}: {mark.label}. {mark.why}" for mark in row.marks]
    return lines
