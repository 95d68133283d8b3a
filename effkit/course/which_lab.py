"""Tells which lab a file is meant to be, and finds the lab as it was handed out: in the course folder or beside effkit."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import effkit
from effkit.course.errors import CourseError
from effkit.course.lab import ReleasedLab, handed_out, of_notebook, read_lab
from effkit.course.reading import Unreadable, read_json
from effkit.course.repair import put_right
from effkit.grading.tasks import LABS, tasks_of

_BEGIN = re.compile(r"\b(?:begin|progress)\(\s*[\"']([\w-]+)[\"']")


def lab_of(path: Path, course: Path, wanted: str = "") -> ReleasedLab | None:
    """Return the lab that a file or folder holds as it was handed out; None if nobody can tell or nobody has it.

    `wanted` is a lab's name or the path of an untouched notebook of the lab. Raises CourseError if it is neither.
    """
    if wanted.endswith(".ipynb"):
        return _from_file(Path(wanted))
    if wanted:
        found = _handed_out(course, wanted)
        if found is None:
            known = ", ".join(sorted(_names(course))) or "none"
            raise CourseError(
                f"there is no lab {wanted!r} here; the labs are: {known}. Or name its untouched notebook, LAB.ipynb"
            )
        return found
    name = _name_of(path, course)
    return _handed_out(course, name) if name else None


def _from_file(path: Path) -> ReleasedLab:
    try:
        notebook, _ = put_right(read_json(path).data, ReleasedLab(path.stem, "", ()), path.name)
        lab = of_notebook(notebook, path.stem)
    except Unreadable as problem:
        raise CourseError(f"--lab: {problem}") from problem
    if not lab.cells:
        raise CourseError(f"--lab: {path} has no graded cells, so it is no lab")
    return lab


@cache
def _handed_out(course: Path, lab: str) -> ReleasedLab | None:
    if (course / "nbgrader_config.py").is_file():
        try:
            return read_lab(course, lab)
        except Exception:  # noqa: BLE001  without nbgrader, or with a gradebook that cannot be read: what is handed out helps too
            pass
    return next(filter(None, (handed_out(place, lab) for place in _places(course))), None)


def _places(course: Path) -> list[Path]:
    """Return the folders whose labs/ may hold the labs: here, in the installed effkit, and beside it in its repository."""
    package = Path(effkit.__file__).parent
    return [course, package / "course", package.parent]


def _names(course: Path) -> set[str]:
    folders = {path.parent.name for place in _places(course) for path in place.glob("labs/*/*.ipynb")}
    return folders | set(LABS)


def _name_of(path: Path, course: Path) -> str:
    """Return the lab's name from the notebook's own text, from the file's or folder's name, or from its graded cells."""
    names = _names(course)
    files = sorted(path.glob("*.ipynb")) if path.is_dir() and not path.is_symlink() else [path]
    cells = [cell for file in files[:5] for cell in _cells(file)]
    for cell in cells:
        found = _BEGIN.search(_text(cell.get("source")))
        if found and found[1] in names:
            return found[1]
    for part in (path.name, path.parent.name, path.resolve().parent.name):
        close = [name for name in names if name in part]
        if close:
            return max(close, key=len)
    marks = [own.get("grade_id") for cell in cells if isinstance(own := _own(cell), dict)]
    return max(LABS, key=lambda lab: sum(task.name in marks for task in tasks_of(lab))) if marks else ""


def _own(cell: dict[str, Any]) -> Any:
    metadata = cell.get("metadata")
    return metadata.get("nbgrader") if isinstance(metadata, dict) else None


def _cells(path: Path) -> list[dict[str, Any]]:
    try:
        cells = read_json(path).data.get("cells")
    except Unreadable:
        return []
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def _text(source: Any) -> str:
    return "".join(part for part in source if isinstance(part, str)) if isinstance(source, list | str) else ""
