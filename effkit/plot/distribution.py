"""The latencies that a measurement found: how many samples took how long, and the percentiles."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from effkit.plot.sheet import Sheet, sheet
from effkit.plot.style import COLOURS, INK, SMALL, plain, prefixed, si
from effkit.timing_result import Timing, plural

_WIDTH, _LEFT, _RIGHT, _BOTTOM, _HEIGHT, _STRIP = 9.6, 0.85, 1.9, 0.65, 2.8, 1.0  # inches
_LEVEL, _TITLE = 0.27, 0.45  # inches: of the name of a percentile above the axes, and of the title above those
_FEWEST = 20  # fewer samples have no histogram
_WIDE = 8  # slowest / fastest from which the axis is logarithmic
_DASHES = {50: "solid", 95: (0, (6, 2)), 99: (0, (1, 1.2))}


def latency_distribution(timing: Timing, *, title: str = "Latency of a call", figure: Figure | None = None) -> Figure:
    """Return the distribution of a `Timing`: a histogram above a strip of all samples, with p50, p95 and p99.

    Fewer than 20 samples are a strip alone. Where the slowest took more than 8 times as long as the fastest, the axis is
    logarithmic. A `figure` that this function returned is drawn again.

    Raises ValueError for a figure of another function.
    """
    factor, unit = prefixed(timing.median_s, "s")
    samples = [sample / factor for sample in sorted(timing.samples_s)]
    marks = {percent: f"p{percent} {si(timing.percentile(percent), 's')}" for percent in _DASHES}
    marks[99] += "" if timing.p99_reliable else " (n < 100)"
    each = f", each the mean of {timing.inner_n:,} calls" if timing.inner_n > 1 else ""
    heading = f"{title}: n = {plural(timing.n, 'sample')}{each}"
    with sheet("latency_distribution", figure) as page:
        axes = page.panel("axes")
        height = _HEIGHT if timing.n >= _FEWEST else _STRIP
        page.resize(_WIDTH, _BOTTOM + height + len(marks) * _LEVEL + _TITLE)
        page.move(axes, (_LEFT, _BOTTOM, _WIDTH - _LEFT - _RIGHT, height))
        page.text(axes, "title", (_LEFT, page.height - 0.3), heading, fontsize=13, transform=page.inches)
        edges = _bins(samples)
        _set_scale(axes, edges, unit)
        _draw_samples(page, axes, samples, edges)
        for level, (percent, words) in enumerate(reversed(marks.items())):
            look = {"linestyle": _DASHES[percent], "color": INK, "linewidth": 1.8, "zorder": 3}
            _mark(page, axes, timing.percentile(percent) / factor, words, 1 + (level * _LEVEL + 0.1) / height, look)
        ends = f"fastest {si(min(timing.samples_s), 's')}, slowest {si(max(timing.samples_s), 's')}"
        return page.finish(f"{heading}. {', '.join(marks.values())}; {ends}; interquartile range {si(timing.iqr_s, 's')}.")


def _bins(samples: Sequence[float]) -> list[float]:
    """Return the edges of 8 to 40 bins by the rule of Freedman and Diaconis (1981), of equal ratio on a logarithmic axis."""
    low, high = samples[0], samples[-1]
    if low == high:
        return [low * 0.95, high * 1.05 or 1.0]
    middle_half = samples[len(samples) * 3 // 4] - samples[len(samples) // 4]
    width = 2 * middle_half / len(samples) ** (1 / 3)
    count = min(max(round((high - low) / width), 8), 40) if width else 8
    if high > _WIDE * low > 0:
        return [low * (high / low) ** (i / count) for i in range(count + 1)]
    return [low + (high - low) * i / count for i in range(count + 1)]


def _set_scale(axes: Axes, edges: Sequence[float], unit: str) -> None:
    low, high = edges[0], edges[-1]
    wide = high > _WIDE * low > 0
    margin = 0 if wide else (high - low) * 0.02
    axes.set(xscale="log" if wide else "linear", xlim=(low - margin, high + margin), xlabel=f"latency ({unit})")
    if wide:
        powers = [digit * 10.0**power for power in range(-4, 10) for digit in (1, 2, 5)]
        axes.xaxis.set_major_locator(FixedLocator(powers))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    else:
        axes.ticklabel_format(axis="x", useOffset=False)


def _draw_samples(page: Sheet, axes: Axes, samples: Sequence[float], edges: Sequence[float]) -> None:
    """Draw the histogram, and below it every sample as a stroke."""
    counts = [0] * (len(edges) - 1)
    for sample in samples:
        counts[min(bisect_right(edges, sample), len(counts)) - 1] += 1
    tallest = max(counts) if len(samples) >= _FEWEST else 0
    if tallest:
        look: dict[str, Any] = {"facecolor": "#BBD7EA", "edgecolor": COLOURS[0], "linewidth": 1.2}
        page.steps(axes, "histogram", (counts, edges), **look)
    strip = -0.12 * tallest
    strokes = {"marker": "|", "markersize": 16, "markeredgewidth": 1.2, "color": INK, "linestyle": "none"}
    page.line(axes, "samples", samples, [strip] * len(samples), **strokes)
    axes.set(ylim=(2 * strip, tallest * 1.05) if tallest else (-1, 1), ylabel="samples" if tallest else "")
    ticks = [tick for tick in MaxNLocator(4, integer=True).tick_values(0, tallest) if tick >= 0] if tallest else []
    axes.set_yticks(ticks)


def _mark(page: Sheet, axes: Axes, x: float, words: str, top: float, look: dict[str, Any]) -> None:
    """Draw a line to above the axes and write beside its end: different ends keep the names of near lines apart."""
    up, name = axes.get_xaxis_transform(), words.split()[0]
    page.line(axes, name, [x, x], [0, top], transform=up, clip_on=False, **look)
    page.text(axes, f"name of {name}", (x, top), f" {words}", fontsize=SMALL, transform=up, va="center")
