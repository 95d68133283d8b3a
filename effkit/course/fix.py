"""Writes a repair to the disk: the original is kept beside it as NAME.bak, and nothing is ever half written."""

import os
import shutil
from pathlib import Path

import nbformat

from effkit.course.doctor import Looked
from effkit.course.lab import ReleasedLab
from effkit.course.reading import shown


def write_repair(looked: Looked, lab: ReleasedLab) -> list[str]:
    """Write what was repaired in a notebook and return what was done, one sentence each. Raises OSError."""
    if looked.path is None or looked.notebook is None or not any(finding.repaired for finding in looked.findings):
        return []
    renamed = any(finding.kind == "renamed" for finding in looked.findings)
    target = looked.target if renamed and looked.target else looked.path
    done = []
    if target != looked.path and os.path.lexists(target):
        done.append(f"kept {shown(target)} as {shown(_keep(target))}")
    done.append(f"kept {shown(looked.path)} as {shown(_keep(looked.path))}")
    _write(target, nbformat.writes(looked.notebook) + "\n", like=looked.path)
    if target != looked.path:
        looked.path.unlink()
    return [*done, f"wrote {shown(target)}"]


def set_aside(path: Path) -> str:
    """Rename a file to NAME.bak and return what was done."""
    backup = _free_backup(path)
    path.rename(backup)
    return f"renamed {shown(path)} to {shown(backup)}"


def _keep(path: Path) -> Path:
    backup = _free_backup(path)
    shutil.copy2(path, backup, follow_symlinks=False)
    return backup


def _free_backup(path: Path) -> Path:
    candidates = (path.with_name(f"{path.name}.bak{number or ''}") for number in (0, *range(2, 10_000)))
    return next(candidate for candidate in candidates if not os.path.lexists(candidate))


def _write(target: Path, text: str, like: Path) -> None:
    """Put a whole new file in the place of `target`, or leave everything as it was."""
    new = target.with_name(f".{target.name[:100]}.new")
    new.unlink(missing_ok=True)
    try:
        with new.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(like, new)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
