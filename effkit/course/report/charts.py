"""The two charts of a report: where each part lies, in percent of the width, and in words what is seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from effkit.course.report.items import Bin, Spread, histogram, spread
from effkit.course.report.tasks import TaskRow

HEIGHT = 150  # pixels of the tallest bar
# Percent of the width that a number inside a bar needs, also on a phone: for each digit, and around all of them.
_DIGIT, _AROUND = 2.8, {"full": 0.6, "part": 2.6, "none": 0.6}


@dataclass(frozen=True)
class Column:
    """One bar of the histogram."""

    bin: Bin
    left: float
    width: float
    height: float


@dataclass(frozen=True)
class Distribution:
    """A histogram of the totals, with the median."""

    columns: tuple[Column, ...]
    spread: Spread
    median_left: float
    alt: str


def distribution(values: Sequence[float], maximum: float) -> Distribution | None:
    """Return the histogram of a class's totals; None of nobody."""
    found = spread(values)
    if found is None:
        return None
    bins = histogram(values, maximum)
    tallest, end = max(one.count for one in bins), bins[-1].high
    columns = (
        Column(one, _x(one.low / end), _x(one.high / end) - _x(one.low / end), HEIGHT * one.count / tallest) for one in bins
    )
    alt = (
        f"Histogram of the totals of {people(len(values))}, of {maximum:g} points: {_counts(bins)}. "
        f"The median is {found.median:g}."
    )
    return Distribution(tuple(columns), found, _x(min(max(found.median, 0), end) / end), alt)


def _x(share: float) -> float:
    """Return a place in percent of the width, with room for half a number at both ends."""
    return 3 + 94 * share


def _counts(bins: Sequence[Bin]) -> str:
    """Return the bins in words, without the empty ones."""
    words = [f"{one.low:g} up to {one.high:g}: {one.count}" for one in bins[:-1] if one.count]
    last = bins[-1]
    return ", ".join([*words, *([f"{last.low:g} to {last.high:g}: {last.count}"] if last.count else [])])


@dataclass(frozen=True)
class Segment:
    """A part of a bar: the students with full, part or none of a task's points."""

    kind: str
    count: int
    left: float
    width: float

    @property
    def shown(self) -> str:
        """Return the number to write into it, if it is wide enough."""
        number = str(self.count)
        return number if self.width >= _DIGIT * len(number) + _AROUND[self.kind] else ""


def segments(row: TaskRow) -> tuple[Segment, ...]:
    """Return the bar of one task, from full points to none."""
    found, left = [], 0.0
    for kind, count in (("full", row.full), ("part", row.part), ("none", row.none)):
        width = 100 * count / max(1, len(row.scores))
        if count:
            found.append(Segment(kind, count, left, width))
        left += width
    return tuple(found)


def outcomes_alt(rows: Sequence[TaskRow]) -> str:
    """Return in words what the bars of all tasks show."""
    words = [f"{row.name}: {row.full} full, {row.part} part, {row.none} none" for row in rows if row.scores]
    return f"Bars of how many students got full points, a part or none in each task. {'; '.join(words)}."


def people(count: int) -> str:
    """Return a number of students in words.

    >>> people(1), people(0)
    ('1 student', '0 students')
    """
    return f"{count} student{'' if count == 1 else 's'}"
