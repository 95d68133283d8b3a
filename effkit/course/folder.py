"""What lies in a student's folder: which file is the notebook, and what does not belong there. Links are never followed."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from effkit.course.findings import Finding
from effkit.course.reading import Unreadable, read_bytes, shown

_CODE = {".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".pth", ".exe", ".sh"}
_IGNORED = {".ipynb_checkpoints", "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}
_LARGE = 10_000_000  # bytes
_MAX_ENTRIES = 1000
_MAX_DEPTH = 3
_NOTEBOOK = re.compile(r"\.ipynb[\s.]*(\.txt|\.json|\.html?)?$|\.json$", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One thing in the folder, as it is itself and not what it may point to."""

    path: Path
    mode: int
    size: int


def entries(folder: Path) -> tuple[list[Entry], list[Finding]]:
    """Return all that is in a folder and its folders, sorted by name and depth, and what could not be listed."""
    found: list[Entry] = []
    problems: list[Finding] = []
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop(0)
        try:
            names = sorted(os.listdir(here))
        except OSError as problem:
            sentence = f"the folder {shown(here)} cannot be read: {problem.strerror}. Check its permissions."
            problems.append(Finding("cannot read", "", sentence, repaired=False))
            continue
        for name in names:
            if name in _IGNORED:
                continue
            try:
                status = os.lstat(here / name)
            except OSError:
                continue
            found.append(Entry(here / name, status.st_mode, status.st_size))
            if stat.S_ISDIR(status.st_mode) and depth < _MAX_DEPTH and name != "__pycache__":
                waiting.append((here / name, depth + 1))
            if len(found) > _MAX_ENTRIES:
                sentence = (
                    f"there are more than {_MAX_ENTRIES} files; only the first were looked at. Submit the notebook alone."
                )
                return found, [*problems, Finding("foreign files", "", sentence, repaired=False)]
    return found, problems


def notebooks(found: list[Entry]) -> list[Entry]:
    """Return the files that may be a notebook, whatever a browser or a colleague called them."""
    plain = [entry for entry in found if stat.S_ISREG(entry.mode) and not entry.path.name.startswith("._")]
    return [entry for entry in plain if _NOTEBOOK.search(entry.path.name)]


def foreign(folder: Path, found: list[Entry]) -> Iterator[Finding]:
    """Say what in a submission does not belong there, one sentence for each kind."""
    links = [e for e in found if stat.S_ISLNK(e.mode)]
    special = [e for e in found if not (stat.S_ISLNK(e.mode) or stat.S_ISREG(e.mode) or stat.S_ISDIR(e.mode))]
    code = [e for e in found if e.path.suffix.lower() in _CODE or e.path.name == "__pycache__"]
    large = [e for e in found if stat.S_ISREG(e.mode) and e.size > _LARGE]
    for kind, these, sentence in (
        ("link", links, "a link to another file, which is not followed: delete it, or submit the file itself"),
        ("special file", special, "no file with content (a pipe, a socket or a device): delete it"),
        ("code file", code, "code beside the notebook, which is not used: put what you need into the notebook"),
        ("large file", large, f"larger than {_LARGE // 10**6} MB: delete it"),
    ):
        if these:
            names = ", ".join(shown(str(e.path.relative_to(folder))) for e in these[:4])
            more = f" and {len(these) - 4} more" if len(these) > 4 else ""
            yield Finding(kind, "", f"{names}{more}: {sentence}.", repaired=False)


def bad_timestamp(folder: Path) -> str:
    """Return why timestamp.txt is no date that nbgrader can take; empty if it is one or there is none."""
    path = folder / "timestamp.txt"
    if not os.path.lexists(path):
        return ""
    try:
        text = read_bytes(path, limit=1000).decode().strip()
    except (Unreadable, UnicodeDecodeError):
        return "is no text file with a date"
    try:
        from nbgrader.utils import parse_utc
    except ImportError:  # a student without nbgrader has no such file
        return ""
    try:
        if text:
            parse_utc(text)
    except Exception:  # noqa: BLE001  the parser of dates raises much more than it says
        return f"holds {shown(text)[:40]!r}, which is no date"
    return ""
