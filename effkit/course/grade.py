"""Grades every submission of a lab with nbgrader, one by one: a bad one ends as a row with a reason and stops nothing."""

import csv
import logging
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
from nbgrader.api import Gradebook

from effkit.course.nbgrader_api import CourseError, Nbgrader, nbgrader_api
from effkit.course.preprocessors import lost_because
from effkit.grading.answers import one_line
from effkit.grading.tasks import tasks_of


@dataclass
class Row:
    """One student's line in the CSV."""

    student: str
    status: str = "graded"  # or "needs manual grading", "no feedback", "not graded"
    scores: dict[str, float | None] = field(default_factory=dict)  # by task, None where a person must grade
    score: float | None = None
    max_score: float | None = None
    reasons: str = ""


def quieten() -> None:
    """Silence what helps nobody who grades: notes of nbgrader's database layer, of cell ids, of kernels that died."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    for module in ("nbgrader.api", "nbformat"):
        warnings.filterwarnings("ignore", module=module)


def grade(root: Path, lab: str, *, seed: int | None = None, say: Callable[[str], None] = print) -> list[Row]:
    """Grade all submissions of `lab` and return a row for each, by student.

    Reads ``submitted/STUDENT/LAB/LAB.ipynb``; writes ``autograded/``, the gradebook, ``feedback/STUDENT/LAB/LAB.html`` and
    ``grades/LAB.csv``. A submission that cannot be graded changes none of what an earlier run gave its student.

    Raises CourseError if there is no such lab or no submission.
    """
    students = _submitted_students(root, lab)
    seed = 1 + secrets.randbelow(2**31 - 1) if seed is None else seed  # 0 is what students see
    path = root / "grades" / f"{lab}.csv"
    path.parent.mkdir(exist_ok=True)  # first of all: a run must not end without a place for its result
    api = nbgrader_api(root, ExecuteSubmission={"seed": seed})
    say(f"Grading {len(students)} submission{'s' if len(students) > 1 else ''} of {lab} (seed {seed})")
    _record_lab(root, lab)
    rows = []
    for number, student in enumerate(students, 1):
        start = time.perf_counter()
        rows.append(row := _grade_one(api, root, student, lab))
        result = row.status if row.score is None else f"{row.score:g} of {row.max_score:g}, {row.status}"
        say(f"[{number}/{len(students)}] {student}: {result} ({time.perf_counter() - start:.0f} s)")
    _write_csv(path, lab, rows, seed)
    say(f"Scores and reasons: {path.relative_to(root)}; what students read: feedback/STUDENT/{lab}/{lab}.html")
    return rows


def _labs(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("solutions/*/*.ipynb") if path.stem == path.parent.name)


def _submitted_students(root: Path, lab: str) -> list[str]:
    if lab not in _labs(root):
        raise CourseError(f"there is no lab {lab!r} in solutions/; the labs are: {', '.join(_labs(root)) or 'none'}")
    students = sorted(path.parent.name for path in root.glob(f"submitted/*/{lab}") if path.is_dir())
    if not students:
        raise CourseError(
            f"no submissions of {lab}: put each student's notebook at submitted/STUDENT/{lab}/{lab}.ipynb and run this again"
        )
    return students


def misplaced(root: Path) -> list[Path]:
    """Return the notebooks under submitted/ that no lab's grading will find, because of where they are."""
    labs = _labs(root)
    submitted = root / "submitted"
    return [
        path.relative_to(root)
        for path in sorted(submitted.rglob("*.ipynb"))
        if path.parent.name not in labs or path.parent.parent.parent != submitted
        if ".ipynb_checkpoints" not in path.parts
    ]


def _record_lab(root: Path, lab: str) -> None:
    """Tell the gradebook the lab's cells, without touching labs/."""
    with tempfile.TemporaryDirectory() as folder:
        api = nbgrader_api(root, CourseDirectory={"release_directory": folder})
        try:
            api.run(f"reading solutions/{lab}", "generate_assignment", lab)
        except CourseError as problem:
            if "submissions associated with it" not in str(problem):
                raise
            raise CourseError(
                f"the graded cells of {lab} are not those that students were graded with, and nbgrader keeps one set for"
                " each lab. Grade with the lab as it was released; or move gradebook.db aside to begin a new gradebook"
                " (manual grades stay in the old one)."
            ) from problem


