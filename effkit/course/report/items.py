"""Statistics of a test's items: pure functions on numbers, the same for every lab."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, fsum, sqrt
from statistics import median, quantiles

FEWEST = 10  # students, below whom a correlation says nothing
_WIDTHS = (0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000)
_MOST_BINS = 16


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing.

    >>> mean([1, 2, 6]), mean([])
    (3.0, None)
    """
    return fsum(values) / len(values) if values else None


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Pearson's correlation, from -1 to 1; None where either side does not vary.

    >>> correlation([0, 1, 2], [1, 3, 5]), correlation([4, 4], [0, 1])
    (1.0, None)
    """
    if len(xs) != len(ys):
        raise ValueError(f"xs and ys must have the same length, not {len(xs)} and {len(ys)}")
    across, up = _deviations(xs), _deviations(ys)
    if across is None or up is None:
        return None
    product = fsum(x * y for x, y in zip(across, up, strict=True))
    found = product / sqrt(fsum(x * x for x in across) * fsum(y * y for y in up))
    return max(-1.0, min(1.0, found))


def _deviations(values: Sequence[float]) -> list[float] | None:
    """Return the deviations from the mean, the largest of size 1; None if there are none but those of rounding."""
    middle = mean(values)
    if middle is None:
        return None
    found = [value - middle for value in values]
    largest = max(map(abs, found))
    if largest <= 1e-9 * max(1.0, *map(abs, values)):
        return None
    return [value / largest for value in found]


def discrimination(scores: Sequence[float], totals: Sequence[float]) -> float | None:
    """Return how far one task's scores go with those of all other tasks together: the corrected item-total correlation.

    `totals` include the task itself. It is taken out, since a task goes with itself: S. Henrysson, "Correction of item-total
    correlations in item analysis", Psychometrika 28 (1963) 211-218. None of fewer than ten students, or where either side
    does not vary.

    >>> discrimination([0] * 5 + [1] * 5, [3] * 5 + [9] * 5)
    1.0
    """
    if len(scores) < FEWEST:
        return None
    return correlation(scores, [total - score for score, total in zip(scores, totals, strict=True)])


def by_chance(students: int) -> float:
    """Return how far from 0 a correlation gets by chance alone, in 19 of 20 classes of this size.

    >>> round(by_chance(30), 2)
    0.36
    """
    return min(1.0, 1.96 / sqrt(students - 1)) if students > 1 else 1.0


@dataclass(frozen=True)
class Spread:
    """Where a class's totals lie."""

    low: float
    lower_quarter: float
    median: float
    upper_quarter: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the extremes and the quartiles (interpolated, the extremes included); None of nothing.

    >>> spread([0, 1, 2, 3, 4])
    Spread(low=0, lower_quarter=1.0, median=2, upper_quarter=3.0, high=4)
    """
    if not values:
        return None
    if len(values) == 1:
        return Spread(*[values[0]] * 5)
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return Spread(min(values), lower, median(values), upper, max(values))


@dataclass(frozen=True)
class Bin:
    """How many totals lie from `low` up to, but without, `high`; the last bin has its upper end too."""

    low: float
    high: float
    count: int


def histogram(values: Sequence[float], maximum: float) -> list[Bin]:
    """Return bins of a round width that cover 0 to `maximum`, at most 16; what lies outside counts in the nearest.

    >>> histogram([0, 9, 10, 30], 30)[0], len(histogram([], 30)), histogram([4], 4)[-1]
    (Bin(low=0, high=2, count=1), 15, Bin(low=3.5, high=4.0, count=1))
    """
    maximum = max(maximum, 1)
    width = next((width for width in _WIDTHS if maximum <= width * _MOST_BINS), maximum / _MOST_BINS)
    counts = [0] * ceil(maximum / width)
    for value in values:
        counts[max(0, min(int(value // width), len(counts) - 1))] += 1
    return [Bin(i * width, min((i + 1) * width, maximum), count) for i, count in enumerate(counts)]
