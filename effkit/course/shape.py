"""Gives whatever JSON was in a notebook file the form of a notebook; every source is kept, and of the rest what fits."""

import re
from typing import Any

import nbformat
from nbformat import NotebookNode

from effkit.course.findings import Finding
from effkit.course.reading import Unreadable

_MAX_DEPTH = 40  # of metadata and outputs
_MAX_OUTPUT = 2_000_000  # characters of one cell's outputs as JSON; a large picture has a tenth of it
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PYTHON = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class _TooDeep(Exception):
    """Data nested deeper than any notebook needs."""


def shaped(data: dict[str, Any], name: str) -> tuple[NotebookNode, list[Finding]]:
    """Return a notebook of format 4.5 for the JSON object of a file, and what had to be changed.

    It is valid but for the cells' ids: the same one twice tells of a copy, so `unique_ids` comes when copies are sorted out.
    Raises Unreadable if it is in an older format that cannot be converted.
    """
    notes = _Notes()
    data = _current_format(data, name, notes)
    cells = data.get("cells")
    if not isinstance(cells, list):
        raise Unreadable(
            "not a notebook",
            f"{name} is not a readable notebook (its cells are not a list). Save or download it again where it was written.",
        )
    kept = [_cell(cell, notes) for cell in cells if isinstance(cell, dict)]
    notes.add("structure", "entries among the cells are no cells ({n}): they are left out.", len(cells) - len(kept))
    notebook = NotebookNode(cells=kept, metadata=_metadata(data.get("metadata"), notes), nbformat=4, nbformat_minor=5)
    _valid_by_force(notebook, notes)
    return notebook, notes.findings()


class _Notes:
    """Counts what was changed, so that one sentence says it however often it happened."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, kind: str, sentence: str, n: int = 1) -> None:
        if n:
            self._counts[kind, sentence] = self._counts.get((kind, sentence), 0) + n

    def findings(self) -> list[Finding]:
        return [
            Finding(kind, "", sentence.format(n=n, cells="one cell" if n == 1 else f"{n} cells"), repaired=True)
            for (kind, sentence), n in self._counts.items()
        ]


def _current_format(data: dict[str, Any], name: str, notes: _Notes) -> dict[str, Any]:
    """Return the notebook in format 4; what is not a number of a format is taken for what its content looks like."""
    major = data.get("nbformat")
    if "cells" in data and not (type(major) is int and major < 4):
        if type(major) is not int or type(data.get("nbformat_minor")) is not int:
            notes.add("old format", "the notebook does not say its format: it is read as the present one.")
        return data
    try:
        old = {**data, "nbformat": major if type(major) is int and 1 <= major <= 3 else 3}
        converted = nbformat.convert(nbformat.from_dict(old), 4)
    except Exception:  # noqa: BLE001  whatever is in the file, it is the student's
        sentence = f"{name} is in an old format that cannot be converted: open it in JupyterLab and save it again."
        raise Unreadable("old format", sentence) from None
    notes.add("old format", f"the notebook is in format {old['nbformat']}, from before 2015: it is converted to format 4.")
    return dict(converted)


def _cell(cell: dict[str, Any], notes: _Notes) -> NotebookNode:
    own = _plain(cell.get("metadata"), notes)
    metadata = own if isinstance(own, dict) else {}
    if not isinstance(cell.get("metadata", {}), dict):
        notes.add("metadata", "the metadata of {cells} is malformed: it is dropped.")
    kind = cell.get("cell_type")
    if kind not in ("code", "markdown", "raw"):
        notes.add("structure", "{cells} of no valid type: kept as plain text.")
        kind = "code" if "outputs" in cell else "raw"
    ids = [cell.get("id"), metadata.pop("id", None)]  # Colab keeps the id in the metadata
    known = next((i for i in ids if isinstance(i, str) and _ID.fullmatch(i)), "")
    result = NotebookNode(cell_type=kind, id=known, metadata=nbformat.from_dict(metadata), source=_source(cell, notes))
    if kind == "code":
        count = cell.get("execution_count")
        result.execution_count = count if type(count) is int and count >= 0 else None
        result.outputs = _outputs(cell.get("outputs", []), notes)
    elif isinstance(cell.get("attachments"), dict) and isinstance(attachments := _plain(cell["attachments"], notes), dict):
        result.attachments = nbformat.from_dict(attachments)
    return result


def _source(cell: dict[str, Any], notes: _Notes) -> str:
    source = cell.get("source", "")
    parts = source if isinstance(source, list) else [source]
    text = "".join(part for part in parts if isinstance(part, str))
    notes.add(
        "structure", "lines of cells are no text ({n}): they are left out.", sum(not isinstance(p, str) for p in parts)
    )
    clean = _unicode(text)
    notes.add(
        "encoding",
        "broken characters (lone surrogates) in {cells}, which no program can save: each counts as �.",
        clean != text,
    )
    return clean


def _outputs(outputs: Any, notes: _Notes) -> list[NotebookNode]:
    if not isinstance(outputs, list):
        notes.add("outputs", "the outputs of {cells} are malformed: they are dropped.")
        return []
    size = 0
    kept = []
    for output in outputs:
        plain = _plain(output, notes)
        size += _size(plain)
        if size > _MAX_OUTPUT:
            notes.add("large outputs", "the outputs of {cells} are huge: they are cut. Does a loop print without end?")
            break
        if isinstance(plain, dict):
            kept.append(nbformat.from_dict(plain))
    return kept


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return sum(len(key) + _size(part) for key, part in value.items())
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str) else 8


def _plain(value: Any, notes: _Notes) -> Any:
    """Return JSON data that can be written again, or None where it is nested too deeply."""
    try:
        return _plain_part(value, 0)
    except _TooDeep:
        notes.add("metadata", "data is nested too deeply in {cells} or their outputs: it is dropped.")
        return None


def _plain_part(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise _TooDeep
    if isinstance(value, str):
        return _unicode(value)
    if isinstance(value, dict):
        return {_unicode(str(key)): _plain_part(part, depth + 1) for key, part in value.items()}
    return [_plain_part(part, depth + 1) for part in value] if isinstance(value, list) else value


def _unicode(text: str) -> str:
    """Return a text in which halves of surrogate pairs, which UTF-8 cannot hold, are replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # joins pairs, marks halves
    return text