def _grade_one(api: Nbgrader, root: Path, student: str, lab: str) -> Row:
    """Grade one submission. One that cannot be graded keeps what an earlier run recorded, and the row shows it."""
    try:
        if problem := _bad_name(student) or _unreadable(root / "submitted" / student / lab, lab):
            raise CourseError(problem)
        with _kept_on_failure(root / "autograded" / student / lab):
            api.run("autograding", "autograde", lab, student)
        row = _recorded_row(api, root, student, lab)
        try:
            api.run("writing the feedback", "generate_feedback", lab, student)
        except CourseError as problem:
            row.status, row.reasons = "no feedback", f"{problem} | {row.reasons}"
        return row
    except CourseError as problem:
        reason = str(problem)
    except Exception as problem:  # noqa: BLE001  one submission must never stop the others
        reason = f"grading failed ({type(problem).__name__}: {problem}); please report this"
    row = _earlier_row(api, root, student, lab)
    row.reasons = f"{reason} | The scores are from an earlier run." if row.scores else reason
    row.status = "not graded"
    return row


def _earlier_row(api: Nbgrader, root: Path, student: str, lab: str) -> Row:
    try:
        return _recorded_row(api, root, student, lab)
    except Exception:  # noqa: BLE001  there is none, or it cannot be read any more
        return Row(student)


def _bad_name(student: str) -> str:
    """Return why nbgrader cannot take the name of a student's folder, or an empty string if it can."""
    if student != student.strip() or any(mark in student for mark in "*?["):
        return f"nbgrader cannot take the folder name {student!r} (blanks at its ends, or one of * ? [): rename the folder"
    if one_line(student) != student and not student.isprintable():
        return "the folder's name is not valid Unicode: rename the folder"
    return ""


def _unreadable(folder: Path, lab: str) -> str:
    """Return why a submission cannot be read and what to do, or an empty string if it can."""
    path = folder / f"{lab}.ipynb"
    if path.is_dir():
        return f"{path.name} is a folder, not a notebook: ask the student to submit it again."
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
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            if copy.exists():
                shutil.copytree(copy, folder, symlinks=True)
            raise


def _recorded_row(api: Nbgrader, root: Path, student: str, lab: str) -> Row:
    """Return the row for what the gradebook and the graded notebook say."""
    row = Row(student)
    graded = nbformat.read(root / "autograded" / student / lab / f"{lab}.ipynb", as_version=4)
    cells = {cell.metadata.nbgrader.grade_id: cell for cell in graded.cells if "nbgrader" in cell.metadata}
    reasons = {}
    with Gradebook(api.coursedir.db_url) as gradebook:
        submission = gradebook.find_submission(lab, student)
        for grade in (grade for notebook in submission.notebooks for grade in notebook.grades):
            pending = grade.needs_manual_grade
            row.scores[grade.name] = None if pending and grade.manual_score is None else grade.score
            reasons[grade.name] = lost_because(grade, cells[grade.name]) if grade.name in cells else ""
        row.score = submission.score - (submission.late_submission_penalty or 0)
        row.max_score = submission.max_score
        if submission.needs_manual_grade:
            row.status = "needs manual grading"
    row.reasons = " | ".join(f"{cell}: {reason.replace('|', '/')}" for cell, reason in reasons.items() if reason)
    return row


def _write_csv(path: Path, lab: str, rows: list[Row], seed: int) -> None:
    """Write a row for each student: the totals, a column for each graded cell, and the reasons for lost points."""
    tasks = [task.name for task in tasks_of(lab)]
    cells = tasks + sorted({name for row in rows for name in row.scores} - set(tasks))
    whole = path.with_suffix(".csv.new")
    with whole.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "status", "score", "max_score", *cells, "reasons", "seed"])
        for row in rows:
            scores = [row.scores.get(cell) for cell in cells]
            own_seed = None if row.status == "not graded" else seed
            values = [row.student, row.status, row.score, row.max_score, *scores, row.reasons, own_seed]
            writer.writerow([_cell(value) for value in values])
    whole.replace(path)


def _cell(value: Any) -> str:
    """Return a value for a CSV cell; a text that a spreadsheet would run as a formula is quoted."""
    if value is None:
        return ""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"'{shown}" if isinstance(value, str) and shown[:1] in ("=", "+", "-", "@", "\t", "\r") else shown
