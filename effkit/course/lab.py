"""What a lab's notebook was when it was handed out: the cells that grading relies on, and everything around them."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from effkit.course.errors import CourseError
from effkit.course.stamp import is_as_built


@dataclass(frozen=True)
class ReleasedCell:
    """One cell of the lab as handed out. `own` is nbgrader's metadata of it, or empty for an ordinary cell."""

    name: str
    cell_type: str
    source: str
    own: Mapping[str, Any]
    metadata: Mapping[str, Any]  # all of the cell's metadata without nbgrader's: tags, deletable, editable

    @property
    def graded(self) -> bool:
        """Whether it carries points."""
        return bool(self.own.get("grade"))

    @property
    def answer(self) -> bool:
        """Whether a student writes into it."""
        return bool(self.own.get("solution"))


@dataclass(frozen=True)
class ReleasedLab:
    """A lab as handed out. `layout` has every cell in order, as far as known; `cells` those that nbgrader knows, by name."""

    name: str
    version: str  # of effkit, which wrote it; empty if unknown
    layout: tuple[ReleasedCell, ...]

    @cached_property
    def cells(self) -> dict[str, ReleasedCell]:
        """Return the cells that nbgrader knows, by name and in the lab's order."""
        return {cell.name: cell for cell in self.layout if cell.own}


def read_lab(root: Path, lab: str) -> ReleasedLab:
    """Return the lab of a course folder: from the gradebook, which grading goes by, or else from labs/.

    Raises CourseError if neither has it.
    """
    if recorded := _recorded(root, lab):
        return with_surroundings(recorded, root)
    if released := handed_out(root, lab):
        return released
    known = sorted({path.parent.name for folder in ("labs", "solutions") for path in root.glob(f"{folder}/*/*.ipynb")})
    if lab not in known:
        raise CourseError(f"there is no lab {lab!r}; the labs are: {', '.join(known) or 'none'}")
    raise CourseError(f"labs/{lab}/{lab}.ipynb is not a lab as built, and no gradebook knows {lab}: run `make notebooks`")


def with_surroundings(recorded: ReleasedLab, root: Path) -> ReleasedLab:
    """Return the same lab with its ordinary cells too, if labs/ has what the gradebook recorded."""
    released = handed_out(root, recorded.name)
    if released is None:
        return recorded
    same = [(c.own, c.source) for c in recorded.cells.values()] == [(c.own, c.source) for c in released.cells.values()]
    return released if same else recorded


def handed_out(root: Path, lab: str) -> ReleasedLab | None:
    """Return the lab from labs/ in a folder: the file, or else git's latest, if it is as a build wrote it."""
    path = Path("labs", lab, f"{lab}.ipynb")
    for content in (_content(root / path), _committed(root, path)):
        try:
            notebook = nbformat.reads(content.decode(), as_version=4)
            if is_as_built(notebook):  # else somebody works in it
                return of_notebook(notebook, lab)
        except Exception:  # noqa: BLE001  whatever is in the file, it may be a student's
            continue
    return None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _committed(root: Path, path: Path) -> bytes:
    try:
        done = subprocess.run(["git", "show", f"HEAD:./{path.as_posix()}"], cwd=root, capture_output=True, check=False)
    except OSError:
        return b""
    return done.stdout


def of_notebook(notebook: Any, lab: str) -> ReleasedLab:
    """Return the lab that a released notebook is, given as plain JSON."""
    stamp = notebook["metadata"].get("effkit", {})
    layout = tuple(_of_cell(cell) for cell in notebook["cells"])
    return ReleasedLab(lab, str(stamp.get("version", "")), layout)


def _of_cell(cell: Any) -> ReleasedCell:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    metadata = {key: value for key, value in cell["metadata"].items() if key != "nbgrader"}
    own = cell["metadata"].get("nbgrader", {})
    return ReleasedCell(own.get("grade_id", ""), cell["cell_type"], source, own, metadata)


def of_gradebook(notebook: Any, lab: str) -> ReleasedLab:
    """Return the lab from nbgrader's record of its notebook: the cells that nbgrader knows, in the lab's order."""
    points = {cell.name: cell.max_score for cell in notebook.grade_cells}
    answers = {cell.name for cell in notebook.solution_cells}
    layout = []
    for cell in notebook.source_cells:
        own: dict[str, Any] = {
            "cell_type": cell.cell_type,
            "checksum": cell.checksum,
            "grade": cell.name in points,
            "grade_id": cell.name,
            "locked": cell.locked,
            "schema_version": 3,
            "solution": cell.name in answers,
            "task": False,
        }
        if cell.name in points:
            own["points"] = points[cell.name]
        layout.append(ReleasedCell(cell.name, cell.cell_type, cell.source, own, {}))
    return ReleasedLab(lab, "", tuple(layout))


def _recorded(root: Path, lab: str) -> ReleasedLab | None:
    """Return what the gradebook has of a lab, or None. Creates nothing."""
    if not (root / "gradebook.db").is_file():
        return None
    from nbgrader.api import Gradebook, MissingEntry

    from effkit.course.nbgrader_api import nbgrader_api

    with Gradebook(nbgrader_api(root).coursedir.db_url) as gradebook:
        try:
            return of_gradebook(gradebook.find_notebook(lab, lab), lab)
        except MissingEntry:
            return None
