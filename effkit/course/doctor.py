"""Examines a submission: says in plain words what is wrong with it and gives back the notebook put right, ready to run."""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from effkit.course.findings import Examination, Finding
from effkit.course.folder import bad_timestamp, entries, foreign, notebooks
from effkit.course.lab import ReleasedLab
from effkit.course.mend import answered
from effkit.course.reading import Unreadable, read_json, shown
from effkit.course.repair import put_right

_MAX_CANDIDATES = 20


@dataclass
class Looked:
    """A notebook file, put right in memory with its outputs, and all that was found about it and its folder."""

    path: Path | None = None  # the file that was taken
    target: Path | None = None  # where it should be
    notebook: NotebookNode | None = None
    findings: list[Finding] = field(default_factory=list)


def examine(folder_or_file: Path, lab: ReleasedLab) -> Examination:
    """Examine a student's folder for one lab, or one notebook file. Never raises, whatever is on the disk.

    The notebook given back has no outputs: it is there to be run.
    """
    looked = look(folder_or_file, lab)
    for cell in looked.notebook.cells if looked.notebook else ():
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    # Whoever grades reads the time of submission himself and says what became of it.
    return Examination(looked.notebook, tuple(finding for finding in looked.findings if finding.kind != "timestamp"))


def look(folder_or_file: Path, lab: ReleasedLab) -> Looked:
    """Examine as `examine` does, and keep the outputs and where the notebook was found."""
    try:
        if stat.S_ISDIR(os.lstat(folder_or_file).st_mode):
            return _look_into(folder_or_file, lab)
        return _look_at(folder_or_file, lab)
    except Exception as problem:  # noqa: BLE001  one submission must never stop the others
        what = f"{shown(folder_or_file)} cannot be examined ({type(problem).__name__}: {shown(str(problem))})."
        return Looked(findings=[Finding("cannot read", "", what, repaired=False)])


def _look_at(path: Path, lab: ReleasedLab) -> Looked:
    """Examine one file, whatever its name."""
    try:
        read = read_json(path)
        notebook, findings = put_right(read.data, lab, shown(path))
    except Unreadable as problem:
        return Looked(path, path, None, [Finding(problem.kind, "", str(problem), repaired=False)])
    return Looked(path, path, notebook, read.findings + findings)


def look_for_student(path: Path, lab: ReleasedLab) -> Looked:
    """Examine a file or folder as somebody names it: a file's name is looked at too, and a lab of no name is unknown."""
    looked = look(path, lab)
    if not lab.name:
        sentence = "it is not clear which lab this is, so its cells were not compared: add --lab NAME."
        looked.findings.append(Finding("no lab", "", sentence, repaired=False))
    elif looked.notebook is not None and looked.path == path and path.name != f"{lab.name}.ipynb":
        looked.target = path.with_name(f"{lab.name}.ipynb")
        if free := not os.path.lexists(looked.target):
            sentence = f"grading looks for the name {lab.name}.ipynb: rename it."
        else:
            sentence = f"grading takes {lab.name}.ipynb, which is there too, and not this one: keep the one that counts."
        looked.findings.insert(0, Finding("renamed" if free else "several notebooks", "", sentence, repaired=free))
    return looked


def _look_into(folder: Path, lab: ReleasedLab) -> Looked:
    """Examine a student's folder: choose the notebook, then say what else should not be there."""
    found, findings = entries(folder)
    wanted = folder / f"{lab.name}.ipynb"
    files = notebooks(found)
    looked = _look_at(wanted, lab) if os.path.lexists(wanted) else Looked()
    others = [entry.path for entry in files if entry.path != wanted][:_MAX_CANDIDATES]
    if looked.notebook is None:
        looked = _renamed(folder, others, lab, looked)
    elif not answered(looked.notebook, lab):
        looked.findings += _answers_elsewhere(others, lab)
    looked.findings += [*findings, *foreign(folder, found)]
    if problem := bad_timestamp(folder):
        sentence = f"timestamp.txt {problem}: write the time of submission into it (2026-05-31 23:59:00 UTC) or delete it."
        looked.findings.append(Finding("timestamp", "", sentence, repaired=False))
    return looked


def _renamed(folder: Path, others: list[Path], lab: ReleasedLab, looked: Looked) -> Looked:
    """Take the one other notebook of this lab in place of one that is missing or unreadable."""
    name = f"{lab.name}.ipynb"
    readable = [other for path in others if (other := _look_at(path, lab)).notebook is not None]
    ours = [other for other in readable if belongs(other, lab)]
    if len({_content(other) for other in ours}) == 1:
        taken = ours[0]
        assert taken.path is not None
        why = looked.findings[0].sentence if looked.findings else f"there is no {name}."
        sentence = f"{why} {shown(str(taken.path.relative_to(folder)))} is taken for it: rename it."
        return Looked(
            taken.path, folder / name, taken.notebook, [Finding("renamed", "", sentence, repaired=True), *taken.findings]
        )
    if looked.findings:
        return looked
    names = ", ".join(shown(str(path.relative_to(folder))) for path in others) or "no notebook at all"
    if ours:
        sentence = f"there is no {name}, and several notebooks may be it ({names}): rename the one that counts to {name}."
        return Looked(findings=[Finding("several notebooks", "", sentence, repaired=False)])
    sentence = f"there is no {name} in the submission, only: {_listing(folder)}. None of it is a notebook of this lab."
    return Looked(findings=[Finding("no notebook", "", sentence, repaired=False)])


def _listing(folder: Path) -> str:
    found, _ = entries(folder)
    names = [shown(str(entry.path.relative_to(folder))) for entry in found]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "nothing") + more


def _content(looked: Looked) -> tuple[str, ...]:
    assert looked.notebook is not None
    return tuple(cell.source for cell in looked.notebook.cells)


def belongs(looked: Looked, lab: ReleasedLab) -> bool:
    """Whether a notebook is one of this lab: it begins it, or answers one of its tasks."""
    assert looked.notebook is not None
    begins = re.compile(rf"begin\(\s*[\"']{re.escape(lab.name)}[\"']")
    missing = {finding.cell for finding in looked.findings if finding.kind == "missing"}
    own = any(cell.answer and name not in missing for name, cell in lab.cells.items())
    return own or any(begins.search(cell.source) for cell in looked.notebook.cells if cell.id != "begin")


def _answers_elsewhere(others: list[Path], lab: ReleasedLab) -> list[Finding]:
    """Say so if the notebook of the right name is blank and another one beside it is not."""
    for path in others:
        other = _look_at(path, lab)
        if other.notebook is not None and belongs(other, lab) and answered(other.notebook, lab):
            sentence = (
                f"{lab.name}.ipynb has no answers, but {shown(path)} has: rename the one that counts to {lab.name}.ipynb."
            )
            return [Finding("several notebooks", "", sentence, repaired=False)]
    return []
