"""Executes one submission. A cell that hangs, or takes its kernel down, costs only what that cell earns."""

import copy
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Self

from nbformat import NotebookNode

from effkit.course.kernels import Limits, WarmProcess, sandbox
from effkit.course.kernels.provisioner import KernelStartError
from effkit.course.kernels.talk import Ending, Kernel, environment
from effkit.course.kernels.turn import Turn
from effkit.course.outputs import Outputs, error
from effkit.grading.check import SEED_VARIABLE

_DIED, _LATE = "DeadKernelError", "CellTimeoutError"  # as nbclient names them
_SENTENCES = {
    "died": (_DIED, "This cell ended the Python process that it ran in."),
    "out of memory": (_DIED, "This cell used more memory than a submission may have."),
    "out of time": (_LATE, "This cell did not end in time."),
    "not run": (_LATE, "This cell was not run: the cells before it had used up the time of the whole notebook."),
}


_PAUSE_S = 0.5


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

    A cell after which the kernel is gone is lost: the kernel is started again, the code cells before it are run again
    without their outputs (but not the lost cells and not the checks), and execution goes on. Before it counts as lost it
    is tried once more, and where the machine was busy, alone. A kernel may also end some time after the cell that is to
    blame, by a thread or a timer: so this second time there is a pause after each of the cells before, and a cell in whose
    pause the kernel ends is lost in place of the one that was tried.

    Raises CourseError if no sandbox can be had and `unsafe` does not say to go without, and KernelStartError if there is one
    and no kernel starts in it.
    """
    sandbox.level(unsafe)
    start = time.perf_counter()
    with Turn() as turn, _Run(copy.deepcopy(notebook), seed, limits, warm, unsafe, turn) as run:
        for index, cell in enumerate(run.notebook.cells):
            if _is_code(cell):
                run.cell(index)
    return Executed(run.notebook, run.level, time.perf_counter() - start, tuple(run.notes))


class _Run:
    """The state of one submission's execution."""

    def __init__(
        self, notebook: NotebookNode, seed: int, limits: Limits, warm: WarmProcess | None, unsafe: bool, turn: Turn
    ) -> None:
        self.notebook = notebook
        self.level = ""
        self.notes: list[str] = []
        self._limits, self._turn = limits, turn
        self._start = partial(Kernel, limits, environment(SEED_VARIABLE, seed), warm, unsafe)
        self._kernel: Kernel | None = None
        self._used_before = 0.0  # seconds, by kernels that have ended
        self._began = time.monotonic()
        self._output_bytes = 0
        self._lost: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def cell(self, index: int) -> None:
        """Execute one cell and put its outputs into the notebook."""
        cell = self.notebook.cells[index]
        cell.execution_count = None
        ending, outputs = self._try(index)
        died = ending.problem == "died"
        if (died or ending.starved) and self._seconds_left() > 0:
            alone: AbstractContextManager[None] = self._turn.alone() if ending.starved else nullcontext()
            with alone:
                ending, outputs = self._try(index, pause_s=_PAUSE_S if died else 0.0)
        if ending.problem:
            self._lose(index, ending.problem)
            return
        cell.outputs = outputs.finished()
        self._output_bytes += outputs.used_bytes
        if ending.error and not outputs.has_error():
            cell.outputs.append(error(*ending.error))
        if _is_check(cell):  # nbgrader takes the first output that tells a score: an error tells more than a number
            cell.outputs.sort(key=lambda output: output.output_type != "error")
        if outputs.cut:
            self.notes.append(f"{_name(cell, index)}: its output was cut.")

    def _lose(self, index: int, problem: str) -> None:
        """Put the reason in the place of a cell's outputs, and never run it again."""
        cell = self.notebook.cells[index]
        self._lost.add(index)
        cell.outputs = [error(*_SENTENCES[problem])]
        self.notes.append(f"{_name(cell, index)}: {_SENTENCES[problem][1]}")

    def _try(self, index: int, pause_s: float = 0.0) -> tuple[Ending, Outputs]:
        room = self._limits.notebook_output_bytes - self._output_bytes
        outputs = Outputs(min(self._limits.cell_output_bytes, room), self._limits.cell_outputs)
        if not self._ready(index, pause_s):
            return Ending("not run"), outputs
        return self._run(index, outputs), outputs

    def _run(self, index: int, outputs: Outputs) -> Ending:
        assert self._kernel is not None
        seconds = min(self._limits.cell_seconds, max(self._seconds_left(), 1.0))
        ending = self._kernel.run(self.notebook.cells[index].source, outputs, seconds)
        if ending.problem:
            self._stop()
        return ending

    def _ready(self, index: int, pause_s: float) -> bool:
        """See to it that a kernel runs, in the state that the cells before `index` left; False if there is no time."""
        while self._kernel is None or not self._kernel.is_alive():
            self._stop()
            if self._seconds_left() <= 0:
                return False
            self._kernel = self._new_kernel()
            if self._replay(index, pause_s):
                self._stop()
                pause_s = _PAUSE_S
        return self._seconds_left() > 0

    def _replay(self, end: int, pause_s: float) -> str:
        """Run the cells before `end` that are not checks, without their outputs; return the problem that stopped it."""
        for index in range(end):
            cell = self.notebook.cells[index]
            if index in self._lost or _is_check(cell) or not _is_code(cell):
                continue
            problem = self._run(index, Outputs(0, 0)).problem
            if not problem and pause_s and self._kernel and not self._kernel.survives(pause_s):
                problem = "died"
            if problem and (pause_s or problem != "died"):  # else it may have been a cell before
                self._lose(index, problem)
            if problem:
                return problem
        return ""

    def _new_kernel(self) -> Kernel:
        try:
            kernel = self._start()
        except KernelStartError:  # the machine may have been short of something for a moment
            kernel = self._start()
        self.level = kernel.level if self.level in ("", kernel.level, sandbox.WARM) else self.level
        return kernel

    def _stop(self) -> None:
        if self._kernel is not None:
            self._used_before += self._kernel.used_seconds
            self._kernel.close()
            self._kernel = None

    def _seconds_left(self) -> float:
        """Return how much the notebook may still compute, or none if it takes far too long by the clock."""
        used = self._used_before + (self._kernel.used_seconds if self._kernel else 0.0)
        if time.monotonic() - self._began > self._limits.notebook_seconds * self._limits.wall_factor:
            return 0.0
        return self._limits.notebook_seconds - used


def _is_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


def _is_check(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def _name(cell: NotebookNode, index: int) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", f"cell {index + 1}"))
