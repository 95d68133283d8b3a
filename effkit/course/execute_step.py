"""Execution as a step of nbgrader's chain, so that plain `nbgrader autograde` and formgrader use the sandbox too."""

import secrets
from dataclasses import replace
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import Execute
from traitlets import Bool, Integer

from effkit.course.execute import execute
from effkit.course.kernels import Limits, sandbox
from effkit.course.kernels.warm import SharedWarmProcess

_warm = SharedWarmProcess()


class ExecuteSubmission(Execute):
    """nbgrader's step that executes a submission, done by `execute`: sandboxed, within limits, with the run's seed."""

    seed = Integer(
        None, allow_none=True, help="The seed of the random cases; chosen at random for each notebook if not set."
    ).tag(config=True)
    unsafe_no_sandbox = Bool(False, help="Run students' code without a sandbox, where none can be had.").tag(config=True)
    warm_kernels = Bool(True, help="Fork kernels from a process that has done the imports.").tag(config=True)
    notebook_timeout = Integer(300, help="The seconds that all cells of a notebook may compute together.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any], km: Any = None) -> tuple[NotebookNode, dict[str, Any]]:
        """Execute the notebook. The seed reaches the kernel by its environment and the judge by `resources`."""
        seed = 1 + secrets.randbelow(2**31 - 1) if self.seed is None else self.seed  # 0 is what students see
        limits = replace(Limits(), cell_seconds=self.timeout or 60, notebook_seconds=self.notebook_timeout)
        warm = _warm.get() if self.warm_kernels and not self.unsafe_no_sandbox and sandbox.level() else None
        executed = execute(nb, seed=seed, limits=limits, warm=warm, unsafe=self.unsafe_no_sandbox)
        resources["effkit_seed"] = seed
        executed.notebook.metadata["effkit"] = {"seed": seed, "level": executed.level, "seconds": round(executed.seconds, 2)}
        for note in executed.notes:
            self.log.warning("%s", note)
        return executed.notebook, resources
