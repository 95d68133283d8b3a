"""nbgrader preprocessors of the course: judge the answers of an executed submission in the grader's own process.

`nbgrader_config.py` puts them into nbgrader's chains, so plain ``nbgrader autograde`` and formgrader use them too.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.notebooknode import from_dict
from nbformat.v4 import new_markdown_cell
from nbgrader.preprocessors import GetGrades, NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution

from effkit.course.stamp import stamp
from effkit.grading import report
from effkit.grading.answers import MIME, UnreadableAnswers, bundle, read_bundle, short_text
from effkit.grading.judge import Verdict, judge
from effkit.grading.task import Case, Task
from effkit.grading.tasks import find


class Stamp(NbGraderPreprocessor):
    """Records the digest of a released notebook's cells, so that a build can tell whether anybody worked in it."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Stamp the notebook."""
        stamp(nb)
        return nb, resources


class TrustedScore(NbGraderPreprocessor):
    """Recomputes the score of each check cell from its answers, in this process, and puts it where nbgrader reads it.

    The student's kernel is not trusted: only the answers are taken from it, as plain JSON. A check cell's outputs are
    replaced by one result with the score (text), the report (HTML) and the answers (JSON).
    """

    _errors: Mapping[str, str] = {}

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Judge every check cell of the notebook."""
        self._errors = {grade_id: error for cell in nb.cells if (grade_id := _grade_id(cell)) and (error := _error(cell))}
        return super().preprocess(nb, resources)

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Judge one cell if it is the check of a task."""
        if not is_grade(cell) or is_solution(cell) or cell.cell_type != "code":
            return cell, resources
        task = find(cell.metadata.nbgrader["grade_id"])
        if task is None:  # a cell of the instructor's own, graded as nbgrader does
            return cell, resources
        stopped = self._errors.get(f"{task.name}-solution", "")
        verdict, data = judge_outputs(task, cell, resources["effkit_seed"], stopped)
        # A lab may have been released when the task had other points: the lab's count, and none may exceed them.
        points = cell.metadata.nbgrader["points"]
        score = verdict.score if points == task.points else min(points, verdict.score * points / task.points)
        output = {
            "output_type": "execute_result",
            "data": {"text/plain": str(score), "text/html": report.html(verdict), **data},
            "metadata": {"effkit": _about(task, verdict, data, resources["effkit_seed"])},
            "execution_count": cell.execution_count,
        }
        cell.outputs = [from_dict(output)]
        return cell, resources


class SummarizeFeedback(GetGrades):
    """nbgrader's GetGrades, and a table at the head of the feedback: every task, its points, and why points were lost."""

    loaded: Any = None  # the student's grades, where they have been read already: then the database is not asked again

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Fetch the grades and put the summary first."""
        self._rows: list[tuple[str, float, float, str]] = []
        nb, resources = super().preprocess(nb, resources) if self.loaded is None else self._from_loaded(nb, resources)
        heading = "## Your result\n\n"
        nb.cells.insert(0, new_markdown_cell(heading + report.summary_html(self._rows)))
        return nb, resources

    def _from_loaded(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Do what GetGrades does, with the grades at hand."""
        own = resources["nbgrader"]
        self.gradebook = self.loaded
        self.notebook_id, self.assignment_id, self.student_id = own["notebook"], own["assignment"], own["student"]
        nb, resources = NbGraderPreprocessor.preprocess(self, nb, resources)
        resources["nbgrader"] |= {
            "score": self.loaded.score,
            "max_score": self.loaded.max_score,
            "late_penalty": self.loaded.late_penalty,
        }
        return nb, resources

    def _get_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        super()._get_score(cell, resources)
        own = cell.metadata.nbgrader
        grade = self.gradebook.find_grade(own["grade_id"], self.notebook_id, self.assignment_id, self.student_id)
        self._rows.append((own["grade_id"], own["score"], own["points"], lost_because(grade, cell)))


