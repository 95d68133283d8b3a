"""Executes one submission. A cell that hangs, or takes its kernel down, costs only what that cell earns."""

import copy
import os
import secrets
import time
from dataclasses import dataclass
from typing import Any

from jupyter_core.utils import ensure_async, run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade
from traitlets import Integer

from effkit.course.kernels import Limits, WarmProcess
from effkit.grading.check import SEED_VARIABLE


@dataclass(frozen=True)
class Executed:
    """A submission with the outputs of its cells, and how they were made."""

    notebook: NotebookNode
    level: str  # of isolation: "warm namespaces", "bubblewrap" or "none"
    seconds: float
    notes: tuple[str, ...] = ()  # what a grader should know, one sentence each


def execute(
    notebook: NotebookNode,
    *,
    seed: int,
    limits: Limits = Limits(),  # noqa: B008  frozen
    warm: WarmProcess | None = None,
    unsafe: bool = False,
) -> Executed:
    """Return a copy of the notebook with every code cell executed in order.

    Raises CourseError if no sandbox can be had and `unsafe` does not say to go without.
    """
    start = time.perf_counter()
    preprocessor = ExecuteSubmission(
        seed=seed, timeout=limits.cell_seconds, shutdown_kernel="immediate", extra_arguments=list(_ARGUMENTS)
    )
    executed, _ = preprocessor.preprocess(copy.deepcopy(notebook), {})
    return Executed(executed, "none", time.perf_counter() - start)


_ARGUMENTS = (
    "--IPKernelApp.log_level=40",  # kernels report errors only, not how they connect
    "--IPKernelApp.exec_lines=import sys; exit = quit = sys.exit",  # exit() ends its cell and not the kernel
)


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
