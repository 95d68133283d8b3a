"""Reads what somebody says is a notebook: bytes of any kind in, plain JSON or one sentence about what is wrong out."""

import json
import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from effkit.course.findings import Finding
from effkit.grading.answers import one_line

MAX_BYTES = 100_000_000  # of a notebook; one with all its outputs rarely has a tenth of it
_AGAIN = "Save or download it again where it was written."
_LOOKS_LIKE = {
    b"PK\x03\x04": "a zip archive: unpack it and submit the notebook inside",
    b"\x1f\x8b": "a compressed archive: unpack it and submit the notebook inside",
    b"%PDF": "a PDF: submit the notebook itself, by File > Download in JupyterLab",
    b"<!doctype html": "a web page: submit the notebook itself, by File > Download in JupyterLab or Colab",
    b"<html": "a web page: submit the notebook itself, by File > Download in JupyterLab or Colab",
    b"version https://git-lfs": "a pointer that Git LFS left in its place: fetch the file with `git lfs pull`",
}


class Unreadable(Exception):
    """A file that holds no notebook; `kind` and the message are those of the finding."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass
class Read:
    """The JSON object of a notebook file, and what was odd about the file."""

    data: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)


def shown(name: str | Path) -> str:
    """Return a file's name as one line that can be printed anywhere."""
    name = name if isinstance(name, str) else name.name
    return one_line(name.replace("\x1b", "�"))[:120]


def read_json(path: Path) -> Read:
    """Read a notebook file. Raises Unreadable, and nothing else, if there is no JSON object in it."""
    raw = read_bytes(path)
    name = shown(path)
    if not raw.strip(b"\0 \t\r\n"):
        empty = "is empty (0 bytes)" if not raw else "holds nothing but blanks"
        raise Unreadable("empty", f"{name} {empty}: {_AGAIN[0].lower()}{_AGAIN[1:]}")
    text, encoding = _decode(raw)
    try:
        data = _parse(text)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(
            "not JSON", f"{name} is not a readable notebook ({_why_not_json(raw, text, problem)}). {_AGAIN}"
        ) from None
    read = Read(data) if isinstance(data, dict) else Read({})
    if not isinstance(data, dict) or not ({"cells", "worksheets"} & set(data)):
        raise Unreadable("not a notebook", f"{name} is not a readable notebook (it is JSON, but without cells). {_AGAIN}")
    if encoding:
        sentence = f"{name} is saved {encoding}; notebooks are plain UTF-8, and so it is read."
        read.findings.append(Finding("encoding", "", sentence, repaired=True))
    return read


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a plain file: links are not followed, and pipes and devices are not opened for long."""
    name = shown(path)
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as problem:
        raise Unreadable("cannot read", f"{name} cannot be read: {_why_not_opened(path, problem)}") from None
    with os.fdopen(number, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("cannot read", f"{name} is not a file with content (a folder, a pipe or a device).")
        if status.st_size > limit:
            size = f"{status.st_size / 1e6:,.0f} MB"
            advice = "clear its outputs (in JupyterLab: Edit > Clear Outputs of All Cells) and save it again"
            raise Unreadable("too large", f"{name} has {size}: {advice}.")
        try:
            return file.read(limit + 1)
        except OSError as problem:
            raise Unreadable("cannot read", f"{name} cannot be read: {problem.strerror}.") from None


def _why_not_opened(path: Path, problem: Exception) -> str:
    try:
        if path.is_symlink():
            return "it is a link to another file; submit the file itself."
        if not path.exists():
            return "there is no such file."
    except (OSError, ValueError):
        pass
    return f"{getattr(problem, 'strerror', None) or problem}."


def _decode(raw: bytes) -> tuple[str, str]:
    """Return the text, and in which unusual way it is encoded; empty if it is UTF-8 as it should be."""
    encoding = json.detect_encoding(raw)
    how = {"utf-8": "", "utf-8-sig": "with a byte order mark at its start"}.get(encoding, f"as {encoding.upper()[:6]}")
    try:
        return raw.decode(encoding), how
    except UnicodeDecodeError:
        pass
    if encoding not in ("utf-8", "utf-8-sig"):
        return raw.decode(encoding, "replace"), f"{how}, with characters that are damaged"
    mended = raw.decode(encoding, "replace")
    damaged = mended.count("\ufffd")
    if sum(not character.isascii() for character in mended) > 2 * damaged:  # most of it is good UTF-8
        return mended, f"with {damaged} damaged character{'s' if damaged > 1 else ''}"
    try:
        return raw.decode("cp1252"), "in a Windows encoding (cp1252)"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "as Latin-1"


def _parse(text: str) -> Any:
    """Return the JSON value of a text; numbers that JSON or Python could not write again become None."""
    return json.loads(
        text.strip("\0 \t\r\n\ufeff"),
        strict=False,  # line breaks inside a text harm nobody
        parse_int=lambda digits: int(digits) if len(digits) < 300 else None,
        parse_float=lambda digits: value if math.isfinite(value := float(digits)) else None,
        parse_constant=lambda name: None,
    )


def _why_not_json(raw: bytes, text: str, problem: Exception) -> str:
    start = raw[:100].lstrip().lower()
    for mark, what in _LOOKS_LIKE.items():
        if start.startswith(mark.lower()):
            return f"it is {what}"
    if re.search(r"^(<<<<<<< |>>>>>>> )", text, re.MULTILINE):
        return "it holds the marks of a merge conflict: choose one version of each part between <<<<<<< and >>>>>>>"
    if isinstance(problem, RecursionError):
        return "its data is nested too deeply"
    if not start.startswith(b"{"):
        return "it does not begin as a notebook does, with {"
    if isinstance(problem, json.JSONDecodeError) and not text.rstrip().endswith("}"):
        return f"it is cut off after {len(text):,} characters; {problem.msg}"
    where = f" in line {problem.lineno}" if isinstance(problem, json.JSONDecodeError) else ""
    return f"it is not valid JSON{where}: {getattr(problem, 'msg', problem)}"
