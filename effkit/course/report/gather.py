"""What is known of a graded lab, from grades/LAB.json and, as it stands by now, from the gradebook. Changes neither."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from effkit.course import roster
from effkit.course.errors import CourseError
from effkit.course.grade import check_lab, misplaced, points_of
from effkit.course.gradebook import Book
from effkit.course.lab import read_lab
from effkit.course.nbgrader_api import nbgrader_api
from effkit.course.prepare import submission_key
from effkit.course.records import NO_FEEDBACK, NOT_GRADED, Record, Records
from effkit.course.results import take_scores
from effkit.course.roster import Person


@dataclass(frozen=True)
class Results:
    """A lab's results, by student."""

    lab: str
    records: tuple[Record, ...]
    points: Mapping[str, float]  # of each task, in the lab's order
    people: Mapping[str, Person] = field(default_factory=dict)  # those whom the gradebook knows
    new: tuple[str, ...] = ()  # handed in, but never graded
    changed: tuple[str, ...] = ()  # handed in again since they were graded
    without: tuple[str, ...] = ()  # known, and nothing handed in
    misplaced: tuple[str, ...] = ()  # notebooks that grading does not find
    notices: tuple[str, ...] = ()  # what else a reader must know

    @property
    def graded(self) -> tuple[Record, ...]:
        """Return the records of those whose latest submission was graded; all statistics are about them."""
        return tuple(record for record in self.records if record.status != NOT_GRADED)

    @property
    def needs_attention(self) -> bool:
        """Whether a person must look, as `effkit grade` means it, or a submission waits to be graded."""
        waiting = self.new or self.changed or self.misplaced or self.notices
        return bool(waiting) or any(record.needs_attention for record in self.records)

    def name(self, student: str) -> str:
        """Return a student's full name, or the id where there is none."""
        person = self.people.get(student)
        return (f"{person.first_name} {person.last_name}".strip() if person else "") or student


def stored(root: Path, lab: str) -> Records:
    """Return the records of a lab. Raises CourseError if there is no such lab or nobody's was graded."""
    check_lab(root, lab)
    records = Records(root, lab)
    if not records.by_student:
        raise CourseError(f"no submission of {lab} has been graded here: run `effkit grade {lab}` first")
    return records


def gather(root: Path, lab: str) -> Results:
    """Return a lab's results. Raises CourseError if there are none or the gradebook cannot be read."""
    stored_records = stored(root, lab)
    records = tuple(record for _, record in sorted(stored_records.by_student.items()))
    people = {person.id: person for person in roster.recorded(root)}
    notices = _bring_up_to_date(root, lab, records)
    folders = {path.parent.name: path for path in sorted(root.glob(f"submitted/*/{lab}")) if path.is_dir()}
    return Results(
        lab,
        records,
        stored_records.about.get("tasks") or points_of(read_lab(root, lab)),
        people,
        new=tuple(sorted(set(folders) - set(stored_records.by_student))),
        changed=tuple(record.student for record in records if _is_changed(record, folders)),
        without=tuple(sorted(set(people) - set(folders) - set(stored_records.by_student))),
        misplaced=tuple(str(path) for path in misplaced(root)),
        notices=tuple(notices),
    )


def _bring_up_to_date(root: Path, lab: str, records: tuple[Record, ...]) -> list[str]:
    """Put into the records what the gradebook says by now, manual grades above all; return what it does not say."""
    book = Book(nbgrader_api(root), lab) if (root / "gradebook.db").is_file() else None
    if book is None:
        return ["There is no gradebook.db in the course folder: scores and names are those of the last grading run."]
    lost = []
    try:
        for record in records:
            if record.status == NOT_GRADED:
                continue
            grades = book.grades(record.student)
            if grades is None:
                lost.append(record.student)
                continue
            status = record.status
            take_scores(record, grades)
            record.status = NO_FEEDBACK if status == NO_FEEDBACK else record.status
    finally:
        book.close()
    names = ", ".join(lost)
    sentence = f"The gradebook has no submission of {names}: their scores are those of the last run. Grade the lab again."
    return [sentence] if lost else []


def _is_changed(record: Record, folders: Mapping[str, Path]) -> bool:
    """Whether there is a submission that is not the one that was graded."""
    if record.student not in folders or record.status == NOT_GRADED or not record.key:
        return False
    return submission_key(folders[record.student]).partition(":")[0] != record.key.partition(":")[0]
