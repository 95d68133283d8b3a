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
from nbgrader.preprocessors import Execute, GetGrades, NbGraderPreprocessor, OverwriteCells
from nbgrader.utils import is_grade, is_solution
from traitlets import Integer

from effkit.course.notebooks import stamp
from effkit.grading import report
from effkit.grading.answers import MIME, UnreadableAnswers, read_bundle
from effkit.grading.check import SEED_VARIABLE
from effkit.grading.judge import Verdict, judge
from effkit.grading.task import Task
from effkit.grading.tasks import find

_seed_of_this_run = secrets.randbelow(2**31)


class Stamp(NbGraderPreprocessor):
    """Records the digest of a released notebook's cells, so that a build can tell whether anybody worked in it."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Stamp the notebook."""
        stamp(nb)
        return nb, resources


class RestoreCells(OverwriteCells):
    """nbgrader's OverwriteCells for notebooks in which a graded cell was copied.

    nbgrader takes the grade_id from all copies but one and then refuses the rest of their metadata; here such a cell
    becomes an ordinary one, which still runs.
    """

    def add_missing_grade_cells(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Drop what is left of the copies' metadata, then add the missing cells."""
        for cell in nb.cells:
            if "grade_id" not in cell.metadata.get("nbgrader", {"grade_id": None}):
                del cell.metadata["nbgrader"]
        return super().add_missing_grade_cells(nb, resources)


class ExecuteSubmission(Execute):
    """Executes a submission with the run's seed; a kernel that dies or hangs costs only the cell that did it.

    After such a cell the kernel is started again, the code cells before it are run again without their outputs (but not
    the lost cells and not the checks), and execution goes on.
    """

    seed = Integer(help="The seed of the random cases in this run; chosen at random if not set.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any], km: Any = None) -> tuple[NotebookNode, dict[str, Any]]:
        """Execute the notebook. The seed reaches the kernel by its environment and the judge by `resources`."""
        seed = self.seed if self.trait_has_value("seed") else _seed_of_this_run
        resources["effkit_seed"] = seed
        nb.metadata["effkit"] = {**nb.metadata.get("effkit", {}), "seed": seed}
        self.interrupt_on_timeout = False  # a cell that ignores the interrupt would hold up all that follow
        self._lost: set[int] = set()
        before = os.environ.get(SEED_VARIABLE)
        os.environ[SEED_VARIABLE] = str(seed)
        try:
            return super().preprocess(nb, resources, km)
        finally:
            os.environ.pop(SEED_VARIABLE)
            if before is not None:
                os.environ[SEED_VARIABLE] = before

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

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Judge one cell if it is the check of a task."""
        if not is_grade(cell) or is_solution(cell) or cell.cell_type != "code":
            return cell, resources
        task = find(cell.metadata.nbgrader["grade_id"])
        if task is None:  # a cell of the instructor's own, graded as nbgrader does
            return cell, resources
        verdict, data = judge_outputs(task, cell.outputs, resources["effkit_seed"])
        # nbgrader's points decide, so that an instructor may weigh a task differently; they are equal otherwise.
        score = verdict.score * cell.metadata.nbgrader["points"] / task.points
        cell.outputs = [
            new_output(
                "execute_result",
                data={"text/plain": f"{score:g}", "text/html": report.html(verdict), **data},
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
        pending = grade.needs_manual_grade and grade.manual_score is None
        reason = "A person still has to read this answer." if pending else lost_because(cell)
        self._rows.append((own["grade_id"], own["score"], own["points"], reason))


def lost_because(cell: NotebookNode) -> str:
    """Return why a judged check cell lost points; empty if it lost none or is no check of a task."""
    reasons = (output.get("metadata", {}).get("effkit", {}).get("reason", "") for output in cell.get("outputs", []))
    return next(filter(None, reasons), "")


def judge_outputs(task: Task, outputs: list[NotebookNode], seed: int) -> tuple[Verdict, dict[str, Any]]:
    """Return the verdict on a check cell's outputs, and the one bundle that it rests on for keeping.

    A cell with no bundle, more than one, or one that is not of this task and run, scores zero with the reason.
    """
    # Through JSON text and back: plain dicts and lists only, whatever the notebook was read into.
    bundles = [json.loads(json.dumps(output["data"][MIME])) for output in outputs if MIME in output.get("data", {})]
    try:
        if len(bundles) != 1:
            raise UnreadableAnswers(_why_not_one(task, bundles, outputs))
        return judge(task, read_bundle(bundles[0], task, seed), seed), {MIME: bundles[0]}
    except UnreadableAnswers as problem:
        return Verdict(task.name, task.points, problem=str(problem)), {}


def _why_not_one(task: Task, bundles: list[Any], outputs: list[NotebookNode]) -> str:
    if bundles:
        return f"The check wrote {len(bundles)} sets of answers where one is expected, so none was counted."
    error = next((output for output in outputs if output["output_type"] == "error"), None)
    if error is None:
        return "The check gave no answers: was it run, and is `check` still effkit's own?"
    if error["ename"] == "NameError" and task.name in error["evalue"]:
        return f"{task.name} does not exist: did the cell that defines it run without an error?"
    if error["ename"] in (DeadKernelError.__name__, CellTimeoutError.__name__):
        return error["evalue"][:300]
    return f"The check could not run. {error['ename']}: {error['evalue'][:300]}"
