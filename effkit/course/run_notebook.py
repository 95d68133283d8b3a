"""Runs a notebook as a stranger would: in a new kernel, from a folder that holds only the notebook."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from effkit.course.lecture_outputs import place, problems
from effkit.course.nbgrader_api import CourseError

CELL_TIMEOUT_S = 300  # ten times what a whole lecture may take, for a busy machine
# Settings of whoever builds that would change what a notebook shows.
_LOCAL = ("EFFKIT_", "IPYTHON", "MPLBACKEND", "PYTEST_", "PYTHONHASHSEED", "PYTHONSTARTUP", "PYTHONWARNINGS")


def execute(notebook: NotebookNode, name: str, *machine: Path) -> None:
    """Run all cells of a notebook in place. Raises CourseError, naming the cell, for an error or a word on stderr.

    `machine` are folders that no output may name.
    """
    with tempfile.TemporaryDirectory(prefix="effkit-") as folder:
        alone = Path(folder, "notebook")
        alone.mkdir()
        nbformat.write(notebook, alone / f"{name}.ipynb")
        try:
            _run(notebook, alone, _environment(Path(folder)))
        except _Stopped as stopped:
            raise CourseError(f"{name}, {stopped}") from None
        found = list(problems(notebook, Path(folder), *machine))
    if found:
        raise CourseError("\n".join(f"{name}, {problem}" for problem in found))


class _Stopped(Exception):
    """A notebook that did not come to its end."""


def _run(notebook: NotebookNode, folder: Path, environment: dict[str, str]) -> None:
    current = notebook.cells[0]

    def begins(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell

    # No kernel specification of the user's own: the kernel is that of the Python which runs this. With a manager that is not
    # asynchronous, the client would wait for ever for a kernel that died.
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = NotebookClient(
        notebook,
        km=kernel,
        resources={"metadata": {"path": str(folder)}},
        timeout=CELL_TIMEOUT_S,
        startup_timeout=120,
        shutdown_kernel="immediate",
        on_cell_start=begins,
    )
    try:
        # What goes to DEVNULL are a kernel's own remarks: what a cell writes on stderr is an output.
        client.execute(env=environment, stderr=subprocess.DEVNULL, cleanup_kc=True)
    except CellExecutionError as error:
        line = re.search(r"(?m)^-+> \d+ +(.*)", re.sub(r"\x1b\[[\d;]*m", "", error.traceback))
        at = f", at `{line[1]}`" if line else ""
        what = ": ".join(filter(None, [error.ename, error.evalue]))
        raise _Stopped(f"{place(current)}: {what}{at}") from None
    except DeadKernelError:
        raise _Stopped(f"{place(current)}: the kernel died") from None
    except AssertionError:  # nbclient takes Ctrl-C itself, ends the kernel, and stumbles over its absence
        raise KeyboardInterrupt from None
    except CellControlSignal:
        raise _Stopped(f"{place(current)}: takes more than {CELL_TIMEOUT_S} s") from None


def _environment(folder: Path) -> dict[str, str]:
    """Return the variables for a kernel without the user's own settings of Python, IPython and matplotlib."""
    import matplotlib.font_manager  # makes the font cache here, so that no lecture does and tells so on stderr

    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LOCAL)}
    return kept | {
        "IPYTHONDIR": str(folder / "ipython"),
        "MATPLOTLIBRC": str(Path(matplotlib.get_data_path(), "matplotlibrc")),
    }
