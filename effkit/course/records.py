"""What is known of each submission of a lab: one record a student, in grades/LAB.json, with a journal while a run lasts.

The journal has a line for every student who is done, on the disk before the next one is taken. Wherever a run is killed,
the next one reads both files and does only what is left.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FORMAT = 1
GRADED, MANUAL, NO_FEEDBACK, NOT_GRADED = "graded", "needs manual grading", "no feedback", "not graded"


@dataclass
class Record:
    """One student's result. `findings`, `flags` and all that is in them are plain JSON."""

    student: str
    status: str = GRADED  # or one of the other three
    score: float | None = None
    max_score: float | None = None
    scores: dict[str, float | None] = field(default_factory=dict)  # by task; None where a person must grade
    reasons: dict[str, str] = field(default_factory=dict)  # by task, for lost points
    misconceptions: dict[str, str] = field(default_factory=dict)  # the name of the known mistake, by task
    wrong: dict[str, str] = field(default_factory=dict)  # by task, a digest of answers that are wrong in a way of their own
    problem: str = ""  # why it is not graded, or has no feedback
    findings: list[dict[str, Any]] = field(default_factory=list)  # of the doctor: kind, cell, sentence, repaired
    flags: list[dict[str, Any]] = field(default_factory=list)  # for a person to look at: kind, cell, line, text
    level: str = ""  # of isolation
    seconds: float = 0.0
    seed: int | None = None
    key: str = ""  # digest of the submission, the lab and effkit
    graded: str = ""  # digest of the graded notebook
    page: str = ""  # digest of the grades and comments that the feedback page shows

    @property
    def done(self) -> bool:
        """Whether the submission was graded and need not be again while its key is the same."""
        return self.status in (GRADED, MANUAL) and bool(self.key)

    @property
    def needs_attention(self) -> bool:
        """Whether a person must look, other than to grade a written answer."""
        return not self.done or bool(self.flags) or any(not finding["repaired"] for finding in self.findings)

    def reasons_text(self) -> str:
        """Return the problem and the reasons for lost points in one line."""
        lines = [f"{task}: {reason.replace('|', '/')}" for task, reason in self.reasons.items() if reason]
        return " | ".join([self.problem] * bool(self.problem) + lines)


class Records:
    """The records of a lab by student, and the journal that keeps them through a kill."""

    def __init__(self, root: Path, lab: str) -> None:
        self.path = root / "grades" / f"{lab}.json"
        self._journal_path = self.path.with_suffix(".journal")
        self.lab = lab
        self.lab_digest = ""
        self.about: dict[str, Any] = {}  # the rest of the file: the latest run's seed, the tasks and their points
        self.by_student: dict[str, Record] = {}
        with suppress(OSError, ValueError):
            self._read(json.loads(self.path.read_bytes()))
        with suppress(OSError):
            for line in self._journal_path.read_bytes().splitlines():
                with suppress(ValueError, TypeError):  # the last line of a killed run may be half a line
                    self._take(json.loads(line))

    def _read(self, data: Any) -> None:
        if isinstance(data, dict) and data.get("format") == FORMAT:
            self.lab_digest = data.get("lab_digest", "")
            self.about = {key: value for key, value in data.items() if key in ("seed", "tasks")}
            for record in data.get("students", []):
                self._take(record)

    def _take(self, data: dict[str, Any]) -> None:
        known = {f.name for f in fields(Record)}
        record = Record(**{key: value for key, value in data.items() if key in known})
        self.by_student[record.student] = record

    def add(self, record: Record) -> None:
        """Keep a record at once: it is on the disk when this returns."""
        self.by_student[record.student] = record
        self._journal_path.parent.mkdir(exist_ok=True)
        with self._journal_path.open("ab") as journal:
            journal.write(b"\n" + json.dumps(asdict(record)).encode() + b"\n")  # after a torn line, a line of its own
            journal.flush()
            os.fsync(journal.fileno())

    def close(self, **about: Any) -> None:
        """Write all records to the JSON file and remove the journal."""
        students = [asdict(record) for _, record in sorted(self.by_student.items())]
        data = {"format": FORMAT, "lab": self.lab, "lab_digest": self.lab_digest, **about, "students": students}
        write_whole(self.path, json.dumps(data, indent=1).encode())
        self._journal_path.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there as before or complete, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def students_with(records: Iterable[Record], status: str) -> list[str]:
    """Return the students whose record has this status."""
    return [record.student for record in records if record.status == status]
