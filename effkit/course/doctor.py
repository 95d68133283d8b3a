"""Examines a submission: says in plain words what is wrong with it and gives back the notebook put right, ready to run."""

from pathlib import Path

import nbformat

from effkit.course.findings import Examination, Finding
from effkit.course.lab import ReleasedLab
from effkit.course.restore import restore


def examine(folder_or_file: Path, lab: ReleasedLab) -> Examination:
    """Examine a student's folder for one lab, or one notebook file. Never raises, whatever is on the disk."""
    path = folder_or_file / f"{lab.name}.ipynb" if folder_or_file.is_dir() else folder_or_file
    if path.is_dir():
        return _failed("no notebook", f"{path.name} is a folder, not a notebook: ask the student to submit it again.")
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in path.parent.iterdir())) or "nothing"
        return _failed(
            "no notebook", f"there is no {path.name} in the submission, only: {found}. Rename or ask for the notebook."
        )
    if not path.stat().st_size:
        return _failed("empty", f"{path.name} is empty (0 bytes): ask the student to submit it again.")
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as problem:  # noqa: BLE001  whatever is in the file, it is the student's
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        return _failed("not JSON", f"{path.name} is not a readable notebook ({reason}): ask the student to submit it again.")
    return Examination(notebook, tuple(restore(notebook, lab)))


def _failed(kind: str, sentence: str) -> Examination:
    return Examination(None, (Finding(kind, "", sentence, repaired=False),))
