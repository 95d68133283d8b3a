"""From a submission on the disk to a notebook ready to run: what nbgrader's sanitizing steps do, without a database."""

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearOutput, OverwriteCells
from nbgrader.utils import parse_utc

import effkit
from effkit.course.doctor import examine
from effkit.course.findings import Finding
from effkit.course.lab import ReleasedLab
from effkit.grading.answers import is_seen, printable

_SILENT = logging.getLogger("effkit.course.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_MAX_READ = 64 * 2**20  # bytes of a file that count towards its digest; a longer one counts with its size and time


@dataclass(frozen=True)
class Prepared:
    """A submission as it will be run. A notebook of None means that it cannot be; `problem` says why and what to do."""

    student: str
    notebook: NotebookNode | None
    findings: tuple[Finding, ...]
    problem: str = ""
    timestamp: datetime | None = None


def prepare(folder: Path, student: str, lab: ReleasedLab, kernelspec: str | None) -> Prepared:
    """Examine and repair one submission. Never raises, whatever is on the disk."""
    try:
        examination = examine(folder, lab)
        notebook, findings = examination.notebook, examination.findings
        if notebook is None:
            return Prepared(student, None, findings, examination.problem)
        notebook, _ = ClearOutput().preprocess(notebook, {})
        if kernelspec:
            notebook.metadata["kernelspec"] = json.loads(kernelspec)
        _overwrite(notebook, lab)
        timestamp, unclear = _timestamp(folder)
        return Prepared(student, notebook, (*findings, *unclear), "", timestamp)
    except Exception as problem:  # noqa: BLE001  one submission must never stop the others
        reason = f"it cannot be made ready to run ({type(problem).__name__}: {problem}); please report this"
        return Prepared(student, None, (), reason)


def _overwrite(notebook: NotebookNode, lab: ReleasedLab) -> None:
    """Restore locked cells and points as nbgrader does, from the lab instead of its database."""
    step = OverwriteCells()
    step.notebook_id = step.assignment_id = lab.name
    step.log = _SILENT  # the doctor has said it already
    step.gradebook = SimpleNamespace(
        find_source_cell=lambda name, *_: SimpleNamespace(name=name, **_source_cell(lab, name)),
        find_graded_cell=lambda name, *_: SimpleNamespace(max_score=lab.cells[name].own["points"]),
    )
    for index, cell in enumerate(notebook.cells):
        if cell.metadata.get("nbgrader", {}).get("grade_id") in lab.cells:
            step.preprocess_cell(cell, {}, index)


def _source_cell(lab: ReleasedLab, name: str) -> dict[str, Any]:
    cell = lab.cells[name]
    return {
        "cell_type": cell.cell_type,
        "source": cell.source,
        "checksum": cell.own["checksum"],
        "locked": cell.own["locked"],
    }


def _timestamp(folder: Path) -> tuple[datetime | None, list[Finding]]:
    """Return when it was submitted, in UTC, as far as timestamp.txt says."""
    path = folder / "timestamp.txt"
    if not is_plain_file(path):
        return None, []
    text = path.read_bytes()[:200].decode("utf-8", "replace").strip()
    try:
        return (parse_utc(text) if text else None), []
    except (ValueError, OverflowError, TypeError):
        sentence = f"timestamp.txt holds no date ({text[:40]!r}), so no lateness is counted: correct it and grade again."
        return None, [Finding("timestamp", "", sentence, repaired=False)]


def bad_name(student: str) -> str:
    """Return why the name of a student's folder cannot be taken, or an empty string if it can.

    nbgrader takes some marks for patterns, and its formgrader writes others into a page as they are, where they would run.
    """
    if student != student.strip() or any(mark in student for mark in '*?[<>"\\'):
        marks = '* ? [ < > " \\'
        return f"nbgrader cannot take the folder name {student!r} (blanks at its ends, or one of {marks}): rename the folder"
    if not is_seen(student):
        return f"the folder's name holds characters that cannot be shown ({printable(student)}): rename the folder"
    return ""


def is_plain_file(path: Path) -> bool:
    """Whether a path is a file of its own, not a link and not a device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def submission_key(folder: Path, *others: str) -> str:
    """Return the digest of a submission's files, a colon, and the digest of whatever else decides its result."""
    return f"{_files_digest(folder)}:{hashlib.sha256(chr(0).join(others).encode()).hexdigest()}"


def _files_digest(folder: Path) -> str:
    """Return the digest of the files in a folder. Links are not followed."""
    digest = hashlib.sha256()
    for path in _files(folder):
        name = os.fsencode(path.relative_to(folder))
        digest.update(b"\0file\0" + name + b"\0")
        try:
            if not is_plain_file(path):
                digest.update(b"link:" + os.fsencode(os.readlink(path)) if path.is_symlink() else b"special")
            elif path.stat().st_size > _MAX_READ:
                digest.update(repr((path.stat().st_size, path.stat().st_mtime_ns)).encode())
            else:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as problem:
            digest.update(repr(problem.errno).encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders.sort()
        yield from sorted(Path(where, name) for name in files)


def lab_digest(lab: ReleasedLab) -> str:
    """Return the digest of the cells that grading relies on."""
    cells = [[cell.source, dict(cell.own)] for cell in lab.cells.values()]
    return hashlib.sha256(json.dumps([lab.name, cells], sort_keys=True).encode()).hexdigest()


def effkit_digest(package: Path = Path(effkit.__file__).parent) -> str:
    """Return the digest of an effkit, or else of the installed one: another judge may give another score."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".json"):
            digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
