"""nbgrader's gradebook for one lab: backed up, locked for one grader, and written in one transaction a student.

What is written is what `nbgrader autograde` writes, by nbgrader's own steps.
"""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from nbformat import NotebookNode
from nbgrader.api import Comment, Grade, Gradebook, MissingEntry
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from nbgrader.utils import is_grade, is_solution, is_task
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import joinedload, undefer

from effkit.course.errors import CourseError
from effkit.course.nbgrader_api import Nbgrader

_BACKUPS_KEPT = 5
_WAIT_MS = 30_000  # for formgrader to finish what it writes


@contextmanager
def only_grader(root: Path) -> Iterator[None]:
    """Keep every other grader of this course out. The lock goes with the process, however that ends."""
    folder = root / "grades"
    folder.mkdir(exist_ok=True)
    lock, holder = FileLock(folder / ".lock"), folder / ".holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = ""
        with suppress(OSError):
            who = f" ({holder.read_text()})"
        raise CourseError(f"another grader is at work in this course{who}: wait until it has finished") from None
    try:
        holder.write_text(f"process {os.getpid()}, since {datetime.now():%H:%M}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


class Book:
    """The gradebook, for one lab."""

    def __init__(self, api: Nbgrader, lab: str) -> None:
        self._api, self.lab = api, lab
        self._coursedir = api.coursedir
        with _plainly():
            self._book = Gradebook(self._coursedir.db_url, self._coursedir.course_id)
            if self.path:
                self._book.db.execute(text(f"PRAGMA busy_timeout = {_WAIT_MS}"))
        self._late = AssignLatePenalties(config=api.config)
        self._late.init_plugin()

    @property
    def path(self) -> Path | None:
        """Return the database's file; None if it is on a server."""
        url = self._coursedir.db_url
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None

    def close(self) -> None:
        """Let go of the database."""
        self._book.close()

    def check_writable(self) -> None:
        """Raise CourseError if nothing could be recorded."""
        with _plainly():
            self._book.db.execute(text("UPDATE alembic_version SET version_num = version_num"))
            self._book.db.rollback()

    def back_up(self, folder: Path) -> None:
        """Copy the database into `folder`, as it is at one moment, and remove all but the latest copies."""
        if self.path is None or not self.path.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.path.stem}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{time.monotonic_ns() % 10**6:06}.db"
        new = folder / f".{name}.new"
        with _plainly(), closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(new)) as copy:
            source.backup(copy)
        new.replace(folder / name)
        for old in sorted(folder.glob(f"{self.path.stem}-*.db"))[:-_BACKUPS_KEPT]:
            old.unlink()

    def has_lab(self) -> bool:
        """Whether the lab's cells are recorded."""
        try:
            return bool(self._book.find_notebook(self.lab, self.lab).source_cells)
        except MissingEntry:
            return False

    def kernelspec(self) -> Any:
        """Return the lab's kernelspec as nbgrader recorded it, a JSON text or None."""
        return self._book.find_notebook(self.lab, self.lab).kernelspec

    def record(self, student: str, notebook: NotebookNode, timestamp: datetime | None) -> None:
        """Record the scores of a graded notebook, all or nothing. What a person entered stays, to be looked at again."""
        with self._one_transaction():
            self._book.update_or_create_student(student)
            given = {"timestamp": timestamp} if timestamp else {}
            submission = self._book.update_or_create_submission(self.lab, student, **given)
            self._book.db.flush()  # which gives what is new its ids
            save = SaveAutoGrades(config=self._api.config)
            save.notebook_id, save.assignment_id, save.student_id = self.lab, self.lab, student
            save.gradebook = LoadedGrades(self._book.db, submission)
            for cell in notebook.cells:
                save.preprocess_cell(cell, {}, 0)
            self._assign_late_penalty(submission, student)

    def change_scores(self, student: str, scores: dict[str, float]) -> None:
        """Change automatic scores, all or nothing. Where a person entered another, that stays, to be looked at again."""
        with self._one_transaction():
            submission = self._book.find_submission(self.lab, student)
            found = LoadedGrades(self._book.db, submission)
            for name, score in scores.items():
                grade = found.find_grade(name)
                grade.auto_score = score
                if grade.manual_score is not None:
                    grade.needs_manual_grade = True
            self._assign_late_penalty(submission, student)

    def _assign_late_penalty(self, submission: Any, student: str) -> None:
        """Do what nbgrader's AssignLatePenalties does, by its plugin, in the transaction that is open."""
        notebook = self._book.find_submission_notebook(self.lab, self.lab, student)
        notebook.late_submission_penalty = None
        self._book.db.flush()
        self._book.db.refresh(notebook)  # its score is a sum that the database makes
        late = submission.total_seconds_late
        if late > 0:
            penalty = self._late.plugin_inst.late_submission_penalty(student, notebook.score, late)
            if penalty is not None:
                notebook.late_submission_penalty = self._late._check_late_penalty(notebook, penalty)

    @contextmanager
    def _one_transaction(self) -> Iterator[None]:
        """Hold back every commit of the block until its end; undo all of it if the block fails."""
        session = self._book.db
        session.commit = lambda: None
        try:
            with _plainly():
                yield
                del session.commit
                session.commit()
        except BaseException:
            session.__dict__.pop("commit", None)
            session.rollback()
            raise

    def timestamp(self, student: str) -> datetime | None:
        """Return when a recorded submission was made, in UTC, if that is known."""
        when: datetime | None = self._book.find_submission(self.lab, student).timestamp
        return when

    def grades(self, student: str) -> "LoadedGrades | None":
        """Return what the gradebook says of a student by now; None if it knows of no submission."""
        self._book.db.rollback()  # see what others have written since
        try:
            return LoadedGrades(self._book.db, self._book.find_submission(self.lab, student))
        except MissingEntry:
            return None


