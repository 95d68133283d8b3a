"""How each task of a lab went, and which tasks look badly posed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from effkit.course.records import Record
from effkit.course.report import items
from effkit.course.report.gather import Results
from effkit.grading.tasks import find

HARD = 0.20  # a pass rate below this: fewer than one in five get it right
EASY = 0.95  # a pass rate from which a task can hardly tell anybody apart, and is not asked to
# R. L. Ebel and D. A. Frisbie, Essentials of Educational Measurement, 5th ed. (1991): below 0.20 poor, to be revised.
LOW = 0.20
FEW = 0.10  # of the class
SHARED = 0.10  # of the class with one and the same unexplained wrong answer; up to here it is an integrity flag


@dataclass(frozen=True)
class Mark:
    """Why a task looks badly posed, and what to do."""

    label: str
    why: str
    advice: str


@dataclass(frozen=True)
class TaskRow:
    """One task in figures. The scores are of graded students, without those whose answer waits for a person."""

    name: str
    points: float
    by_person: bool
    scores: tuple[float, ...]
    waiting: int  # students whose answer a person has yet to grade
    missing: int  # graded students without a score for it, such as those of an earlier version of the lab
    discrimination: float | None = None
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()  # what the figures do not say, and why

    @property
    def full(self) -> int:
        """Return how many got all points."""
        return sum(score >= self.points for score in self.scores)

    @property
    def none(self) -> int:
        """Return how many got no points."""
        return sum(score <= 0 < self.points for score in self.scores)

    @property
    def part(self) -> int:
        """Return how many got some of the points."""
        return len(self.scores) - self.full - self.none

    @property
    def mean(self) -> float | None:
        """Return the mean score."""
        return items.mean(self.scores)

    @property
    def pass_rate(self) -> float | None:
        """Return the share with all points; None of nobody."""
        return self.full / len(self.scores) if self.scores else None


class Totals:
    """Totals that can be compared with each other, though some answers still wait for a person.

    A task for which more than a tenth of the class waits is left out of everybody's total; for any other, those who wait
    are left out: they are few, and a total without a task says less.
    """

    def __init__(self, results: Results) -> None:
        graded = results.graded
        lacking = {task: sum(record.scores.get(task) is None for record in graded) for task in results.points}
        self.tasks = tuple(task for task in results.points if lacking[task] <= FEW * len(graded))
        self.left_out_tasks = tuple(task for task in results.points if task not in self.tasks)
        complete = [r for r in graded if all(r.scores.get(task) is not None for task in self.tasks)]
        self.records = tuple(complete if self.tasks else [])
        self.left_out_students = len(graded) - len(self.records)
        self.maximum = sum(results.points[task] for task in self.tasks)

    @cached_property
    def values(self) -> tuple[float, ...]:
        """Return the totals, lateness deducted."""
        return tuple(round((r.score or 0) - _sum(r, set(r.scores) - set(self.tasks)), 6) for r in self.records)

    @cached_property
    def late(self) -> int:
        """Return from how many totals points were taken off for lateness."""
        return sum((r.score or 0) < _sum(r, set(r.scores)) - 1e-6 for r in self.records)


def _sum(record: Record, tasks: Sequence[str] | set[str]) -> float:
    return sum(record.scores.get(task) or 0 for task in tasks)


def rows(results: Results, totals: Totals) -> list[TaskRow]:
    """Return a row for each task, in the lab's order."""
    return [_row(results, totals, task) for task in results.points]


def _row(results: Results, totals: Totals, task: str) -> TaskRow:
    with_it = [r for r in totals.records if r.scores.get(task) is not None]
    others = [_sum(r, set(totals.tasks) | {task}) for r in with_it]
    found = items.discrimination([r.scores[task] or 0 for r in with_it], others)
    scores = [r.scores.get(task) for r in results.graded]
    row = TaskRow(
        task,
        results.points[task],
        find(task) is None,
        tuple(score for score in scores if score is not None),
        sum(task in r.scores and r.scores[task] is None for r in results.graded),
        sum(task not in r.scores for r in results.graded),
        found,
    )
    marks = (*_hard(row), *_low(row, len(with_it)), *_shared(row, results.graded))
    return replace(row, marks=marks, notes=tuple(_notes(row, len(with_it))))


def _hard(row: TaskRow) -> tuple[Mark, ...]:
    if row.pass_rate is None or row.pass_rate >= HARD or len(row.scores) < items.FEWEST:
        return ()
    why = f"{row.full} of {len(row.scores)} have all points, fewer than one in five."
    advice = "Read what they answered: is it said clearly what is asked, and was it taught? Then grade on, mend or drop it."
    return (Mark("hardly anybody solves it", why, advice),)


def _low(row: TaskRow, students: int) -> tuple[Mark, ...]:
    found = row.discrimination
    if found is None or found >= LOW or (row.pass_rate or 0) >= EASY:
        return ()
    chance = f"With {students} students chance alone moves this figure by up to {items.by_chance(students):.2f}."
    if found < 0:
        why = f"Those who do well in the rest of the lab do worse here (discrimination {found:.2f}). {chance}"
        advice = "Look for a wrong reference or a misleading sentence, and read what good students wrote."
        return (Mark("good students lose points", why, advice),)
    why = f"It hardly goes with the rest of the lab (discrimination {found:.2f}, below {LOW:.2f}). {chance}"
    advice = "See whether the points hang on something else than the subject: wording, a trick, a guess, copied answers."
    return (Mark("tells students badly apart", why, advice),)


def _shared(row: TaskRow, graded: Sequence[Record]) -> tuple[Mark, ...]:
    digests = Counter(record.wrong[row.name] for record in graded if row.name in record.wrong)
    most = max(digests.values(), default=0)
    if most <= max(3, SHARED * len(graded)):
        return ()
    why = f"{most} students give one and the same wrong answer, which is no known mistake."
    advice = (
        "They read it another way: mend the text, or name the mistake among its misconceptions and run `effkit rejudge`."
    )
    return (Mark("many share an unexplained answer", why, advice),)


def _notes(row: TaskRow, students: int) -> list[str]:
    notes = [f"{row.waiting} wait for a person and are left out"] * bool(row.waiting)
    notes += [f"{row.missing} have no score here and are left out"] * bool(row.missing)
    if row.discrimination is None and row.scores:
        few = f"no discrimination: it takes {items.FEWEST} students, and there are {students}"
        notes.append(few if students < items.FEWEST else "no discrimination: all scores, or all other scores, are the same")
    elif row.pass_rate is not None and row.pass_rate >= EASY and row.scores:
        notes.append("nearly everybody solves it, so its discrimination says little")
    return notes
