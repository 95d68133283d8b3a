"""Puts the graded cells of a submission right before it runs: their metadata as released, one of each, none missing."""

from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from effkit.course.findings import Finding
from effkit.course.lab import ReleasedCell, ReleasedLab, of_gradebook


class RestoreCells(NbGraderPreprocessor):
    """Rebuilds nbgrader's metadata of every cell from the gradebook, whatever the submission says.

    It takes the place of nbgrader's DeduplicateIds; OverwriteCells, after it, restores the sources of locked cells.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Restore the graded cells of one notebook."""
        own = resources["nbgrader"]
        with Gradebook(own["db_url"]) as gradebook:
            lab = of_gradebook(gradebook.find_notebook(own["notebook"], own["assignment"]), own["notebook"])
        for finding in restore(nb, lab):
            self.log.warning(finding.sentence)
        return nb, resources


def restore(nb: NotebookNode, lab: ReleasedLab) -> list[Finding]:
    """Put the graded cells of a notebook right, in place, and say what was done.

    A cell is known by its grade_id or, where the metadata is gone, by its id. Of several copies one counts: for an
    answer the last one that is not the released text, otherwise the last; the other copies stay as ordinary cells, which
    still run. A graded cell that is missing is put at the end, where it sees everything the student defined.
    """
    findings = []
    counting = _counting_cells(nb.cells, lab.cells)
    for cell in nb.cells:
        cell.metadata.pop("nbgrader", None)
    for name, cell in counting.items():
        cell.metadata["nbgrader"] = dict(lab.cells[name].own)
    for name, known in lab.cells.items():
        if known.graded and name not in counting:
            sentence = f"The graded cell {name} is missing and is put back."
            findings.append(Finding("missing", name, sentence, repaired=True))
            nb.cells.append(_new_cell(known))
    return findings


def _counting_cells(cells: list[NotebookNode], released: dict[str, ReleasedCell]) -> dict[str, NotebookNode]:
    """Return for each known name the one cell that counts."""
    counting: dict[str, NotebookNode] = {}
    for cell in cells:
        name = _name(cell, released)
        if name is None:
            continue
        unanswered = released[name].answer and cell.source == released[name].source
        if name not in counting or not unanswered:
            counting[name] = cell
    return counting


def _name(cell: NotebookNode, released: dict[str, ReleasedCell]) -> str | None:
    own = cell.metadata.get("nbgrader")
    grade_id = own.get("grade_id") if isinstance(own, dict) else None
    if isinstance(grade_id, str) and grade_id in released:
        return grade_id
    return cell.get("id") if cell.get("id") in released else None


def _new_cell(known: ReleasedCell) -> NotebookNode:
    metadata = {"nbgrader": dict(known.own)}
    make = new_code_cell if known.cell_type == "code" else new_markdown_cell
    return make(known.source, metadata=metadata, id=known.name)
