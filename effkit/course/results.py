"""What becomes of an executed submission: judged here, recorded in one transaction, written for its readers."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, v4
from nbgrader.preprocessors import LimitOutput

from effkit.course.errors import CourseError
from effkit.course.feedback import Pages, put_in_place
from effkit.course.gradebook import Book, LoadedGrades, graded_cells
from effkit.course.harmless import make_harmless, released_texts
from effkit.course.nbgrader_api import Nbgrader
from effkit.course.prepare import Prepared
from effkit.course.preprocessors import TrustedScore, lost_because
from effkit.course.records import GRADED, MANUAL, NO_FEEDBACK, NOT_GRADED, Record
from effkit.course.work import Outcome, read_outcome


class Finisher:
    """Finishes submissions of one lab, one after another. No student's code runs here."""

    def __init__(self, api: Nbgrader, root: Path, lab: str, book: Book) -> None:
        self._root, self._lab, self._book = root, lab, book
        self._pages = Pages(api, root, lab)
        self._judge = TrustedScore(config=api.config)
        self._limit = LimitOutput(config=api.config)
        self._texts = released_texts(root / "solutions" / lab / f"{lab}.ipynb")

    def finish(self, record: Record, outcome: Outcome, ready: Prepared, earlier: Record) -> Record:
        """Judge, record, and write the pages. What fails leaves the earlier grade, and the record says why."""
        try:
            notebook = self.judged(read_outcome(outcome), record.seed or 0)
            folder, text = self._pages.stage_graded(record.student, notebook, ready.timestamp)
            self._book.record(record.student, notebook, ready.timestamp)
            put_in_place(folder)
            record.graded = digest(text)
        except (CourseError, OSError):
            raise  # the course's trouble, not this submission's
        except Exception as problem:  # noqa: BLE001  one submission must never stop the others
            reason = f"grading failed ({type(problem).__name__}: {problem}); please report this"
            return replace(earlier, status=NOT_GRADED, problem=reason, findings=record.findings)
        return self.write_feedback(record, notebook, self._fill(record, notebook))

    def judged(self, notebook: NotebookNode, seed: int) -> NotebookNode:
        """Return an executed notebook with its scores, and with nothing left in it that could run in a browser."""
        notebook.metadata["effkit"] = {"seed": seed}
        notebook, _ = self._judge.preprocess(notebook, {"effkit_seed": seed})
        notebook, _ = self._limit.preprocess(notebook, {})
        make_harmless(notebook, self._texts)
        return notebook

    def write_feedback(self, record: Record, notebook: NotebookNode, grades: LoadedGrades) -> Record:
        """Write the feedback page; if that fails the grade stays and the record says so."""
        try:
            self._pages.write_feedback(record.student, notebook, grades)
            record.page = grades.digest
        except OSError:
            raise
        except Exception as problem:  # noqa: BLE001  as above
            record.status = NO_FEEDBACK
            record.problem = f"writing the feedback failed ({type(problem).__name__}: {problem}); please report this"
        return record

    def read_grades(self, record: Record) -> None:
        """Bring a record and its feedback page up to date with what the gradebook says by now, manual grades included."""
        notebook = self.graded_notebook(record.student)
        grades = self._fill(record, notebook)
        if record.page != grades.digest:
            self.write_feedback(record, notebook, grades)

    def graded_notebook(self, student: str) -> NotebookNode:
        """Return the graded notebook of a student."""
        return v4.reads(self._pages.graded_path(student).read_text(encoding="utf-8"))

    def is_in_place(self, record: Record) -> bool:
        """Whether the graded notebook, the feedback and the gradebook hold what the record says."""
        try:
            same = digest(self._pages.graded_path(record.student).read_text(encoding="utf-8")) == record.graded
            page = self._root / "feedback" / record.student / self._lab / f"{self._lab}.html"
            if not same or not page.is_file():
                return False
            grades = self._book.grades(record.student)
            return grades is not None and set(grades.grades) == set(record.scores)
        except (OSError, ValueError):
            return False

    def rewrite(self, record: Record, notebook: NotebookNode, scores: dict[str, float]) -> Record:
        """Record changed automatic scores of a graded notebook, and write it and its feedback again."""
        timestamp = self._book.timestamp(record.student)
        folder, text = self._pages.stage_graded(record.student, notebook, timestamp)
        self._book.change_scores(record.student, scores)
        put_in_place(folder)
        record.graded = digest(text)
        return self.write_feedback(record, notebook, self._fill(record, notebook))

    def _fill(self, record: Record, notebook: NotebookNode) -> LoadedGrades:
        """Set all that follows from the gradebook and the graded notebook; return what the gradebook says."""
        cells = graded_cells(notebook)
        grades = self._book.grades(record.student)
        if grades is None:
            raise CourseError(f"the gradebook has lost the submission of {record.student}: is another program changing it?")
        take_scores(record, grades)
        record.reasons, record.misconceptions, record.wrong = {}, {}, {}
        for name, grade in grades.grades.items():
            cell = cells.get(name)
            record.reasons[name] = lost_because(grade, cell) if cell else ""
            about = judged_about(cell) if cell else {}
            record.misconceptions |= {name: about["mistake"]} if about.get("mistake") else {}
            record.wrong |= {name: about["wrong"]} if about.get("wrong") else {}
        return grades


def take_scores(record: Record, grades: LoadedGrades) -> None:
    """Set the scores and the status of a record as the gradebook has them; a score is None until a person has graded it."""
    record.scores = {
        name: None if grade.needs_manual_grade and grade.manual_score is None else grade.score
        for name, grade in grades.grades.items()
    }
    record.score, record.max_score = grades.score, grades.max_score
    record.status = MANUAL if grades.needs_manual_grade else GRADED


def judged_about(cell: NotebookNode) -> dict[str, Any]:
    """Return what the judge wrote beside the result of a check cell; empty for any other."""
    for output in cell.get("outputs", []):
        if about := output.get("metadata", {}).get("effkit"):
            return dict(about)
    return {}


def digest(text: str) -> str:
    """Return the digest of a graded notebook."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
