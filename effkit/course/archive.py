"""Goes through what an LMS gives: zips (zips in them too), folders, single files. What is unsafe is refused one by one."""

import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from effkit.course.reading import MAX_BYTES, Unreadable, read_bytes, shown

_JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"}
_MAX_MEMBERS = 50_000
_MAX_TOTAL = 5_000_000_000  # bytes unpacked from one source; a class of 1000 rarely has a tenth of it
_MAX_INNER_MEMBERS = 2000  # of a zip that a student submitted
_MAX_INNER_TOTAL = 500_000_000
_MAX_RATIO = 200  # of unpacked to packed size, for what is not small anyway; notebooks pack to a tenth
_SMALL = 50_000_000


@dataclass(frozen=True)
class Member:
    """One file of a source: its path inside, split; when it was changed, if known; and how to read it."""

    source: str
    parts: tuple[str, ...]
    changed: datetime | None
    read: Callable[[], bytes]  # raises Unreadable

    @property
    def name(self) -> str:
        """Return the path as one text."""
        return "/".join(self.parts)

    @property
    def where(self) -> str:
        """Return the path and the source that it is in, to be shown."""
        return shown(self.name) if shown(self.name) == self.source else f"{self.source}: {shown(self.name)}"


@dataclass(frozen=True)
class Refused:
    """Something in a source that is not taken, and why."""

    name: str
    why: str


def members(source: Path) -> Iterator[Member | Refused]:
    """Yield every file of a source in a fixed order. Never raises for what is inside."""
    name = shown(source)
    if source.is_dir():
        yield from _of_folder(source)
    elif zipfile.is_zipfile(source):
        try:
            # Stays open: members are read when it is known which of them count.
            yield from _of_zip(zipfile.ZipFile(source), name, (), _Budget(_MAX_MEMBERS, _MAX_TOTAL), inner=False)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as problem:
            yield Refused(name, f"the zip is broken ({problem}): download it again")
    elif source.suffix.lower() == ".ipynb":
        yield _of_file(source, (source.name,), source)
    else:
        yield Refused(name, _why_not_a_source(source))


def _why_not_a_source(source: Path) -> str:
    if source.suffix.lower() in (".7z", ".rar", ".tar", ".gz", ".tgz", ".xz"):
        return "only zip archives are read: unpack it and name the folder"
    if source.suffix.lower() == ".zip":
        return "it is not a zip archive or is cut off: download it again"
    return "it is neither a zip, nor a folder, nor a notebook"


@dataclass
class _Budget:
    """How much may still be taken from a source."""

    members: int
    total: int

    def refusal(self, size: int) -> str:
        """Count one member; return why it is too much, or an empty string."""
        self.members -= 1
        if self.members < 0:
            return "there are too many files"
        if size > self.total:
            return "too much data in all"
        self.total -= size
        return ""


def _of_folder(folder: Path) -> Iterator[Member | Refused]:
    budget = _Budget(_MAX_MEMBERS, _MAX_TOTAL)
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _JUNK)
        for name in [*folders, *sorted(files)]:
            path = Path(here, name)
            parts = path.relative_to(folder).parts
            try:
                status = path.lstat()
            except OSError as problem:
                yield Refused(shown("/".join(parts)), f"it cannot be read: {problem.strerror}")
                continue
            if stat.S_ISLNK(status.st_mode):
                yield Refused(shown("/".join(parts)), "it is a link, and links are not followed")
            elif stat.S_ISDIR(status.st_mode) or _is_junk(parts):
                continue
            elif not stat.S_ISREG(status.st_mode):
                yield Refused(shown("/".join(parts)), "it is a pipe, a socket or a device")
            elif why := budget.refusal(status.st_size):
                yield Refused(shown("/".join(parts)), why)
                return
            else:
                yield from _unpacked(_of_file(path, parts, folder), inner=False)


def _of_file(path: Path, parts: tuple[str, ...], source: Path) -> Member:
    try:
        changed = datetime.fromtimestamp(path.lstat().st_mtime)
    except (OSError, ValueError, OverflowError):
        changed = None
    return Member(shown(source), parts, changed, lambda: read_bytes(path))


