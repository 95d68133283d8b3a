"""Puts the graded cells of a notebook right: known ones as released, one of each, none missing; no answer is touched.

One repair for everyone: `effkit doctor`, the batch, and nbgrader's own chain (`restore.RestoreCells`) all call `mend`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from effkit.course.findings import Finding
from effkit.course.lab import ReleasedCell, ReleasedLab
from effkit.course.recognise import by_content, by_name
from effkit.course.shape import free_id

_FLAGS = ("grade", "solution", "locked", "points", "task")


@dataclass(frozen=True)
class _Copy:
    """A cell of the notebook that is one of the lab's, and where it stands (counted from 1, as a reader would)."""

    cell: NotebookNode
    position: int


def mend(nb: NotebookNode, lab: ReleasedLab) -> list[Finding]:
    """Put the graded cells of a notebook right, in place, and say what was found.

    Of several copies of a check the last one counts. Of several copies of an answer (a cell that was copied or split)
    the last one counts that is not the released text and, in code, defines the function; nothing is joined or moved, and
    the other copies stay where they are as ordinary cells, which run and which a grader reads. Locked cells get their
    released text; lines that a student added to one are kept in an ordinary cell above it. A check or a question that is
    missing is put at the end, where it sees everything that was defined.
    """
    if not lab.cells:
        return []
    findings = [*_unknown(nb, lab), *_old_version(nb, lab), *_skipped(nb)]
    named, notes = by_name(nb.cells, lab)
    findings += notes
    found, notes = by_content(nb.cells, lab, named)
    findings += notes
    copies: dict[str, list[_Copy]] = {}
    for position, cell in enumerate(nb.cells):
        if name := found.get(position, named.get(position)):
            copies.setdefault(name, []).append(_Copy(cell, position + 1))
    originals = {id(cell): cell.metadata.pop("nbgrader", None) for cell in nb.cells}
    taken = {cell.id for cell in nb.cells}
    for name, known in lab.cells.items():
        if name in copies:
            counting = _counting(copies[name], known)
            findings += _copies(copies[name], counting, known)
            for copy in copies[name]:
                if copy is not counting and copy.cell.id == name:
                    copy.cell.id = free_id(f"{name}-copy", taken)
                    taken.discard(name)
            findings += _as_released(nb, counting.cell, known, originals[id(counting.cell)], taken)
    return [*findings, *_missing(nb, lab, set(copies), taken)]


def _unknown(nb: NotebookNode, lab: ReleasedLab) -> Iterator[Finding]:
    for cell in nb.cells:
        own = cell.metadata.get("nbgrader")
        if own is None:
            continue
        name = own.get("grade_id") if isinstance(own, dict) else None
        if isinstance(name, str) and (name in lab.cells or cell.id in lab.cells):
            continue
        if cell.id not in lab.cells:
            which = repr(name[:60]) if isinstance(name, str) else "without a name"
            sentence = (
                f"a cell is marked as a graded cell {which}, which {lab.name} does not have: it counts as an ordinary cell."
            )
            yield Finding("unknown cell", "", sentence, repaired=True)
        del cell.metadata["nbgrader"]


def _old_version(nb: NotebookNode, lab: ReleasedLab) -> Iterator[Finding]:
    stamp = nb.metadata.get("effkit", {})
    version = stamp.get("version") if isinstance(stamp, dict) else None
    if lab.version and isinstance(version, str) and version != lab.version:
        sentence = (
            f"the notebook was handed out for effkit {version[:20]}, and the lab is now that of {lab.version}: its"
            " present checks count. If a task has changed, copy your answers into the new notebook of the lab."
        )
        yield Finding("old version", "", sentence, repaired=False)


def _skipped(nb: NotebookNode) -> Iterator[Finding]:
    """Let every cell run that runs for the student: only graders' programs know this tag."""
    for cell in nb.cells:
        if "skip-execution" in cell.metadata.get("tags", []):
            cell.metadata.tags = [tag for tag in cell.metadata.tags if tag != "skip-execution"]
            sentence = "a cell has the tag skip-execution, which makes graders leave it out: it counts without the tag."
            yield Finding("re-flagged", cell.id, sentence, repaired=True)


def _counting(copies: list[_Copy], known: ReleasedCell) -> _Copy:
    """Return which of the copies counts: the last of those that are best."""

    def worth(copy: _Copy) -> tuple[bool, ...]:
        right_type = copy.cell.cell_type == known.cell_type
        if not known.answer:
            return (right_type,)
        answered = _lines(copy.cell.source) not in ((), _lines(known.source))
        return (answered, defines(known, copy.cell.source), right_type)

    return max(copies, key=lambda copy: (worth(copy), copy.position))


def defines(known: ReleasedCell, source: str) -> bool:
    """Whether a source defines the functions that the released text of an answer defines."""
    needed = re.findall(r"^(?:def|class) +(\w+)", known.source, re.MULTILINE)
    return all(re.search(rf"^(?:def|class) +{name}\b", source, re.MULTILINE) for name in needed)


