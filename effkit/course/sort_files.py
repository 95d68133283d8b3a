"""Sorts what was downloaded into students, and each student's files into the attempt that counts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from effkit.course.archive import Member, Refused
from effkit.course.lms import Named, folder_name, is_notebook, named, plain_stem
from effkit.course.reading import Unreadable, shown
from effkit.course.roster import Person, Roster

_MAX_FILES = 20  # of one student
_MAX_OTHER_BYTES = 10_000_000


@dataclass(frozen=True)
class Notice:
    """Something that a person should know: a word for its sort, and one line."""

    kind: str
    text: str


@dataclass
class File:
    """One file of a student's."""

    member: Member
    named: Named
    number: int  # in the order of the sources

    @property
    def age(self) -> tuple[str, int, str, int, int]:
        """Return what orders attempts, oldest first: the LMS's time and number, else the file's own time and number."""
        own = self.named
        time, changed = ((t.isoformat(" ", "microseconds") if t else "") for t in (own.time, self.member.changed))
        return (time, own.order[0], changed, own.order[1], self.number)


@dataclass
class Pile:
    """All that belongs to one student."""

    student: str
    files: list[File] = field(default_factory=list)
    person: Person | None = None
    time: datetime | None = None  # of a timestamp.txt beside the files


@dataclass(frozen=True)
class Attempt:
    """What counts of a pile: the content of its files by name, the age of the newest, the time if the LMS gives it."""

    student: str
    contents: dict[str, bytes]
    age: tuple[str, int, str, int]
    time: datetime | None


def piles(found: Iterable[Member | Refused], lab: str, roster: Roster) -> tuple[list[Pile], list[Notice]]:
    """Return a pile for each student, and what could not be taken or has no owner."""
    notices: list[Notice] = []
    members = []
    for one in found:
        if isinstance(one, Refused):
            notices.append(Notice("REFUSED", f"{one.name}: {one.why}"))
        else:
            members.append(one)
    result: dict[str, Pile] = {}
    for number, member in enumerate(_without_wrapping(members, lab, roster)):
        own = named(member.parts, lab)
        person = roster.find(own.who, own.lms_id) if own.who else None
        if not own.who and not person:
            notices.append(
                Notice("WHOSE?", f"{member.where}: put it into a folder with the student's id, or add the id to its name")
            )
            continue
        if person and person.submitted and own.time is None:
            own = replace(own, time=person.submitted)
        raw = own.who if not own.lms_id else f"{own.who}_{own.lms_id}"
        student = person.id if person else folder_name(raw)
        pile = result.setdefault(student, Pile(student, person=person))
        if own.style == "folder" and own.file == "timestamp.txt":
            pile.time = _time(member)
        else:
            pile.files.append(File(member, own, number))
    return sorted(result.values(), key=lambda pile: pile.student), notices


def _without_wrapping(members: list[Member], lab: str, roster: Roster) -> Iterator[Member]:
    """Yield the members without a folder around all of one source, such as "submissions/"."""
    for source in dict.fromkeys(member.source for member in members):
        own = [member for member in members if member.source == source]
        while _is_wrapped(own, lab, roster):
            own = [replace(member, parts=member.parts[1:]) for member in own if len(member.parts) > 1]
        yield from own


def _is_wrapped(members: list[Member], lab: str, roster: Roster) -> bool:
    """Whether the one folder around all is nobody's: in it are folders, files that an LMS named, or several people's."""
    parts = [member.parts for member in members if is_notebook(member.parts[-1])] or [member.parts for member in members]
    firsts = {part[0] for part in parts}
    if len(firsts) != 1 or any(named(part, lab).style != "folder" for part in parts):
        return False
    first = next(iter(firsts))
    if roster.find(first, "") or first.lower().endswith(".zip"):
        return False
    inside = [named(part[1:], lab) for part in parts]
    people = {own.who for own in inside if own.style == "loose"}
    return lab not in {own.who for own in inside} and "" not in people and len(people) != 1


def _time(member: Member) -> datetime | None:
    from nbgrader.utils import parse_utc

    try:
        found: datetime = parse_utc(member.read()[:100].decode().strip())
    except Exception:  # noqa: BLE001  the parser of dates raises much more than it says
        return None
    return found


def latest(pile: Pile, lab: str) -> tuple[Attempt | None, list[Notice]]:
    """Return what counts of a student's files: of each notebook the latest, or what there is if there is no notebook."""
    notices: list[Notice] = []
    groups: dict[str, list[File]] = {}
    notebooks = [file for file in pile.files if is_notebook(file.named.file)]
    for file in notebooks or pile.files[:_MAX_FILES]:
        groups.setdefault(_group(file.named.file, lab) if notebooks else file.named.file, []).append(file)
    contents: dict[str, bytes] = {}
    taken: list[File] = []
    for files in list(groups.values())[:_MAX_FILES]:
        files.sort(key=lambda file: file.age)
        best, content = _newest_readable(pile.student, files, notices)
        if best is None or (not notebooks and len(content) > _MAX_OTHER_BYTES):
            continue
        taken.append(best)
        contents[_free_name(best.named.file, contents)] = content
        earlier = ", ".join(dict.fromkeys(shown(file.member.parts[-1]) for file in files if file is not best))
        if earlier:
            what = shown(best.member.name)
            notices.append(
                Notice("LATER ATTEMPT", f"{pile.student}: {what} is taken, the latest of {len(files)}; not {earlier}")
            )
    if not taken:
        return None, notices
    newest = max(taken, key=lambda file: file.age)
    return Attempt(pile.student, contents, newest.age[:4], newest.named.time or pile.time), notices


def _newest_readable(student: str, files: list[File], notices: list[Notice]) -> tuple[File | None, bytes]:
    for file in reversed(files):
        try:
            return file, file.member.read()
        except Unreadable as problem:
            notices.append(Notice("REFUSED", f"{student}: {shown(file.member.name)}: {problem}"))
    return None, b""


def _group(file: str, lab: str) -> str:
    """Return what attempts at the same notebook have in common: its name without the marks of copies."""
    stem = plain_stem(file).lower()
    return lab if lab.lower() in stem or stem == lab.split("_")[0].lower() else stem


def _free_name(file: str, taken: dict[str, bytes]) -> str:
    clean = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in shown(file)).lstrip(".") or "_"
    name, number = clean, 2
    while name.lower() in (other.lower() for other in taken):
        name = f"{number}-{clean}"
        number += 1
    return name
