"""What any notebook of a bundle must be: valid, of no particular machine, and, if it is a lab, without a single output."""

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat

from effkit.course.bundle.texts import LAB, LECTURE, Text, all_strings, cells_of, kind_of, texts, within

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_OWN_MIME = "application/vnd.effkit"
_MARK = re.compile(r"(?m)^[\s#>]*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)")
_SOMEBODYS = re.compile(r"(?:/home/|/Users/|\b[A-Za-z]:\\{1,2}Users\\{1,2})[\w.-]+")


def problems(files: Mapping[str, bytes], *machine: Path) -> Iterator[str]:
    """Yield what is wrong with the notebooks and texts in `files`; `machine` are folders that nothing may name."""
    for path, content in files.items():
        if kind_of(path) in (LAB, LECTURE):
            yield from _of_notebook(path, content.decode("utf-8", errors="replace"))
    folders = [str(folder) for folder in (*machine, Path(sys.prefix), Path.home()) if folder != Path(folder.anchor)]
    for text in texts(files):
        yield from _paths(text, [folder for folder in folders if len(folder) > 3])


def _of_notebook(path: str, text: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
            nbformat.validate(notebook)
    except Exception as problem:  # noqa: BLE001  whatever is in the file
        yield f"{path}: is no valid notebook ({_first_line(problem)}): run `make notebooks`"
        return
    if notebook.metadata.get("kernelspec") != _KERNEL:
        yield f"{path}: asks for a kernel of one machine, not for python3: run `make notebooks`"
    for place, cell in cells_of(text) or []:
        yield from (f"{path}, {place}: {what}" for what in _of_cell(cell, lab=kind_of(path) == LAB))


def _of_cell(cell: dict[str, Any], *, lab: bool) -> Iterator[str]:
    if _OWN_MIME in all_strings({**cell, "source": ""}):
        yield "holds answers as a check writes them: clear its outputs, or run `make notebooks`"
    elif lab and (cell.get("outputs") or cell.get("execution_count") is not None):
        yield "has been run, and a lab is handed out without outputs: run `make notebooks`"


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:120]


def _paths(text: Text, folders: list[str]) -> Iterator[str]:
    """Yield which folder of a machine a text names. effkit's own code may: its sandbox knows where systems keep things."""
    if text.kind in (LAB, LECTURE):
        named = [folder for folder in folders if re.search(re.escape(folder) + r"\b", text.content)]
        if named := named or _SOMEBODYS.findall(text.content):
            yield f"{text.place}: names {named[0]}, which no other machine has: take it out"


def strangers(files: Mapping[str, bytes], labs: list[str]) -> Iterator[str]:
    """Yield files that have no business in a bundle: solutions, sources of labs, labs that are not handed out, tests."""
    handed_out = {f"labs/{lab}/{lab}.ipynb" for lab in labs}
    for path, content in files.items():
        inner = within(path)
        in_labs = inner.as_posix().removeprefix("effkit/course/") if "labs" in inner.parts else ""
        if {"solutions", "tests", "submitted", "autograded"} & set(inner.parts) or (in_labs and in_labs not in handed_out):
            yield f"{path}: does not belong into a bundle: take it out of the folder"
        elif re.search(rb"(?m)^# %%.*\bnbgrader=\{", content):
            yield f"{path}: is the source of a lab, which holds its solutions: take it out of the package"
    for text in texts(files):
        if _MARK.search(text.content):
            yield f"{text.place}: has marks of a solution or a hidden test in it: take out what they enclose"
