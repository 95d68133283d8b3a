"""What a measurement found: samples of a latency, their statistics, and how far to trust them.

All times are in seconds. Latency is the time of one call; throughput is what one caller gets from calls made one after
another (a closed loop), not the rate of a server with many callers at once.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, TypeAlias

BLOCK = 1000  # a sample lasts at least this many steps of the clock: an error below 0.1 %
LEAST_SAMPLES = 10
FLUCTUATION, DISTURBANCE = 0.1, 0.25  # IQR / median at which torch.utils.benchmark warns, too
_SAMPLES_FOR_P99 = 100  # with fewer, a 99th percentile is little more than the slowest sample
_OUTLIER_MADS = 14.826  # as hyperfine: ten standard deviations, if the samples were normally distributed


@dataclass(frozen=True, repr=False)
class Timing:
    """What `measure` saw: every sample in the order taken, and the conditions. A sample is the mean of `inner_n` calls.

    `threads` are those torch computes with (None where torch is not loaded), `device` and `dtype` those of the result.
    """

    samples_s: tuple[float, ...]
    inner_n: int
    batch: int | None
    threads: int | None
    device: str
    dtype: str | None
    clock: str
    resolution_s: float
    cache: str

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples_s)

    def percentile(self, percent: float) -> float:
        """Return the latency in seconds that `percent` of the samples do not exceed."""
        return percentile(sorted(self.samples_s), percent)

    @property
    def median_s(self) -> float:
        """Median latency of a call."""
        return self.percentile(50)

    @property
    def iqr_s(self) -> float:
        """Interquartile range: the width of the middle half of the samples."""
        return self.percentile(75) - self.percentile(25)

    @property
    def min_s(self) -> float:
        """Fastest sample."""
        return min(self.samples_s)

    @property
    def p50(self) -> float:
        """Median latency in seconds."""
        return self.median_s

    @property
    def p95(self) -> float:
        """95th percentile of the latency in seconds."""
        return self.percentile(95)

    @property
    def p99(self) -> float:
        """99th percentile of the latency in seconds; see `p99_reliable`."""
        return self.percentile(99)

    @property
    def p99_reliable(self) -> bool:
        """Whether there are the 100 samples that a 99th percentile needs."""
        return self.n >= _SAMPLES_FOR_P99

    @property
    def throughput_per_s(self) -> float:
        """Batch / median: items a second, one call after another. Calls a second where no batch was given."""
        return (self.batch or 1) / self.median_s if self.median_s else math.inf

    @property
    def outliers_s(self) -> tuple[float, ...]:
        """Samples further from the median than 14.826 median absolute deviations and one step of the clock; they stay in."""
        median = self.median_s
        mad = sorted(abs(sample - median) for sample in self.samples_s)[self.n // 2]
        limit = max(_OUTLIER_MADS * mad, self.resolution_s / self.inner_n)
        return tuple(sample for sample in self.samples_s if abs(sample - median) > limit)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the figures less certain, in words."""
        found = []
        if self.n < LEAST_SAMPLES:
            found.append(f"Only {plural(self.n, 'sample')} within max_time_s; a median and its spread need {LEAST_SAMPLES}.")
        if round(self.median_s * self.inner_n / self.resolution_s) < BLOCK:
            found.append(f"A sample is shorter than {BLOCK} steps of the clock ({_seconds(self.resolution_s)}).")
        noise = self.iqr_s / self.median_s if self.median_s else 0.0
        if noise > FLUCTUATION:
            cause = "something else disturbs this machine" if noise > DISTURBANCE else "the machine fluctuates"
            found.append(f"IQR is {noise:.0%} of the median (limit {FLUCTUATION:.0%}): {cause}.")
        if self.outliers_s:
            share = f"{len(self.outliers_s)} of {plural(self.n, 'sample')}"
            furthest = _seconds(max(self.outliers_s, key=lambda sample: abs(sample - self.median_s)))
            found.append(f"Outliers: {share} further than {_OUTLIER_MADS} MAD from the median, such as {furthest}; kept.")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the samples, the conditions and every statistic as plain JSON values."""
        names = ("n", "median_s", "iqr_s", "min_s", "p50", "p95", "p99", "p99_reliable", "throughput_per_s")
        statistics = {name: getattr(self, name) for name in names}
        lists = {"samples_s": list(self.samples_s), "outliers_s": list(self.outliers_s), "warnings": list(self.warnings)}
        return {**asdict(self), **statistics, **lists}

    def _rows(self) -> list[tuple[str, str]]:
        share = f" ({self.iqr_s / self.median_s:.1%} of the median)" if self.median_s else ""
        unit = "calls/s" if self.batch is None else f"items/s (batch {self.batch} / median)"
        each = f", each the mean of {self.inner_n:,} calls" if self.inner_n > 1 else ""
        return [
            ("median p50", f"{_seconds(self.median_s)} per call"),
            ("IQR", _seconds(self.iqr_s) + share),
            ("min", _seconds(self.min_s)),
            ("p95", _seconds(self.p95)),
            ("p99", _seconds(self.p99) + ("" if self.p99_reliable else f" (unreliable: n = {self.n} < {_SAMPLES_FOR_P99})")),
            ("throughput", f"{self.throughput_per_s:,.4g} {unit}"),
            ("samples", f"{self.n:,}{each}"),
            ("device", conditions(self.device, self.threads, self.dtype)),
            ("clock", f"{self.clock}, step {_seconds(self.resolution_s)}"),
            ("cache", self.cache),
        ]

    def __repr__(self) -> str:
        return as_text(self._rows(), self.warnings)

    def _repr_html_(self) -> str:
        return as_html(self._rows(), self.warnings, "effkit-timing")


Rows: TypeAlias = Sequence[tuple[str, str]]  # the name of each figure, and the figure with its unit


def as_text(rows: Rows, warnings: Sequence[str]) -> str:
    """Return the rows of a result as lines, the figures below one another, then its warnings.

    >>> print(as_text([("median", "2 ms"), ("samples", "8")], ["Only 8 samples."]))
    median  2 ms
    samples 8
    WARNING Only 8 samples.
    """
    lines = [*rows, *(("WARNING", warning) for warning in warnings)]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}} {text}" for name, text in lines)


def as_html(rows: Rows, warnings: Sequence[str], css_class: str) -> str:
    """Return the rows of a result and its warnings as an HTML table of this class; the texts may hold any character."""
    cell = "text-align:left;padding:.15em .8em .15em 0"
    body = [
        f"<tr><th scope='row' style='{cell}'>{name}</th><td style='{cell}'>{escape(text)}</td></tr>"
        for name, text in [*rows, *(("⚠ warning", warning) for warning in warnings)]
    ]
    return f"<table class='{css_class}'>{''.join(body)}</table>"


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of ascending values do not exceed, linear between two of them as in numpy.

    >>> percentile([1.0, 2.0, 4.0, 8.0], 50)
    3.0
    """
    rank = (len(ordered) - 1) * percent / 100
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def conditions(device: str, threads: int | None, dtype: str | None) -> str:
    """Write where something was measured: "cpu, 2 threads, float32"."""
    return ", ".join(filter(None, [device, "threads unknown" if threads is None else plural(threads, "thread"), dtype]))


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: "1 thread", "2 threads"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _seconds(seconds: float) -> str:
    """Write a time with its unit: 0.0012 is "1.2 ms"."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds * 1e9:.4g} ns"
