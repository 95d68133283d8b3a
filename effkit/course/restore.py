"""Puts the graded cells of a submission right before it runs: their metadata as released, one of each, none missing."""

from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor


class RestoreCells(NbGraderPreprocessor):
    """Rebuilds nbgrader's metadata of every cell from the gradebook, whatever the submission says.

    A cell is known by its grade_id or, where the metadata is gone, by its id. Of several copies one counts: for an
    answer the last one that is not the released text, otherwise the last; the other copies stay as ordinary cells, which
    still run. A graded cell that is missing is put at the end, where it sees everything the student defined.

    It takes the place of nbgrader's DeduplicateIds; OverwriteCells, after it, restores the sources of locked cells.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Restore the graded cells of one notebook."""
        own = resources["nbgrader"]
        with Gradebook(own["db_url"]) as gradebook:
            released = _released_cells(gradebook.find_notebook(own["notebook"], own["assignment"]))
        counting = _counting_cells(nb.cells, released)
        for cell in nb.cells:
            cell.metadata.pop("nbgrader", None)
        for name, cell in counting.items():
            cell.metadata["nbgrader"] = dict(released[name]["metadata"])
        for name, known in released.items():
            if known["metadata"]["grade"] and name not in counting:
                self.log.warning("The graded cell %s is missing and is put back", name)
                nb.cells.append(_new_cell(name, known))
        return nb, resources


def _released_cells(notebook: Any) -> dict[str, dict[str, Any]]:
    """Return the source and nbgrader's metadata of each cell that the gradebook knows, in the lab's order."""
    points = {cell.name: cell.max_score for cell in notebook.grade_cells}
    solutions = {cell.name for cell in notebook.solution_cells}
    released = {}
    for cell in notebook.source_cells:
        metadata = {
            "cell_type": cell.cell_type,
            "checksum": cell.checksum,
            "grade": cell.name in points,
            "grade_id": cell.name,
            "locked": cell.locked,
            "schema_version": 3,
            "solution": cell.name in solutions,
            "task": False,
        }
        if cell.name in points:
            metadata["points"] = points[cell.name]
        released[cell.name] = {"source": cell.source, "metadata": metadata}
    return released


def _counting_cells(cells: list[NotebookNode], released: dict[str, dict[str, Any]]) -> dict[str, NotebookNode]:
    """Return for each known name the one cell that counts."""
    counting: dict[str, NotebookNode] = {}
    for cell in cells:
        name = _name(cell, released)
        if name is None:
            continue
        unanswered = released[name]["metadata"]["solution"] and cell.source == released[name]["source"]
        if name not in counting or not unanswered:
            counting[name] = cell
    return counting


def _name(cell: NotebookNode, released: dict[str, dict[str, Any]]) -> str | None:
    own = cell.metadata.get("nbgrader")
    grade_id = own.get("grade_id") if isinstance(own, dict) else None
    if isinstance(grade_id, str) and grade_id in released:
        return grade_id
    return cell.get("id") if cell.get("id") in released else None


def _new_cell(name: str, known: dict[str, Any]) -> NotebookNode:
    metadata = {"nbgrader": dict(known["metadata"])}
    make = new_code_cell if known["metadata"]["cell_type"] == "code" else new_markdown_cell
    return make(known["source"], metadata=metadata, id=name)
