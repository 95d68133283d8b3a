"""The outputs with which a notebook is committed: only those that every run gives again."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

LIVE = "live"  # the tag of a cell that measures the machine on which it runs
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


def clean(notebook: NotebookNode) -> None:
    """Leave in a notebook the outputs that every run gives.

    Out go those of live cells, counts, and widgets, which are dead without their kernel; the static picture beside a widget
    stays.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [] if LIVE in cell.metadata.get("tags", []) else _kept(cell.outputs)


def problems(notebook: NotebookNode, *machine: Path) -> Iterator[str]:
    """Yield what must not happen in a notebook that ran, naming the cell; `machine` are folders that no output may name."""
    paths = [str(path) + os.sep for path in (*machine, Path(sys.prefix), Path.home()) if path != Path(path.anchor)]
    for cell in notebook.cells:
        kept = [] if LIVE in cell.metadata.get("tags", []) else _strings(cell.get("outputs", []))
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield f"{place(cell)}: {output.ename}: {output.evalue}"
            elif output.get("name") == "stderr":
                yield f"{place(cell)} writes on stderr: {output.text.strip()}"
        for text in kept:
            if named := [path for path in paths if path in text] or _ADDRESS.findall(text):
                yield f"{place(cell)} shows what another machine would not: {named[0]}"


def place(cell: NotebookNode) -> str:
    """Return the id of a cell and the line it begins with, by which it is found in the source."""
    return f"{cell.id} ({next(iter(cell.source.strip().splitlines()), '')})"


def _kept(outputs: list[NotebookNode]) -> list[NotebookNode]:
    kept: list[NotebookNode] = []
    for output in outputs:
        output.get("data", {}).pop(_WIDGET_VIEW, None)
        if "execution_count" in output:
            output.execution_count = None
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text  # when a kernel sends what is printed, depends on its clock
        elif output.get("data", output.get("text", output.get("ename"))):
            kept.append(output)
    return kept


def _strings(of: Any) -> Iterator[str]:
    """Yield all text in outputs."""
    if isinstance(of, str):
        yield of
    elif isinstance(of, dict | list):
        for inside in of.values() if isinstance(of, dict) else of:
            yield from _strings(inside)
