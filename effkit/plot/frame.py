"""Logarithmic axes whose limits are whole decades, and where on the page a point of them is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from effkit.plot.sheet import Box

Limits = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Logarithmic axes: their box on the page in inches, and their limits."""

    box: Box
    x: Limits
    y: Limits

    @property
    def right(self) -> float:
        """The right edge in inches."""
        return self.box[0] + self.box[2]

    @property
    def top(self) -> float:
        """The upper edge in inches."""
        return self.box[1] + self.box[3]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where on the page a point is, in inches."""
        left, bottom, width, height = self.box
        return left + width * _share(x, self.x), bottom + height * _share(y, self.y)

    def along(self, points: Sequence[tuple[float, float]], step: float) -> list[tuple[float, float]]:
        """Return places on the page along a line through points, at most `step` inches apart."""
        places = [self.at(*point) for point in points]
        found = places[-1:]
        for (x0, y0), (x1, y1) in pairwise(places):
            count = ceil(max(abs(x1 - x0), abs(y1 - y0)) / step)
            found += [(x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count) for i in range(count)]
        return found


def decades(values: Sequence[float]) -> Limits:
    """Return the powers of ten around all values, at least one decade apart.

    >>> decades([0.3, 20, 80])
    (0.1, 100.0)
    """
    low, high = floor(log10(min(values)) + 1e-9), ceil(log10(max(values)) - 1e-9)
    return 10.0**low, 10.0 ** max(high, low + 1)


def tick(axis: Axis, limits: Limits, write: Callable[[float], str]) -> None:
    """Mark the decades only: minor ticks and powers in math type are most of the time that a log plot takes to draw."""
    low, high = (round(log10(limit)) for limit in limits)
    axis.set_major_locator(FixedLocator([10.0**power for power in range(low, high + 1)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def _share(value: float, limits: Limits) -> float:
    return log10(value / limits[0]) / log10(limits[1] / limits[0])
