"""Judges the stored answers of a class again, after a task was mended, without executing anything."""

from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import determine_grade

from effkit.course import integrity, prepare
from effkit.course.errors import CourseError
from effkit.course.grade import check_lab, key_parts
from effkit.course.gradebook import Book, graded_cells, only_grader
from effkit.course.lab import read_lab
from effkit.course.nbgrader_api import nbgrader_api
from effkit.course.preprocessors import TrustedScore, case_digest
from effkit.course.records import Record, Records
from effkit.course.results import Finisher, judged_about
from effkit.course.table_csv import write_csv
from effkit.grading.answers import MIME
from effkit.grading.tasks import find


@dataclass
class Change:
    """What judging again gives one student."""

    student: str
    scores: dict[str, tuple[float, float]] = field(default_factory=dict)  # before and after, for tasks whose score changes
    not_covered: list[str] = field(default_factory=list)  # tasks that ask what was not asked then: only a new run can tell
    problem: str = ""  # why the student could not be judged again

    @property
    def difference(self) -> float:
        """Return by how much the total of the automatic scores changes."""
        return sum(after - before for before, after in self.scores.values())


def rejudge(root: Path, lab: str, *, apply: bool = False) -> list[Change]:
    """Judge every graded submission of `lab` again from its stored answers; with `apply` the new scores are recorded.

    Manual grades stay. Raises CourseError if nothing has been graded.
    """
    root = root.resolve()
    check_lab(root, lab)
    with only_grader(root):
        records = Records(root, lab)
        if not any(record.graded for record in records.by_student.values()):
            raise CourseError(f"no submission of {lab} has been graded here: run `effkit grade {lab}` first")
        api = nbgrader_api(root)
        book = Book(api, lab)
        try:
            if apply:
                book.check_writable()
                book.back_up(root / "grades" / "backups")
            run = _Rejudge(root, lab, records, Finisher(api, root, lab, book), apply=apply)
            changes = [run.student(record) for _, record in sorted(records.by_student.items()) if record.graded]
        finally:
            book.close()
        if apply:
            everybody = [record for _, record in sorted(records.by_student.items())]
            integrity.flag_identical(everybody)
            records.close(**records.about)
            write_csv(root / "grades" / f"{lab}.csv", lab, everybody)
    return changes


class _Rejudge:
    def __init__(self, root: Path, lab: str, records: Records, finisher: Finisher, *, apply: bool) -> None:
        self.root, self.lab, self.records, self.finisher, self.apply = root, lab, records, finisher, apply
        self.rest = key_parts(root, read_lab(root, lab))
        self.judge = TrustedScore()

    def student(self, record: Record) -> Change:
        """Judge one student's answers again."""
        change = Change(record.student)
        try:
            notebook = self.finisher.graded_notebook(record.student)
        except (OSError, ValueError) as problem:
            change.problem = f"the graded notebook cannot be read ({problem}): grade it again"
            return change
        for name, cell in graded_cells(notebook).items():
            self._cell(name, cell, change)
        if self.apply:
            scores = {name: after for name, (_, after) in change.scores.items()}
            self.records.add(self._current(self.finisher.rewrite(record, notebook, scores), change))
        return change

    def _cell(self, name: str, cell: NotebookNode, change: Change) -> None:
        about = judged_about(cell)
        task = find(name)
        bundles = [output["data"][MIME] for output in cell.get("outputs", []) if MIME in output.get("data", {})]
        if task is None or len(bundles) != 1:
            return  # a person's to grade, or no answers were given: nothing to judge
        stored, seed = bundles[0], bundles[0]["seed"]
        answers = dict(zip(about.get("cases", []), stored["answers"], strict=False))
        asked = [case_digest(case) for _, case in task.cases(seed)]
        if not set(asked) <= set(answers):
            change.not_covered.append(name)
            return
        before, _ = determine_grade(cell)
        data = {MIME: {**stored, "answers": [answers[case] for case in asked]}}
        cell.outputs = [new_output("execute_result", data=data, execution_count=cell.execution_count)]
        self.judge.preprocess_cell(cell, {"effkit_seed": seed}, 0)
        after, _ = determine_grade(cell)
        if after != before:
            change.scores[name] = (before, after)

    def _current(self, record: Record, change: Change) -> Record:
        """Return the record as one of today's effkit, so that the next run does not execute what is unchanged."""
        key = prepare.submission_key(self.root / "submitted" / record.student / self.lab, *self.rest)
        if not change.not_covered and key.partition(":")[0] == record.key.partition(":")[0]:
            record.key = key
        return record
