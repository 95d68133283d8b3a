"""Who is in the class: read from a CSV of Canvas, Moodle, Blackboard or one's own, kept in nbgrader's gradebook."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from effkit.course.errors import CourseError
from effkit.course.lms import folded, folder_name
from effkit.course.reading import Unreadable, read_bytes

_ID = ("student_id", "sis login id", "username", "user name", "login", "sis user id", "id number", "student id", "id")
_LMS_ID = ("lms_user_id", "identifier", "id")
_FIRST = ("first_name", "first name", "firstname", "given name", "vorname")
_LAST = ("last_name", "last name", "lastname", "surname", "family name", "nachname")
_FULL = ("full name", "student", "student name", "name")
_EMAIL = ("email", "email address", "e-mail", "e-mail address", "mail")
_SUBMITTED = ("last modified (submission)",)


@dataclass(frozen=True)
class Person:
    """One student; `lms_id` is the LMS's own number, as it stands in the names of files."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    lms_id: str = ""
    submitted: datetime | None = None  # in the worksheet of Moodle, by its clock

    @property
    def keys(self) -> set[str]:
        """Return all that may stand for this student in a file's name."""
        names = (self.last_name + self.first_name, self.first_name + self.last_name)
        return {folded(key) for key in (self.id, self.email, self.email.partition("@")[0], *names)} - {""}


class Roster:
    """The students that are known."""

    def __init__(self, people: Iterable[Person]) -> None:
        self.people = {person.id: person for person in people}
        self._by_key: dict[str, list[Person]] = {}
        for person in self.people.values():
            for key in person.keys:
                self._by_key.setdefault(key, []).append(person)

    def find(self, who: str, lms_id: str) -> Person | None:
        """Return the one student that a name or a number stands for; None if nobody or several."""
        if lms_id and (found := [p for p in self.people.values() if lms_id in (p.lms_id, p.id)]):
            return found[0] if len(found) == 1 else None
        if who in self.people:
            return self.people[who]
        found = self._by_key.get(folded(who), [])
        return found[0] if len(found) == 1 else None


def read_roster(path: Path) -> tuple[list[Person], list[str]]:
    """Return the students of a CSV and a sentence for each line that is left out. Raises CourseError if it is none."""
    try:
        raw = read_bytes(path, limit=20_000_000)
    except Unreadable as problem:
        raise CourseError(f"the roster {problem}") from problem
    text = _text(raw)
    first = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    if not rows:
        raise CourseError(f"the roster {path} is empty")
    columns = {name.strip().lower(): number for number, name in reversed(list(enumerate(rows[0])))}
    if not any(name in columns for name in (*_ID, *_EMAIL, "identifier")):
        raise CourseError(
            f"the roster {path} has no column that identifies students: its first line must name one of student_id, "
            "SIS Login ID, Username, ID number, Email address (it names: " + ", ".join(rows[0])[:200] + ")"
        )
    people: dict[str, Person] = {}
    left_out = []
    for number, row in enumerate(rows[1:], 2):
        person = _person(row, columns)
        if person is None:
            if any(value.strip() for value in row) and not _is_no_student(row, columns):
                left_out.append(
                    f"line {number} of the roster has no id and is left out: {', '.join(filter(None, row))[:80]}"
                )
        elif person.id in people:
            left_out.append(f"line {number} of the roster repeats the student {person.id}: the first line counts")
        else:
            people[person.id] = person
    return list(people.values()), left_out


def _text(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _is_no_student(row: list[str], columns: dict[str, int]) -> bool:
    """Whether a line is one of Canvas's own: the points possible, or its test student."""
    name = _value(row, columns, _FULL).strip().lower()
    return name in ("points possible", "student, test", "test student", "")


def _value(row: list[str], columns: dict[str, int], names: tuple[str, ...]) -> str:
    values = (row[columns[name]].strip() for name in names if name in columns and columns[name] < len(row))
    return next(filter(None, values), "")


def _person(row: list[str], columns: dict[str, int]) -> Person | None:
    if "student" in columns and _is_no_student(row, columns):
        return None
    first, last, full = (_value(row, columns, names) for names in (_FIRST, _LAST, _FULL))
    if full and not (first or last):
        last, comma, first = (part.strip() for part in full.partition(","))
        if not comma:
            first, _, last = (part.strip() for part in full.rpartition(" "))
    email = _value(row, columns, _EMAIL)
    lms_id = _value(row, columns, _LMS_ID).rpartition(" ")[2]  # Moodle writes "Participant 123"
    identity = _value(row, columns, _ID) or email.partition("@")[0] or lms_id
    if not identity:
        return None
    return Person(folder_name(identity), first, last, email, lms_id, _time(_value(row, columns, _SUBMITTED)))


def _time(text: str) -> datetime | None:
    if not text:
        return None
    from nbgrader.utils import parse_utc

    try:
        found: datetime = parse_utc(text)
    except Exception:  # noqa: BLE001  the parser of dates raises much more than it says
        return None
    return found


def recorded(root: Path) -> list[Person]:
    """Return the students that the gradebook knows. Creates nothing."""
    if not (root / "gradebook.db").is_file():
        return []
    with _gradebook(root) as gradebook:
        return [
            Person(s.id, s.first_name or "", s.last_name or "", s.email or "", s.lms_user_id or "")
            for s in gradebook.students
        ]


def record(root: Path, people: list[Person]) -> int:
    """Put students into the gradebook and return how many are new. What the CSV leaves empty stays as it was."""
    known = {person.id for person in recorded(root)}
    with _gradebook(root) as gradebook:
        for person in people:
            values = {
                "first_name": person.first_name,
                "last_name": person.last_name,
                "email": person.email,
                "lms_user_id": person.lms_id,
            }
            gradebook.update_or_create_student(person.id, **{key: value for key, value in values.items() if value})
    return len({person.id for person in people} - known)


def merged(old: list[Person], new: list[Person]) -> Roster:
    """Return all students of both, with what is new about those of the first."""
    people = {person.id: person for person in old}
    for person in new:
        before = people.get(person.id, person)
        people[person.id] = replace(
            person,
            first_name=person.first_name or before.first_name,
            last_name=person.last_name or before.last_name,
            email=person.email or before.email,
            lms_id=person.lms_id or before.lms_id,
        )
    return Roster(people.values())


def _gradebook(root: Path):  # type: ignore[no-untyped-def]
    from nbgrader.api import Gradebook

    from effkit.course.nbgrader_api import nbgrader_api

    return Gradebook(nbgrader_api(root).coursedir.db_url)