def _copies(copies: list[_Copy], counting: _Copy, known: ReleasedCell) -> Iterator[Finding]:
    if len(copies) == 1:
        return
    name, n = known.name, len(copies)
    if not known.answer:
        sentence = f"the cell {name} is there {n} times: the last one counts (cell {counting.position}); delete the others."
        yield Finding("duplicated", name, sentence, repaired=True)
        return
    answers = {_lines(copy.cell.source) for copy in copies} - {(), _lines(known.source)}
    where = ", ".join(str(copy.position) for copy in copies)
    if len(answers) < 2:
        sentence = (
            f"the answer {name} is there {n} times (cells {where}): cell {counting.position} counts; delete the others."
        )
        yield Finding("duplicated", name, sentence, repaired=True)
        return
    sentence = (
        f"the answer {name} is in {n} cells that differ (cells {where}), copied or split: cell {counting.position} counts as"
        " the answer, and the others still run. Join what belongs together (Edit > Merge Selected Cells)."
    )
    yield Finding("split", name, sentence, repaired=True)


def _as_released(nb: NotebookNode, cell: NotebookNode, known: ReleasedCell, own: Any, taken: set[str]) -> Iterator[Finding]:
    """Give the counting cell its type, its marks and, where it is locked, its text as released."""
    name = known.name
    if cell.cell_type != known.cell_type:
        sentence = (
            f"the cell {name} was turned into a {cell.cell_type} cell: it counts as the {known.cell_type} cell that it was."
        )
        yield Finding("retyped", name, sentence, repaired=True)
        _retype(cell, known.cell_type)
    if isinstance(own, dict) and own.get("grade_id") == name and (changed := _changed_flags(own, known.own)):
        sentence = f"the marks of the cell {name} were changed ({', '.join(changed)}): those of the lab as handed out count."
        yield Finding("re-flagged", name, sentence, repaired=True)
    elif isinstance(own, dict) and own.get("grade_id") != name:
        sentence = f"the cell {name} is marked as another task: it counts as {name}."
        yield Finding("re-pointed", name, sentence, repaired=True)
    if known.own.get("locked"):
        yield from _text_as_released(nb, cell, known, taken)
        cell.metadata = nbformat.from_dict(dict(known.metadata))
    cell.metadata["nbgrader"] = nbformat.from_dict(dict(known.own))
    if cell.id != name and len(name) <= 64 and name not in taken:
        taken.add(name)
        cell.id = name


def _changed_flags(own: Mapping[str, Any], released: Mapping[str, Any]) -> list[str]:
    return [flag for flag in _FLAGS if own.get(flag) != released.get(flag) and (own.get(flag) or released.get(flag))]


def _text_as_released(nb: NotebookNode, cell: NotebookNode, known: ReleasedCell, taken: set[str]) -> Iterator[Finding]:
    added = set(_lines(cell.source)) - set(_lines(known.source))
    if _lines(cell.source) != _lines(known.source):
        kept = "; what was added moves to a cell of its own above it" if added else ""
        sentence = f"the locked cell {known.name} was changed: its text as handed out counts{kept}."
        yield Finding("changed", known.name, sentence, repaired=True)
    if added:
        make = new_code_cell if known.cell_type == "code" else new_markdown_cell
        own = make(cell.source, id=free_id(f"{known.name}-changed", taken))
        nb.cells.insert(next(i for i, other in enumerate(nb.cells) if other is cell), own)
    cell.source = known.source


def _lines(source: str) -> tuple[str, ...]:
    """Return the lines that matter: without blank ones and without blanks at their ends."""
    return tuple(line.rstrip() for line in source.splitlines() if line.strip())


def _retype(cell: NotebookNode, cell_type: str) -> None:
    cell.cell_type = cell_type
    if cell_type == "code":
        cell.setdefault("outputs", [])
        cell.setdefault("execution_count", None)
        cell.pop("attachments", None)
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def _missing(nb: NotebookNode, lab: ReleasedLab, present: set[str], taken: set[str]) -> Iterator[Finding]:
    for name, known in lab.cells.items():
        if name in present:
            continue
        if known.graded:
            what = "question" if known.answer else "check"
            sentence = f"the {what} {name} is missing: it is put back at the end of the notebook, as handed out."
            yield Finding("missing", name, sentence, repaired=True)
            nb.cells.append(_new_cell(known, taken))
        elif known.answer:
            if not any(defines(known, cell.source) for cell in nb.cells):  # else another cell has it, and runs as well
                sentence = f"the answer cell {name} is missing: write the function again, in a cell before its check."
                yield Finding("missing", name, sentence, repaired=False)
        else:
            yield Finding("missing", name, f"the locked cell {name} is missing: it is put back where it was.", repaired=True)
            nb.cells.insert(_place(nb, lab, name), _new_cell(known, taken))


def _place(nb: NotebookNode, lab: ReleasedLab, name: str) -> int:
    """Return where a missing cell belongs: before the first of its successors that is there."""
    order = list(lab.cells)
    successors = set(order[order.index(name) + 1 :])
    places = (i for i, cell in enumerate(nb.cells) if cell.metadata.get("nbgrader", {}).get("grade_id") in successors)
    return next(places, len(nb.cells))


def _new_cell(known: ReleasedCell, taken: set[str]) -> NotebookNode:
    metadata = nbformat.from_dict({**known.metadata, "nbgrader": dict(known.own)})
    make = new_code_cell if known.cell_type == "code" else new_markdown_cell
    return make(known.source, metadata=metadata, id=free_id(known.name, taken))


def answered(nb: NotebookNode, lab: ReleasedLab) -> bool:
    """Whether any answer of a notebook that `mend` put right differs from the released text."""
    for cell in nb.cells:
        known = lab.cells.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if known is not None and known.answer and _lines(cell.source) not in ((), _lines(known.source)):
            return True
    return False
