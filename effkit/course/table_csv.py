"""A lab's records as a CSV for a spreadsheet."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from effkit.course.records import NOT_GRADED, Record, write_whole
from effkit.grading.answers import printable
from effkit.grading.tasks import tasks_of

_AFTER = ("reasons", "repaired", "look_at", "sandbox", "seed")


def write_csv(path: Path, lab: str, records: Iterable[Record]) -> None:
    """Write a row for each student: the totals, a column for each graded cell, the reasons, and how it was run."""
    records = list(records)
    tasks = [task.name for task in tasks_of(lab)]
    cells = tasks + sorted({name for record in records for name in record.scores} - set(tasks))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["student", "status", "score", "max_score", *cells, *_AFTER])
    for record in records:
        scores = [record.scores.get(cell) for cell in cells]
        row = [record.student, record.status, record.score, record.max_score, *scores, record.reasons_text()]
        row += [_sentences(record, repaired=True), _look_at(record), record.level]
        row.append(None if record.status == NOT_GRADED else record.seed)
        writer.writerow([spreadsheet_cell(value) for value in row])
    write_whole(path, text.getvalue().encode("utf-8", "backslashreplace"))


def _sentences(record: Record, *, repaired: bool) -> str:
    return " | ".join(finding["sentence"] for finding in record.findings if finding["repaired"] is repaired)


def _look_at(record: Record) -> str:
    """Return what a person should look at: what could not be repaired, and the integrity flags."""
    flags = [f"{flag['kind']} in {flag['cell']}, line {flag['line']}: {flag['text']}" for flag in record.flags]
    unrepaired = "" if record.problem else _sentences(record, repaired=False)  # else it is the reason already
    return " | ".join([unrepaired] * bool(unrepaired) + flags)


def spreadsheet_cell(value: Any) -> str:
    """Return a value for a CSV cell; a text that a spreadsheet would run as a formula is quoted, a tab spelled out."""
    if value is None:
        return ""
    shown = f"{value:g}" if isinstance(value, float) else printable(str(value))
    runs = isinstance(value, str) and shown.lstrip()[:1] in ("=", "+", "-", "@")
    return f"'{shown}" if runs else shown
