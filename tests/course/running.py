"""Runs cells in real kernels, cold and warm, for tests of the sandbox and of execution."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from effkit.course.execute import Executed, execute
from effkit.course.kernels import Limits, WarmProcess
from effkit.course.kernels.talk import Kernel
from effkit.course.outputs import Outputs

# Where bubblewrap is installed it must work: a sandbox that is broken is a failure and no reason to skip.
needs_sandbox = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
SMALL = Limits(cell_seconds=20, memory_bytes=700 * 2**20, scratch_bytes=32 * 2**20, processes=48)


class Level:
    """A way to start kernels: cold, or from a warm process."""

    def __init__(self, name: str, warm: WarmProcess | None) -> None:
        self.name, self.warm = name, warm

    def run(self, *sources: str, limits: Limits = SMALL) -> Executed:
        """Execute cells as one submission."""
        return execute(notebook(*sources), seed=1, limits=limits, warm=self.warm)

    @contextmanager
    def kernel(self, limits: Limits = SMALL) -> Iterator["Asked"]:
        with Kernel(limits, {"EFFKIT_SEED": "1"}, self.warm, False) as kernel:
            assert kernel.level == self.name
            yield Asked(kernel)


class Asked:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __call__(self, source: str, seconds: float = 20) -> str:
        """Return the text that a cell prints, or its error as a line, or what became of the kernel."""
        outputs = Outputs(10**6, 100)
        ending = self.kernel.run(source, outputs, seconds)
        return ending.problem or text(outputs.finished())


def notebook(*sources: str) -> NotebookNode:
    return new_notebook(cells=[new_code_cell(source, id=f"cell{number}") for number, source in enumerate(sources)])


def text(outputs: list[NotebookNode]) -> str:
    """Return what outputs say, as text."""
    said = []
    for output in outputs:
        if output.output_type == "stream":
            said.append(output.text)
        elif output.output_type == "error":
            said.append(f"{output.ename}: {output.evalue}")
        else:
            said.append(str(output.data.get("text/plain", "")))
    return "\n".join(part.strip() for part in said)


def said(executed: Executed) -> list[str]:
    """Return what each cell says."""
    return [text(cell.outputs) for cell in executed.notebook.cells]
