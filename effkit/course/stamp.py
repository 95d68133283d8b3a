"""Tells whether anybody has worked in a generated notebook, by digests that the build writes into it."""

import hashlib
import json
from typing import Any

from nbformat import NotebookNode

import effkit

_NOTED_BY_JUPYTERLAB = {"collapsed", "execution", "jupyter", "kernelspec", "language_info", "scrolled", "trusted", "widgets"}


def stamp(notebook: NotebookNode) -> None:
    """Write into a notebook's metadata which effkit built it and the digest of its content."""
    notebook.metadata["effkit"] = {"version": effkit.__version__, "digest": _digest(notebook)}


def stamp_outputs(notebook: NotebookNode) -> None:
    """Write beside the stamp the digest of the outputs that the build got by running the notebook."""
    notebook.metadata["effkit"]["outputs"] = _digest_of_outputs(notebook)


def is_as_built(notebook: NotebookNode) -> bool:
    """Whether a notebook is what a build wrote; outputs, and what JupyterLab notes when it saves, do not matter."""
    own = notebook.metadata.get("effkit")
    return isinstance(own, dict) and own.get("digest") == _digest(notebook)


def has_run(notebook: NotebookNode) -> bool:
    """Whether a notebook's outputs are those of a build."""
    own = notebook.metadata.get("effkit")
    return isinstance(own, dict) and own.get("outputs") == _digest_of_outputs(notebook)


def _digest(notebook: NotebookNode) -> str:
    cells = [[cell.cell_type, cell.source, _own_metadata(cell), cell.get("attachments", {})] for cell in notebook.cells]
    return _hash([cells, _own_metadata(notebook)])


def _digest_of_outputs(notebook: NotebookNode) -> str:
    return _hash([cell.get("outputs", []) for cell in notebook.cells])


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _own_metadata(of: NotebookNode) -> dict[str, Any]:
    return {key: value for key, value in of.metadata.items() if key not in _NOTED_BY_JUPYTERLAB | {"effkit"}}
