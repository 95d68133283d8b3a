"""Tells which of a lab's cells a submission's cells are: by their marks and ids, and where those are lost by content."""

import re
from collections.abc import Iterable

from nbformat import NotebookNode

from effkit.course.findings import Finding
from effkit.course.lab import ReleasedCell, ReleasedLab


def by_name(cells: list[NotebookNode], lab: ReleasedLab) -> tuple[dict[int, str], list[Finding]]:
    """Return the name of each cell, by position, that its nbgrader metadata or its id gives."""
    named, lost = {}, 0
    for position, cell in enumerate(cells):
        own = cell.metadata.get("nbgrader")
        grade_id = own.get("grade_id") if isinstance(own, dict) else None
        names = [name for name in (cell.id, grade_id) if isinstance(name, str) and name in lab.cells]
        if not names:
            continue
        # Where the two disagree, the text decides if it is that of a locked cell, and else the id: it is harder to change.
        same_text = (name for name in reversed(names) if cell.source == lab.cells[name].source)
        named[position] = next(same_text, names[0])
        lost += own is None
    if not lost:
        return named, []
    sentence = (
        f"the program that saved the notebook dropped the marks of graded cells ({lost} of {len(lab.cells)}): the cells are"
        " known by their ids."
    )
    return named, [Finding("stripped metadata", "", sentence, repaired=True)]


def by_content(cells: list[NotebookNode], lab: ReleasedLab, named: dict[int, str]) -> tuple[dict[int, str], list[Finding]]:
    """Return the names of cells that no mark and no id gives, for those of the lab's cells that were not found by name.

    A locked cell is known by its text, an answer by the function that it defines, and else by standing between the
    same neighbours as in the lab.
    """
    found: dict[int, str] = {}
    for name, known in lab.cells.items():
        if name in named.values():
            continue
        free = [i for i in range(len(cells)) if i not in named and i not in found]
        places = _same_text(cells, free, known) or _same_function(cells, free, known) or _between(cells, free, known, lab)
        found |= dict.fromkeys(places, name)
    if not found:
        return {}, []
    sentence = (
        f"the marks and ids of graded cells are missing ({len(found)} of {len(lab.cells)}), dropped by a program or by"
        " hand: the cells are known by what they hold."
    )
    return found, [Finding("stripped metadata", "", sentence, repaired=True)]


def _same_text(cells: list[NotebookNode], free: Iterable[int], known: ReleasedCell) -> list[int]:
    return [i for i in free if cells[i].source.split() == known.source.split()]


def _same_function(cells: list[NotebookNode], free: Iterable[int], known: ReleasedCell) -> list[int]:
    names = re.findall(r"^def +(\w+)", known.source, re.MULTILINE) if known.answer else []
    heads = [re.compile(rf"^def +{name}\b", re.MULTILINE) for name in names]
    return [i for i in free if heads and all(head.search(cells[i].source) for head in heads)]


def _between(cells: list[NotebookNode], free: Iterable[int], known: ReleasedCell, lab: ReleasedLab) -> list[int]:
    """Return the cells of the right type that stand between the lab's neighbours of `known`."""
    place = next(i for i, cell in enumerate(lab.layout) if cell is known)
    if not known.answer or not 0 < place < len(lab.layout) - 1:
        return []
    before, after = (
        [i for i, cell in enumerate(cells) if cell.source.split() == lab.layout[neighbour].source.split()]
        for neighbour in (place - 1, place + 1)
    )
    if not before or not after:
        return []
    return [i for i in free if before[0] < i < after[-1] and cells[i].cell_type == known.cell_type]
