"""Reads in a file's path whose it is: the ways in which Canvas, Moodle, Blackboard and people name submissions."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

_CANVAS = re.compile(r"(?P<who>[^_/]+)(?P<late>_LATE)?_(?P<id>\d+)_(?P<order>\d+)_(?P<file>.+)")
_MOODLE = re.compile(r"(?P<who>[^/]+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)")
_BLACKBOARD = re.compile(r"[^/]*?_?(?P<id>[^_/]+)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<bare>\.\w+))?")
_COPIES = re.compile(
    r"^(copy of |kopie van |kopie von |copie de )+|([ _-]*\(\d+\)|-\d{1,2}|-copy\d*|[ _-]copy)+$", re.IGNORECASE
)
_NOTEBOOK_END = re.compile(r"\.ipynb([ .]*(txt|json|html?))?$", re.IGNORECASE)


@dataclass(frozen=True)
class Named:
    """What a path says: the person as the LMS names him, the LMS's own number, the file's own name, order and time."""

    who: str  # a name or an id; empty if the path says nothing
    lms_id: str
    file: str
    order: tuple[int, int] = (0, 0)  # the LMS's running number, and the number of the copy: later ones are higher
    time: datetime | None = None  # in UTC, only where the LMS gives it
    style: str = ""
    late: bool = False  # Canvas says so in the name, without the time


def named(parts: tuple[str, ...], lab: str) -> Named:
    """Return what the path of a file, inside what was downloaded, says about it."""
    for place, part in enumerate(parts):
        rest = parts[place + 1 :]
        for style, pattern in (("moodle", _MOODLE), ("blackboard", _BLACKBOARD), ("canvas", _CANVAS)):
            if found := pattern.fullmatch(part):
                return _of_lms(style, found, rest)
    if len(parts) > 1:
        return Named(
            _owner(parts[0][:-4], lab) if parts[0].lower().endswith(".zip") else parts[0],
            "",
            parts[-1],
            (0, copy_number(parts[-1])),
            style="folder",
        )
    return Named(_owner(parts[0], lab), "", parts[0], (0, copy_number(parts[0])), style="loose")


def _of_lms(style: str, found: re.Match[str], rest: tuple[str, ...]) -> Named:
    groups = found.groupdict()
    file = rest[-1] if rest else groups.get("file") or f"submission{groups.get('bare') or ''}"
    time = None
    if groups.get("time"):
        try:
            time = datetime.strptime(groups["time"], "%Y-%m-%d-%H-%M-%S")
        except ValueError:
            time = None
    order = (int(groups["order"][:18]) if groups.get("order") else 0, copy_number(file))
    lms_id = groups["id"] if style != "blackboard" else ""
    return Named(groups.get("who") or groups["id"], lms_id, file, order, time, style, bool(groups.get("late")))


def copy_number(file: str) -> int:
    """Return 2 for "lab (2).ipynb" and "lab-2.ipynb", and 0 for "lab.ipynb"."""
    found = re.search(r"(?:\((\d{1,4})\)|-(\d{1,2}))$", _NOTEBOOK_END.sub("", file))
    return int(found[1] or found[2]) if found else 0


def plain_stem(file: str) -> str:
    """Return a notebook's name without its ending and without what browsers and systems add to copies."""
    stem = _NOTEBOOK_END.sub("", file).strip()
    while (shorter := _COPIES.sub("", stem).strip(" ._-")) != stem and shorter:
        stem = shorter
    return stem


def is_notebook(file: str) -> bool:
    """Whether a file's name is that of a notebook, whatever a browser added to it."""
    return bool(_NOTEBOOK_END.search(file))


def _owner(file: str, lab: str) -> str:
    """Return what is left of a loose file's name beside the lab's: "ann" for "lab2_parameters_ann (1).ipynb"."""
    stem = plain_stem(file)
    short = lab.split("_")[0]
    for known in (lab, short):
        if known.lower() in stem.lower():
            stem = re.sub(re.escape(known), "", stem, count=1, flags=re.IGNORECASE)
            break
    return plain_stem(stem.strip(" ._-")) if stem.strip(" ._-") else ""


def folded(name: str) -> str:
    """Return a name as letters and digits only, without accents and case: what is left of it in an LMS's file names."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if letter.isalnum())


def folder_name(identity: str) -> str:
    """Return an id that can be a folder's name and that nbgrader takes."""
    clean = re.sub(r"[^\w.@ +-]|\.\.", "_", identity.strip()).strip(" .")[:100]
    return clean or "_"
