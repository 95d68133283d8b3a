"""The report's CSV files: the tasks in figures, and the scores as Canvas and Moodle import them.

In Canvas's, names and ids come first, then a column for each assignment, whose points stand in the first row (see
lib/gradebook_importer.rb in github.com/instructure/canvas-lms). A student is found by the number in ID, else by the SIS
ids, else by the name. Moodle finds a student by one column that the teacher chooses, and refuses the whole file for one who
is not found; "-" is no grade there (see grade/import/csv/classes/load_data.php in github.com/moodle/moodle).
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from effkit.course.records import Record
from effkit.course.report.gather import Results
from effkit.course.report.matters import mistakes
from effkit.course.report.tasks import TaskRow
from effkit.course.roster import Person
from effkit.course.table_csv import spreadsheet_cell

_HARMLESS_ID = re.compile(r"[\w.@ +-]*")  # as `effkit collect` makes them: without = ( | ! nothing can be called
_POINTS = "Points Possible"


def identity(value: str) -> str:
    """Return an id or an address for a CSV cell: unchanged, so that it is found, unless a spreadsheet would run it.

    >>> identity("+49-170"), identity("-ann@uni.example"), identity("=cmd()")
    ('+49-170', '-ann@uni.example', "'=cmd()")
    """
    return value if _HARMLESS_ID.fullmatch(value) else spreadsheet_cell(value)


def unmatched(results: Results) -> list[str]:
    """Return the graded students whom an LMS will not find by their id, since it had to be changed."""
    return [record.student for record in results.graded if identity(record.student) != record.student]


def tasks_csv(results: Results, rows: Iterable[TaskRow]) -> bytes:
    """Return a row for each task with its figures, why it looks badly posed, and its most frequent mistake."""
    most = {mistake.task: mistake for mistake in reversed(mistakes(results))}
    header = ["task", "points", "students", "waiting", "full", "part", "none", "mean", "pass_rate", "discrimination"]
    lines: list[list[Any]] = [[*header, "look_at", "most_frequent_mistake", "students_with_it"]]
    for row in rows:
        figures = [row.points, len(row.scores), row.waiting, row.full, row.part, row.none]
        rates = [row.mean, row.pass_rate, row.discrimination]
        mistake = most.get(row.name)
        lines.append(
            [
                row.name,
                *figures,
                *(None if rate is None else round(rate, 3) for rate in rates),
                " | ".join(f"{mark.label}: {mark.why} {mark.advice}" for mark in row.marks),
                mistake.name if mistake else "",
                len(mistake.students) if mistake else 0,
            ]
        )
    return _csv([[spreadsheet_cell(value) for value in line] for line in lines])


def canvas_csv(results: Results) -> bytes:
    """Return the scores for *Grades > Import* of Canvas; an empty cell has no grade yet."""
    columns = [f"{results.lab}: {task}" for task in [*results.points, "total"]]
    points = [f"{value:g}" for value in [*results.points.values(), sum(results.points.values())]]
    lines = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *columns], [_POINTS, "", "", "", "", *points]]
    for record in results.graded:
        person = results.people.get(record.student, Person(record.student))
        name = ", ".join(filter(None, (person.last_name, person.first_name)))
        shown = record.student if not name or _POINTS in name else name  # a line of that name would set the points
        number = person.lms_id if re.fullmatch("[0-9]+", person.lms_id) else ""
        ids = [number, identity(record.student), identity(record.student), ""]
        lines.append([spreadsheet_cell(shown), *ids, *_scores(record, results, "")])
    return _csv(lines)


def moodle_csv(results: Results) -> bytes:
    """Return the scores for *Grades > Import > CSV file* of Moodle. There is an e-mail column only if everyone has one."""
    people = [results.people.get(record.student, Person(record.student)) for record in results.graded]
    emails = bool(people) and all(person.email for person in people)
    header = ["First name", "Last name", "Username", "ID number", *["Email address"] * emails]
    lines = [[*header, *(f"{results.lab}: {task}" for task in [*results.points, "total"])]]
    for record, person in zip(results.graded, people, strict=True):
        names = [spreadsheet_cell(person.first_name), spreadsheet_cell(person.last_name)]
        ids = [identity(record.student)] * 2 + [identity(person.email)] * emails
        lines.append([*names, *ids, *_scores(record, results, "-")])
    return _csv(lines)


def _scores(record: Record, results: Results, nothing: str) -> list[str]:
    """Return the score of each task, and the total if every task has one: a total that will grow is none yet."""
    scores = [record.scores.get(task) for task in results.points]
    total = None if None in scores else record.score
    return [nothing if score is None else spreadsheet_cell(float(score)) for score in [*scores, total]]


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode("utf-8", "backslashreplace")
