"""All that can be read in a bundle, piece by piece, each with its place, also inside wheels and notebooks."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

LAB, LECTURE, PACKAGE, PROSE = "lab", "lecture", "package", "prose"


@dataclass(frozen=True)
class Text:
    """A piece of text. `kind` says how much of an answer it may hold: see `needles`."""

    place: str
    kind: str
    content: str
    code: bool = False


def unpacked(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a bundle, those inside a wheel instead of the wheel, named ``WHEEL: MEMBER``.

    A file that is in the wheel too, as the labs are, comes once.
    """
    outside = set(files.values())
    inside: dict[str, bytes] = {}
    for path, content in files.items():
        if not path.endswith(".whl"):
            inside[path] = content
            continue
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            members = {f"{path}: {name}": wheel.read(name) for name in wheel.namelist()}
            inside |= {name: member for name, member in members.items() if member not in outside}
    return inside


def within(path: str) -> PurePosixPath:
    """Return a file's path in the bundle, or in the wheel if it lies there."""
    return PurePosixPath(path.rpartition(": ")[2])


def kind_of(path: str) -> str:
    """Return what sort of file it is: a lab, a lecture, effkit's own code, or anything else to read."""
    inner = within(path)
    if inner.suffix == ".ipynb":
        return LECTURE if inner.parts[0] == "lectures" else LAB
    return PACKAGE if inner.suffix == ".py" and inner != PurePosixPath(path) else PROSE


def texts(files: Mapping[str, bytes]) -> Iterator[Text]:
    """Yield every piece of text in `files`, as `unpacked` gives them."""
    for path, content in files.items():
        kind = kind_of(path)
        text = content.decode("utf-8", errors="replace")
        cells = cells_of(text) if kind in (LAB, LECTURE) else None
        if cells is None:
            yield Text(path, kind, text, code=kind == PACKAGE)
            continue
        yield Text(f"{path}, metadata", kind, all_strings({**json.loads(text), "cells": []}))
        for place, cell in cells:
            source = source_of(cell)
            yield Text(f"{path}, {place}", kind, source, code=cell.get("cell_type") == "code")
            yield Text(f"{path}, {place}, outputs or metadata", kind, all_strings({**cell, "source": ""}))


def cells_of(text: str) -> list[tuple[str, dict[str, Any]]] | None:
    """Return the cells of a notebook's text, each with its name; None if it is no notebook."""
    try:
        cells = json.loads(text)["cells"]
        return [(str(cell.get("id", f"cell {number}")), cell) for number, cell in enumerate(cells, 1)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def source_of(cell: Mapping[str, Any]) -> str:
    """Return the source of a cell, which a file keeps as a string or in lines."""
    return "".join(cell.get("source", ""))


def all_strings(value: Any) -> str:
    """Return all strings in JSON data, keys too; a string that a file keeps in lines is put together."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "\n".join(f"{key}\n{all_strings(part)}" for key, part in value.items())
    if isinstance(value, list):
        in_lines = all(isinstance(part, str) for part in value)
        return ("" if in_lines else "\n").join(all_strings(part) for part in value)
    return "" if value is None or isinstance(value, bool) else str(value)
