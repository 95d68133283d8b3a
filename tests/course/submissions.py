"""Makes whole submissions of a lab from the small files in tests/data/submissions: a notebook built by edits.

A file says what the student did: new sources for `cells`, then `copy`, `delete`, `metadata`, and `files` beside the
notebook, starting from the solution or from the lab as handed out (`start`, with `solved` tasks filled in). It says what
that deserves: `scores` for the cells that do not get full points (from the lab: not zero), and words that `reasons` hold.
"""

import tomllib
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from effkit.grading.tasks import tasks_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "data" / "submissions"


@dataclass(frozen=True)
class Submission:
    name: str
    lab: str
    notebook: NotebookNode
    files: dict[str, str] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)  # what every check cell deserves
    reasons: dict[str, str] = field(default_factory=dict)

    def put(self, course: Path) -> None:
        """Write the submission where nbgrader looks for it."""
        folder = course / "submitted" / self.name / self.lab
        folder.mkdir(parents=True)
        nbformat.write(self.notebook, folder / f"{self.lab}.ipynb")
        for name, text in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)


def names(lab: str) -> list[str]:
    return sorted(path.stem for path in (FOLDER / lab).glob("*.toml"))


def released(lab: str) -> NotebookNode:
    return nbformat.read(ROOT / "labs" / lab / f"{lab}.ipynb", as_version=4)


def solution_sources(lab: str) -> dict[str, str]:
    """Return the source of each solution cell, by cell id."""
    solution = nbformat.read(ROOT / "solutions" / lab / f"{lab}.ipynb", as_version=4)
    return {cell.id: cell.source for cell in solution.cells if cell.metadata.get("nbgrader", {}).get("solution")}


def load(lab: str, name: str) -> Submission:
    return build(lab, name, tomllib.loads((FOLDER / lab / f"{name}.toml").read_text(encoding="utf-8")))


def build(lab: str, name: str, edits: dict[str, Any]) -> Submission:
    """Make the submission that a file describes."""
    from_lab = edits.get("start") == "lab"
    sources = solution_sources(lab)
    if from_lab:
        sources = {f"{task}-solution": sources[f"{task}-solution"] for task in edits.get("solved", [])}
    sources |= {cell: source.strip("\n") for cell, source in edits.get("cells", {}).items()}
    notebook = edit(released(lab), sources, edits.get("delete", []), edits.get("metadata", {}))
    cells = {cell.id: cell for cell in notebook.cells}
    notebook.cells += [NotebookNode(deepcopy(cells[cell]), id=f"{cell}-copy") for cell in edits.get("copy", [])]
    if edits.get("blank_copies"):
        blank = {cell.id: cell.source for cell in released(lab).cells}
        for cell in edits["copy"]:
            next(c for c in notebook.cells if c.id == f"{cell}-copy").source = blank[cell]
    if edits.get("without_nbgrader"):
        for cell in notebook.cells:
            cell.metadata.pop("nbgrader", None)
    if edits.get("without_ids"):
        notebook.nbformat_minor = 0
        notebook.metadata.colab = {"provenance": []}
        for cell in notebook.cells:
            cell.metadata.id = cell.pop("id")
    scores = {task.name: 0 if from_lab else task.points for task in tasks_of(lab)} | edits.get("scores", {})
    return Submission(name, lab, notebook, edits.get("files", {}), scores, edits.get("reasons", {}))


def edit(
    notebook: NotebookNode, sources: dict[str, str], delete: list[str], metadata: dict[str, dict[str, Any]]
) -> NotebookNode:
    """Return a copy of the notebook with cells changed, by id; every id named must exist."""
    notebook = deepcopy(notebook)
    cells = {cell.id: cell for cell in notebook.cells}
    for cell, source in sources.items():
        cells[cell].source = source
    for cell, extra in metadata.items():
        nbgrader = {**cells[cell].metadata.nbgrader, **extra.get("nbgrader", {})}
        cells[cell].metadata.update({**extra, "nbgrader": nbgrader})
    notebook.cells = [cell for cell in notebook.cells if cell.id not in delete]
    assert not set(delete) - set(cells), "a cell to delete does not exist"
    return notebook