def _of_zip(
    archive: zipfile.ZipFile, source: str, above: tuple[str, ...], budget: _Budget, *, inner: bool
) -> Iterator[Member | Refused]:
    for info in archive.infolist():
        inside = info.filename.replace("\\", "/")
        parts = (*above, *PurePosixPath(inside).parts)
        name = shown("/".join((*above, inside)))
        if info.is_dir() or inside.endswith("/") or _is_junk(parts):
            continue
        if why := _unsafe(info, inside) or budget.refusal(info.file_size):
            yield Refused(f"{source}: {name}", why)
            if budget.members < 0:
                return
            continue
        member = Member(source, parts, _time(info), lambda info=info: _read(archive, info))  # type: ignore[misc]
        yield from _unpacked(member, inner=inner)


def _unpacked(member: Member, *, inner: bool) -> Iterator[Member | Refused]:
    """Yield a member, or what is in it if a student submitted a zip; a zip in that one is refused."""
    if not member.parts[-1].lower().endswith(".zip"):
        yield member
        return
    name = member.where
    if inner:
        yield Refused(name, "it is a zip in a zip in a zip: unpack it")
        return
    try:
        # The zip's own name stays in the path: the LMS wrote into it whose it is.
        budget = _Budget(_MAX_INNER_MEMBERS, _MAX_INNER_TOTAL)
        with zipfile.ZipFile(io.BytesIO(member.read())) as archive:
            for one in _of_zip(archive, member.source, member.parts, budget, inner=True):
                yield one if isinstance(one, Refused) else replace(one, read=_Again(member, one))
    except Unreadable as problem:
        yield Refused(name, str(problem))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as problem:
        yield Refused(name, f"the zip is broken ({problem}): ask for it again")


class _Again:
    """Reads a member of a student's zip by unpacking the zip again, so that no more than one is ever in memory."""

    def __init__(self, outer: Member, inner: Member) -> None:
        self._outer, self._parts = outer, inner.parts

    def __call__(self) -> bytes:
        budget = _Budget(_MAX_INNER_MEMBERS, _MAX_INNER_TOTAL)
        with zipfile.ZipFile(io.BytesIO(self._outer.read())) as archive:
            for one in _of_zip(archive, self._outer.source, self._outer.parts, budget, inner=True):
                if isinstance(one, Member) and one.parts == self._parts:
                    return one.read()
        raise Unreadable("cannot read", "it is gone from its zip")


def _is_junk(parts: tuple[str, ...]) -> bool:
    return any(part in _JUNK for part in parts) or parts[-1].startswith("._")


def _unsafe(info: zipfile.ZipInfo, inside: str) -> str:
    """Return why a member of a zip is not taken, or an empty string."""
    mode = info.external_attr >> 16
    if inside.startswith("/") or re.match(r"[A-Za-z]:", inside):
        return "its name is an absolute path"
    if ".." in PurePosixPath(inside).parts or "\0" in inside or not PurePosixPath(inside).parts:
        return "its name leads out of the folder"
    if stat.S_ISLNK(mode):
        return "it is a link, and links are not followed"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "it is a pipe, a socket or a device"
    if info.flag_bits & 1:
        return "it is encrypted: ask for it without a password"
    if info.file_size > MAX_BYTES:
        return (
            f"it has {info.file_size / 1e6:,.0f} MB unpacked, more than the {MAX_BYTES // 10**6} MB that a notebook may have"
        )
    if info.file_size > _SMALL and info.file_size > _MAX_RATIO * max(info.compress_size, 1):
        return f"it unpacks to {info.file_size / max(info.compress_size, 1):,.0f} times its size, as a zip bomb does"
    return ""


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes, and no more than it says it has."""
    try:
        with archive.open(info) as file:
            content = file.read(info.file_size + 1)
    except Exception as problem:  # a broken archive raises whatever its compression raises
        raise Unreadable("cannot read", f"it cannot be unpacked ({problem})") from problem
    if len(content) > info.file_size:
        raise Unreadable("too large", "it is larger than the zip says")
    return content


def _time(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time)
    except ValueError:
        return None
