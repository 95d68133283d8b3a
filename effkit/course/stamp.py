"""Tells whether anybody has worked in a generated notebook, by a digest that the build writes into it."""

import hashlib
import json
from typing import Any

from nbformat import NotebookNode

import effkit

_NOTED_BY_JUPYTERLAB = {"collapsed", "execution", "jupyter", "kernelspec", "language_info", "scrolled", "trusted", "widgets"}


def stamp(notebook: NotebookNode) -> None:
    """Write into a notebook's metadata which effkit built it and the digest of its content."""
    notebook.metadata["effkit"] = {"version": effkit.__version__, "digest": _digest(notebook)}


def is_as_built(notebook: NotebookNode) -> bool:
    """Whether a notebook is what a build wrote; outputs, and what JupyterLab notes when it saves, do not matter."""
    own = notebook.metadata.get("effkit")
    return isinstance(own, dict) and own.get("digest") == _digest(notebook)


def _digest(notebook: NotebookNode) -> str:
    cells = [[cell.cell_type, cell.source, _own_metadata(cell), cell.get("attachments", {})] for cell in notebook.cells]
    content = json.dumps([cells, _own_metadata(notebook)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _own_metadata(of: NotebookNode) -> dict[str, Any]:
    return {key: value for key, value in of.metadata.items() if key not in _NOTED_BY_JUPYTERLAB | {"effkit"}}
