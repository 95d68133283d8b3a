"""Makes the report of a lab and puts it into grades/."""

from dataclasses import dataclass
from pathlib import Path

from effkit.course.gradebook import only_grader
from effkit.course.records import write_whole
from effkit.course.report.gather import Results, gather, stored
from effkit.course.report.page import page
from effkit.course.report.tables import canvas_csv, moodle_csv, tasks_csv
from effkit.course.report.tasks import TaskRow, Totals, rows


@dataclass(frozen=True)
class Report:
    """A lab's results, what follows from them, and the files that say so."""

    results: Results
    totals: Totals
    rows: list[TaskRow]
    files: dict[str, bytes]  # by name, in grades/


def make(results: Results) -> Report:
    """Return the report; the same results give the same bytes."""
    totals = Totals(results)
    found = rows(results, totals)
    lab = results.lab
    files = {
        f"{lab}-report.html": page(results, found, totals).encode("utf-8", "backslashreplace"),
        f"{lab}-report.csv": tasks_csv(results, found),
        f"{lab}-canvas.csv": canvas_csv(results),
        f"{lab}-moodle.csv": moodle_csv(results),
    }
    return Report(results, totals, found, files)


def write_report(root: Path, lab: str) -> Report:
    """Write the report of a graded lab into grades/ and return it. Nothing that grading keeps is changed.

    Raises CourseError if there is no such lab, nothing was graded, or a grader is at work.
    """
    root = root.resolve()
    stored(root, lab)  # says that nothing is graded before a folder is made for the lock
    with only_grader(root):
        report = make(gather(root, lab))
        for name, content in report.files.items():
            write_whole(root / "grades" / name, content)
    return report
