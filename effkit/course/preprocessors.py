"""nbgrader preprocessors of the course: execute a submission, judge its answers in the grader's own process.

`nbgrader_config.py` puts them into nbgrader's chains, so plain ``nbgrader autograde`` and formgrader use them too.
"""

import copy
import json
import os
import secrets
from typing import Any

from jupyter_core.utils import ensure_async, run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.preprocessors import Execute, GetGrades, NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution
from traitlets import Integer

from effkit.course.stamp import stamp
from effkit.grading import report
from effkit.grading.answers import MIME, UnreadableAnswers, read_bundle
from effkit.grading.check import SEED_VARIABLE
from effkit.grading.judge import Verdict, judge
from effkit.grading.task import Task
from effkit.grading.tasks import find


class Stamp(NbGraderPreprocessor):
    """Records the digest of a released notebook's cells, so that a build can tell whether anybody worked in it."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Stamp the notebook."""
        stamp(nb)
        return nb, resources


class ExecuteSubmission(Execute):
    """Executes a submission with the run's seed; a kernel that dies or hangs costs only the cell that did it.

    After such a cell the kernel is started again, the code cells before it are run again without their outputs (but not
    the lost cells and not the checks), and execution goes on.
    """

    seed = Integer(
        None, allow_none=True, help="The seed of the random cases; chosen at random for each notebook if not set."
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any], km: Any = None) -> tuple[NotebookNode, dict[str, Any]]:
        """Execute the notebook. The seed reaches the kernel by its environment and the judge by `resources`."""
        self._run_seed = 1 + secrets.randbelow(2**31 - 1) if self.seed is None else self.seed  # 0 is what students see
        resources["effkit_seed"] = self._run_seed
        nb.metadata["effkit"] = {"seed": self._run_seed}
        self.interrupt_on_timeout = False  # a cell that ignores the interrupt would hold up all that follow
        self._lost: set[int] = set()
        return super().preprocess(nb, resources, km)

    def start_new_kernel(self, **kwargs: Any) -> None:
        """Start a kernel that finds the run's seed in its environment."""
        super().start_new_kernel(env={**os.environ, SEED_VARIABLE: str(self._run_seed)}, **kwargs)

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Execute one cell; if it takes the kernel down or does not end, report that as its error and go on."""
        if not _is_alive(self.km):  # an earlier cell ended the kernel after it had finished
            self._start_again(index)
        try:
            return super().preprocess_cell(cell, resources, index)
        except (DeadKernelError, CellTimeoutError) as problem:
            self._lost.add(index)
            self._start_again(index)
            cell.outputs = [_lost_cell(problem)]
            return cell, self.resources

    def _start_again(self, index: int) -> None:
        """Start a fresh kernel in the state that the cells before `index` left behind."""
        while True:
            self._cleanup_kernel()
            self.km = self.create_kernel_manager()
            self.start_new_kernel()
            self.start_new_kernel_client()
            again = [i for i in range(index) if i not in self._lost and not is_grade(self.nb.cells[i])]
            i = index
            try:
                for i in again:
                    self.execute_cell(copy.deepcopy(self.nb.cells[i]), i)
                return
            except (DeadKernelError, CellTimeoutError):
                self._lost.add(i)


@run_sync
async def _is_alive(kernel_manager: Any) -> bool:
    return bool(await ensure_async(kernel_manager.is_alive()))


def _lost_cell(problem: Exception) -> NotebookNode:
    timed_out = isinstance(problem, CellTimeoutError)
    name = type(problem).__name__
    sentence = "This cell did not end in time." if timed_out else "This cell ended the Python process that it ran in."
    return new_output("error", ename=name, evalue=sentence, traceback=[f"{name}: {sentence}"])


class TrustedScore(NbGraderPreprocessor):
    """Recomputes the score of each check cell from its answers, in this process, and puts it where nbgrader reads it.

    The student's kernel is not trusted: only the answers are taken from it, as plain JSON. A check cell's outputs are
    replaced by one result with the score (text), the report (HTML) and the answers (JSON).
    """

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
        cell.outputs = [
            new_output(
                "execute_result",
                data={"text/plain": str(score), "text/html": report.html(verdict), **data},
                metadata={"effkit": {"reason": verdict.reason}},
                execution_count=cell.execution_count,
            )
        ]
        return cell, resources


class SummarizeFeedback(GetGrades):
    """nbgrader's GetGrades, and a table at the head of the feedback: every task, its points, and why points were lost."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Fetch the grades and put the summary first."""
        self._rows: list[tuple[str, float, float, str]] = []
        nb, resources = super().preprocess(nb, resources)
        heading = "## Your result\n\n"
        nb.cells.insert(0, new_markdown_cell(heading + report.summary_html(self._rows)))
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
        return judge(task, read_bundle(data, task, seed), seed), {MIME: data}
    except UnreadableAnswers as problem:
        return Verdict(task.name, task.points, problem=str(problem)), {}


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