class LoadedGrades:
    """The grades and comments of one submission, read at once, and found as in nbgrader's Gradebook."""

    def __init__(self, session: Any, submission: Any) -> None:
        self.db = session
        self._submission = submission
        (notebook,) = submission.notebooks
        self.grades: dict[str, Any] = _by_name(session, Grade, notebook.id, undefer(Grade.max_score))
        self._comments = _by_name(session, Comment, notebook.id)

    def find_grade(self, cell: str, *_: str) -> Any:
        """Return the grade of a cell."""
        return self.grades[cell]

    def find_comment(self, cell: str, *_: str) -> Any:
        """Return the comment on a cell."""
        return self._comments[cell]

    @property
    def digest(self) -> str:
        """Return a digest of all of it, which changes when a person enters something."""
        grades = {name: (grade.score, grade.manual_score, grade.needs_manual_grade) for name, grade in self.grades.items()}
        comments = {name: comment.comment for name, comment in self._comments.items()}
        return hashlib.sha256(json.dumps([grades, comments, self.late_penalty], sort_keys=True).encode()).hexdigest()

    @property
    def late_penalty(self) -> float:
        """Return the points taken off for lateness."""
        return float(self._submission.late_submission_penalty or 0)

    @property
    def score(self) -> float:
        """Return the total, lateness counted."""
        return float(self._submission.score) - self.late_penalty

    @property
    def max_score(self) -> float:
        """Return the points that the lab is worth."""
        return float(self._submission.max_score)

    @property
    def needs_manual_grade(self) -> bool:
        """Whether a person has something to grade."""
        return bool(self._submission.needs_manual_grade)


def _by_name(session: Any, kind: Any, notebook: str, *options: Any) -> dict[str, Any]:
    asked = session.query(kind).options(joinedload(kind.cell), *options).filter(kind.notebook_id == notebook)
    return {found.name: found for found in asked.populate_existing()}


@contextmanager
def _plainly() -> Iterator[None]:
    """Say in one sentence why the database refuses."""
    try:
        yield
    except (OperationalError, sqlite3.OperationalError) as problem:
        reason = str(getattr(problem, "orig", problem))
        if "readonly" in reason or "unable to open" in reason:
            why = "it cannot be written. Give yourself the right to write it and its folder"
        elif "locked" in reason:
            why = "another program keeps it locked. Close formgrader and other graders"
        elif "full" in reason:
            why = "the disk is full. Free some space"
        else:
            why = f"{reason}. Back it up and try `nbgrader db upgrade`"
        raise CourseError(f"the gradebook refuses: {why}, and run this again; nothing that was graded is lost") from problem
    except SQLAlchemyError as problem:
        raise CourseError(f"the gradebook refuses ({type(problem).__name__}: {problem})") from problem


def graded_cells(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """Return the cells of a notebook that nbgrader knows, by name."""
    return {
        cell.metadata.nbgrader["grade_id"]: cell
        for cell in notebook.cells
        if is_grade(cell) or is_solution(cell) or is_task(cell)
    }