def lost_because(grade: Any, cell: NotebookNode) -> str:
    """Return why a graded cell is not at full points; empty if it is. `grade` is the gradebook's record of the cell."""
    if grade.score == grade.max_score:
        return ""
    if grade.manual_score is not None:
        return "Graded by a person."
    if grade.needs_manual_grade:
        return "A person still has to read this answer."
    if is_solution(cell):
        return "There is no answer."
    reasons = (output.get("metadata", {}).get("effkit", {}).get("reason", "") for output in cell.get("outputs", []))
    return next(filter(None, reasons), "")


def judge_outputs(task: Task, cell: NotebookNode, seed: int, stopped: str = "") -> tuple[Verdict, dict[str, Any]]:
    """Return the verdict on a check cell's outputs, and the one bundle that it rests on for keeping.

    A cell with no bundle, more than one, or one that is not of this task and run, scores zero with the reason. `stopped`
    is the error of the cell that should have defined the function, if it had one.
    """
    bundles = [output["data"][MIME] for output in cell.outputs if MIME in output.get("data", {})]
    try:
        if len(bundles) != 1:
            raise UnreadableAnswers(_why_not_one(task, bundles, cell, stopped))
        data = _plain_json(bundles[0])
        answers = read_bundle(data, task, seed)
        # What is kept is what was read: nothing else that came along, and nothing that is not JSON, such as NaN.
        return judge(task, answers, seed), {MIME: bundle(task, seed, answers, short_text(data.get("effkit")))}
    except UnreadableAnswers as problem:
        return Verdict(task.name, task.points, problem=str(problem)), {}


def _about(task: Task, verdict: Verdict, data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return what the graded notebook says of a verdict: why, which known mistake, and which cases were answered."""
    mistake = verdict.mistake.name if verdict.mistake else ""
    return {
        "reason": verdict.reason,
        "mistake": mistake,
        "cases": [case_digest(case) for _, case in task.cases(seed)] if data else [],
        "wrong": "" if mistake or not data else _own_wrong_answers(task, verdict, data[MIME]["answers"]),
    }


def case_digest(case: Case) -> str:
    """Return what tells one case from another, also when the task has others by now."""
    return hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()[:12]


def _own_wrong_answers(task: Task, verdict: Verdict, answers: list[dict[str, Any]]) -> str:
    """Return a digest of the answers to the cases that everybody gets, if they are wrong in a way worth comparing.

    Two students with a stub, a constant or an exception have nothing in common; with the same odd numbers they may have.
    """
    if verdict.score == verdict.points:
        return ""
    fixed = [answer for (group, case), answer in zip(task.cases(0), answers, strict=True) if case in group.cases]
    values = [json.dumps(answer["value"]) for answer in fixed if "value" in answer]
    if len(values) < len(fixed) or len(set(values)) < 2:
        return ""
    return hashlib.sha256("|".join(values).encode()).hexdigest()[:16]


def _plain_json(data: Any) -> Any:
    """Return plain dicts and lists only, whatever the notebook was read into."""
    try:
        return json.loads(json.dumps(data))
    except (RecursionError, ValueError, TypeError) as problem:
        raise UnreadableAnswers("The answers are not in the form that effkit writes.") from problem


def _why_not_one(task: Task, bundles: list[Any], cell: NotebookNode, stopped: str) -> str:
    if bundles:
        return f"The check wrote {len(bundles)} sets of answers where one is expected, so none was counted."
    error = _error(cell)
    if not error:
        return "The check gave no answers: was it run, and is `check` still effkit's own?"
    if error.startswith("NameError") and task.name in error:
        why = f"the cell that defines it stopped. {stopped}" if stopped else "did you run the cell that defines it?"
        return f"{task.name} does not exist: {why}"
    if error.startswith((DeadKernelError.__name__, CellTimeoutError.__name__)):
        return error.partition(": ")[2]
    return f"The check could not run. {error}"


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _error(cell: NotebookNode) -> str:
    """Return the first error among a cell's outputs as one line, or an empty string."""
    errors = (output for output in cell.get("outputs", []) if output["output_type"] == "error")
    return next((f"{error['ename']}: {error['evalue']}"[:300] for error in errors), "")
