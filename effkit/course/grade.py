"""Grades every submission of a lab with nbgrader, one by one: a bad one ends as a row with a reason and stops nothing."""

import csv
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook, MissingEntry

from effkit.course.nbgrader_api import CourseError, Nbgrader, nbgrader_api
from effkit.course.preprocessors import lost_because
from effkit.grading.tasks import tasks_of


@dataclass
class Row:
    """One student's line in the CSV."""

    student: str
    status: str = "graded"
    scores: dict[str, float | None] = field(default_factory=dict)  # by task, None where a person must grade
    score: float | None = None
    max_score: float | None = None
    reasons: str = ""


def grade(root: Path, lab: str, *, seed: int | None = None, say: Callable[[str], None] = print) -> list[Row]:
    """Grade all submissions of `lab` and return a row for each, by student.

    Reads ``submitted/STUDENT/LAB/LAB.ipynb``; writes ``autograded/``, the gradebook, ``feedback/STUDENT/LAB/LAB.html`` and
    ``grades/LAB.csv``. A submission that cannot be graded changes none of what an earlier run gave its student.

    Raises CourseError if there is no such lab or no submission.
    """
    for module in ("nbgrader.api", "nbformat"):  # notes on the database and on cell ids that help nobody here
        warnings.filterwarnings("ignore", module=module)
    students = _submitted_students(root, lab)
    seed = secrets.randbelow(2**31) if seed is None else seed
    api = nbgrader_api(root, ExecuteSubmission={"seed": seed})
    say(f"Grading {len(students)} submission{'s'[: len(students) > 1]} of {lab} (seed {seed})")
    _record_lab(root, lab)
    rows = []
    for number, student in enumerate(students, 1):
        start = time.perf_counter()
        try:
            row = _grade_one(api, root, student, lab)
        except Exception as problem:  # noqa: BLE001  one submission must never stop the others
            row = Row(
                student, "not graded", reasons=f"grading failed ({type(problem).__name__}: {problem}); please report this"
            )
        rows.append(row)
        result = row.status if row.score is None else f"{row.score:g} of {row.max_score:g}, {row.status}"
        say(f"[{number}/{len(students)}] {student}: {result} ({time.perf_counter() - start:.0f} s)")
    path = root / "grades" / f"{lab}.csv"
    _write_csv(path, lab, rows, seed)
    say(f"Scores and reasons: {path.relative_to(root)}; what students read: feedback/STUDENT/{lab}/{lab}.html")
    return rows


def _submitted_students(root: Path, lab: str) -> list[str]:
    known = sorted(path.parent.name for path in root.glob("solutions/*/*.ipynb") if path.stem == path.parent.name)
    if lab not in known:
        raise CourseError(f"there is no lab {lab!r} in solutions/; the labs are: {', '.join(known) or 'none'}")
    students = sorted(path.parent.name for path in root.glob(f"submitted/*/{lab}") if path.is_dir())
    if not students:
        raise CourseError(
            f"no submissions of {lab}: put each student's notebook at submitted/STUDENT/{lab}/{lab}.ipynb and run this again"
        )
    return students


def _record_lab(root: Path, lab: str) -> None:
    """Tell the gradebook the lab's cells, without touching labs/."""
    with tempfile.TemporaryDirectory() as folder:
        api = nbgrader_api(root, CourseDirectory={"release_directory": folder})
        api.run(f"reading solutions/{lab}", "generate_assignment", lab)


def _grade_one(api: Nbgrader, root: Path, student: str, lab: str) -> Row:
    if problem := _unreadable(root / "submitted" / student / lab, lab):
        return Row(student, "not graded", reasons=problem)
    try:
        with _kept_on_failure(root / "autograded" / student / lab):
            api.run("autograding", "autograde", lab, student)
        api.run("writing the feedback", "generate_feedback", lab, student)
    except CourseError as problem:
        return Row(student, "not graded", reasons=str(problem))
    return _graded_row(api, root, student, lab)


def _unreadable(folder: Path, lab: str) -> str:
    """Return why a submission cannot be read and what to do, or an empty string if it can."""
    path = folder / f"{lab}.ipynb"
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
        return f"there is no {path.name} in the submission, only: {found}. Rename or ask for the notebook."
    if not path.stat().st_size:
        return f"{path.name} is empty (0 bytes): ask the student to submit it again."
    try:
        nbformat.read(path, as_version=4)
    except Exception as problem:  # noqa: BLE001  whatever is in the file, it is the student's
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        return f"{path.name} is not a readable notebook ({reason}): ask the student to submit it again."
    return ""


@contextmanager
def _kept_on_failure(folder: Path) -> Iterator[None]:
    """Put `folder` back as it was if the block fails: nbgrader removes it before it starts."""
    with tempfile.TemporaryDirectory() as spare:
        copy = Path(spare, "copy")
        if folder.exists():
            shutil.copytree(folder, copy, symlinks=True)
        try:
            yield
        except CourseError:
            shutil.rmtree(folder, ignore_errors=True)
            if copy.exists():
                shutil.copytree(copy, folder, symlinks=True)
            raise


def _graded_row(api: Nbgrader, root: Path, student: str, lab: str) -> Row:
    row = Row(student)
    with Gradebook(api.coursedir.db_url) as gradebook:
        try:
            submission = gradebook.find_submission(lab, student)
        except MissingEntry:
            return Row(student, "not graded", reasons="nbgrader recorded no submission")
        for grade in (grade for notebook in submission.notebooks for grade in notebook.grades):
            pending = grade.needs_manual_grade
            row.scores[grade.name] = None if pending and grade.manual_score is None else grade.score
        row.score, row.max_score = submission.score, submission.max_score
        if submission.needs_manual_grade:
            row.status = "needs manual grading"
    row.reasons = _reasons(root / "autograded" / student / lab / f"{lab}.ipynb")
    return row


def _reasons(path: Path) -> str:
    """Return why points were lost, cell by cell, as the judge wrote it into the graded notebook."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if "grade_id" in cell.metadata.get("nbgrader", {})]
    reasons = {cell.metadata.nbgrader.grade_id: lost_because(cell) for cell in cells}
    return " | ".join(f"{cell}: {reason}" for cell, reason in reasons.items() if reason)


def _write_csv(path: Path, lab: str, rows: list[Row], seed: int) -> None:
    """Write a row for each student: the totals, a column for each graded cell, and the reasons for lost points."""
    tasks = [task.name for task in tasks_of(lab)]
    cells = tasks + sorted({name for row in rows for name in row.scores} - set(tasks))
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "status", "score", "max_score", *cells, "reasons", "seed"])
        for row in rows:
            scores = [row.scores.get(cell) for cell in cells]
            values = [row.student, row.status, row.score, row.max_score, *scores, row.reasons, seed]
            writer.writerow([_cell(value) for value in values])


def _cell(value: Any) -> str:
    """Return a value for a CSV cell; a text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
