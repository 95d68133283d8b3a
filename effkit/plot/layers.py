"""Figures over the layers of a model: bars of their sizes side by side, and what is in memory while they run."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from effkit.plot.labels import thinned
from effkit.plot.sheet import Sheet, sheet
from effkit.plot.style import COLOURS, INK, exact, shorten, si
from effkit.timing_result import plural

_LINE = 0.2  # inches that the name of a layer takes across
_WIDTH, _TOP, _BOTTOM, _GAP = 9.6, 0.65, 0.45, 0.25
_HEIGHT = (1.6, 6.0)  # inches: the least and the most that the axes of bars have
_BAR_COLOURS = (COLOURS[0], COLOURS[1], COLOURS[3], COLOURS[4])
_HEADING = 12  # points
_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the lines of the grid
_TITLES = {"params": "parameters", "macs": "MACs", "activations": "activations"}


def layer_bars(
    layers: Iterable[Any],
    quantities: Sequence[str] = ("params", "macs", "activations"),
    *,
    title: str = "",
    figure: Figure | None = None,
) -> Figure:
    """Return bars for each layer, the first on top: a panel for each quantity, with the sum of these layers and the largest.

    `layers` have a `name` and each of `quantities`, for instance the records of ``profile.layers``; those with zeros
    everywhere are left out. Where there are too many for their names, names are left out, evenly. A `figure` that this
    function returned is drawn again.

    Raises ValueError if no layer has anything to show, or for a figure of another function.

    >>> from types import SimpleNamespace as Layer
    >>> from effkit.plot import describe
    >>> fc = Layer(name="fc", params=1010, macs=1000, activations=10)
    >>> describe(layer_bars([fc], ["params", "macs"]))
    '1 layer as bars. Parameters: 1,010 in total, most in fc (1,010). MACs: 1,000 in total, most in fc (1,000).'
    """
    rows = [layer for layer in layers if any(getattr(layer, quantity) for quantity in quantities)]
    if not rows:
        raise ValueError(f"layers must hold at least one with {', '.join(quantities)} above 0")
    height = min(max(len(rows) * _LINE, _HEIGHT[0]), _HEIGHT[1])
    with sheet("layer_bars", figure) as page:
        first = page.panel("panel 0")
        left = 0.25 + _longest(page, [row.name for row in rows])
        width = (_WIDTH - left - _GAP * len(quantities)) / len(quantities)
        page.resize(_WIDTH, _BOTTOM + height + _TOP + (0.35 if title else 0))
        words = []
        for index, quantity in enumerate(quantities):
            axes = page.panel(f"panel {index}")
            page.move(axes, (left + index * (width + _GAP), _BOTTOM, width, height))
            words.append(_bars(page, axes, index, quantity, rows, width))
            _layer_axis(axes.yaxis, [row.name for row in rows] if index == 0 else [], height)
            axes.set_ylim(len(rows) - 0.4, -0.6)
        place = (0.2, page.height - 0.3)
        page.text(first, "title", place, title, fontsize=13, transform=page.inches)
        return page.finish(f"{plural(len(rows), 'layer')} as bars. {' '.join(words)}")


def _bars(page: Sheet, axes: Axes, index: int, quantity: str, rows: Sequence[Any], width: float) -> str:
    """Draw the bars of one quantity, and return its total and largest layer in words."""
    values = [getattr(row, quantity) for row in rows]
    most = max(range(len(rows)), key=lambda row: values[row])
    heights = [height for value in values for height in (value, 0)][:-1]  # a gap after each bar
    edges = [edge for row in range(len(rows)) for edge in (row - 0.4, row + 0.4)]
    look: dict[str, Any] = {"facecolor": _BAR_COLOURS[index % len(_BAR_COLOURS)], "edgecolor": INK, "linewidth": 0.5}
    page.steps(axes, f"bars {index}", (heights, edges), level=True, **look)
    arrow = {"marker": "<", "color": INK, "markersize": 8, "linestyle": "none", "clip_on": False}
    page.line(axes, f"most {index}", [values[most] * 1.05], [most], **arrow)
    axes.set_xlim(0, max(values) * 1.1 or 1)
    name, total, largest = _TITLES.get(quantity, quantity.replace("_", " ")), exact(sum(values)), exact(values[most])
    second = _fitted(page, width, rows[most].name, f": {largest}")
    axes.set_title(f"{name}: {total}\n{second}", loc="left", fontsize=_HEADING)
    axes.grid(True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
    return f"{name[0].upper()}{name[1:]}: {total} in total, most in {rows[most].name} ({largest})."


def _fitted(page: Sheet, width: float, name: str, rest: str) -> str:
    """Return what marks the largest layer, with as much of its name as the width in inches holds."""
    lines = [f"◀ {shorten(name, length)}{rest}" for length in range(24, 4, -1)]
    return next((line for line in lines if page.size(line, _HEADING)[0] <= width), lines[-1])


def memory_timeline(
    steps: Iterable[tuple[str, float]], *, unit: str = "elements", title: str = "", figure: Figure | None = None
) -> Figure:
    """Return what is in memory while each layer runs, the peak marked.

    `steps` are (layer, live amount) pairs in the order they run, such as ``profile.timeline()``, in elements or in the
    `unit` given ("bytes"). A `figure` that this function returned is drawn again.

    Raises ValueError if there are no steps, or for a figure of another function.

    >>> from effkit.plot import describe
    >>> describe(memory_timeline([("conv1", 5000), ("conv2", 8000), ("fc", 300)]))
    'Activations in memory over 3 layers: peak 8,000 elements at conv2 (step 2); 5,000 at first, 300 at last.'
    """
    names, live = zip(*found, strict=True) if (found := list(steps)) else ((), ())
    if not live:
        raise ValueError("steps must hold at least one (layer, live amount) pair")
    peak = max(range(len(live)), key=lambda step: live[step])
    with sheet("memory_timeline", figure) as page:
        axes = page.panel("axes")
        below = 0.35 + _longest(page, names)
        page.resize(_WIDTH, below + 3.4 + 0.45)
        page.move(axes, (0.95, below, _WIDTH - 1.15, 3.4))
        edges = [step - 0.5 for step in range(len(live) + 1)]
        look: dict[str, Any] = {"facecolor": "#BBD7EA", "edgecolor": COLOURS[0], "linewidth": 1.5}
        page.steps(axes, "live", (live, edges), **look)
        page.line(axes, "peak", [peak], [live[peak] * 1.03], marker="v", markersize=10, color=INK, linestyle="none")
        side = "left" if peak < len(live) / 3 else "right" if peak > len(live) * 2 / 3 else "center"
        words = f"peak {exact(live[peak])} {unit} at {names[peak]}"
        page.text(axes, "peak name", (peak, live[peak] * 1.07), words, ha=side, va="bottom", bbox=_ON_WHITE)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, (max(live) or 1) * 1.2), ylabel=f"live activations ({unit})")
        axes.set_title(title, loc="left")
        axes.grid(True, axis="y")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: si(value)))
        _layer_axis(axes.xaxis, names, _WIDTH - 1.15)
        axes.tick_params(axis="x", rotation=90)
        return page.finish(
            f"Activations in memory over {plural(len(live), 'layer')}: peak {words[5:]} (step {peak + 1}); "
            f"{exact(live[0])} at first, {exact(live[-1])} at last."
        )


def _layer_axis(axis: Axis, names: Sequence[str], room: float) -> None:
    """Name the layers along an axis, as many as `room` inches hold."""
    shown = thinned(len(names), room, _LINE)
    axis.set_ticks(list(shown), [shorten(names[i]) for i in shown])


def _longest(page: Sheet, names: Iterable[str]) -> float:
    """Return the length of the longest name in inches."""
    return page.size(max(map(shorten, names), key=len))[0]