def unique_ids(cells: list[NotebookNode]) -> None:
    """Give an id to each cell that has none or another's; a first owner keeps it."""
    taken: set[str] = {cell.id for cell in cells if cell.id}
    seen: set[str] = set()
    for position, cell in enumerate(cells):
        if not cell.id or cell.id in seen:
            cell.id = free_id(f"unnamed-{position:02d}", taken)
        seen.add(cell.id)


def free_id(wish: str, taken: set[str]) -> str:
    """Return an id like `wish` that is not taken, and take it."""
    found = wish[:64]
    number = 2
    while found in taken:
        found = f"{wish[:58]}-{number}"
        number += 1
    taken.add(found)
    return found


def _metadata(metadata: Any, notes: _Notes) -> NotebookNode:
    """Return the notebook's own metadata without what is malformed; a kernel that is not Python's becomes Python's."""
    plain = _plain(metadata, notes)
    if not isinstance(plain, dict):
        notes.add("metadata", "the notebook's own metadata is missing or malformed: it is written anew.")
        return nbformat.from_dict(_PYTHON)
    for key in ("effkit", "widgets", "colab", "jupytext"):
        if key in plain and not isinstance(plain[key], dict):
            notes.add("metadata", f"the notebook's metadata {key} is malformed: it is dropped.")
            del plain[key]
    for key, needed in (("kernelspec", ("name", "display_name")), ("language_info", ("name",))):
        own = plain.get(key, _PYTHON[key])
        if not isinstance(own, dict) or not all(isinstance(own.get(part), str) for part in needed):
            notes.add("metadata", f"the notebook's metadata {key} is malformed: Python is meant.")
            own = _PYTHON[key]
        elif str(own.get("language" if key == "kernelspec" else "name", "python")).lower() not in ("python", "ipython"):
            notes.add("metadata", "the notebook is set to run in another language: Python is meant.")
            own = _PYTHON[key]
        plain[key] = own
    return nbformat.from_dict(plain)


def _valid_by_force(notebook: NotebookNode, notes: _Notes) -> None:
    """Drop what nbformat does not accept, the least valuable first: outputs, then metadata."""
    if _is_valid(notebook.cells, notebook.metadata):
        return
    if not _is_valid([], notebook.metadata):
        notes.add("metadata", "the notebook's own metadata is missing or malformed: it is written anew.")
        notebook.metadata = nbformat.from_dict({**_PYTHON, "effkit": notebook.metadata.get("effkit", {})})
    for cell in notebook.cells:
        if _is_valid([cell]):
            continue
        if cell.get("outputs"):
            cell.outputs = []
            notes.add("outputs", "the outputs of {cells} are malformed: they are dropped.")
        if not _is_valid([cell]):
            own = cell.metadata.get("nbgrader")
            cell.metadata = NotebookNode({} if own is None else {"nbgrader": own})
            cell.pop("attachments", None)
            notes.add("metadata", "the metadata of {cells} is malformed: it is dropped.")


def _is_valid(cells: list[NotebookNode], metadata: NotebookNode | None = None) -> bool:
    numbered = [NotebookNode({**cell, "id": f"cell-{number}"}) for number, cell in enumerate(cells)]
    try:
        nbformat.validate(NotebookNode(cells=numbered, metadata=metadata or {}, nbformat=4, nbformat_minor=5))
    except Exception:  # noqa: BLE001  whatever is in the file, it is the student's
        return False
    return True
