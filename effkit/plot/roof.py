"""The roofline figure: what a machine allows at each arithmetic intensity, and where layers fall under it."""

from collections.abc import Sequence
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from effkit.plot.frame import Frame, Limits, decades, tick
from effkit.plot.roof_data import Ceiling, Ceilings, Dot, Points, describe_roofline, per_byte, read
from effkit.plot.roof_labels import GAP, LEADER, Names, ceiling_words, name_ceilings, name_dots
from effkit.plot.sheet import Sheet, sheet
from effkit.plot.style import INK, SMALL, kind_styles, line_style, plain, si

_WIDTH, _LEFT, _TOP, _BOTTOM = 9.6, 0.95, 0.4, 0.85  # inches
_LEAST_AXES = (4.8, 4.2)  # inches: width and height
_COLUMNS, _ROW = 5, 0.25  # of the legend
_DETAILED = 3  # more ceilings than these have short labels


def roofline(
    ceilings: Ceilings,
    points: Points = (),
    *,
    title: str = "",
    intensities: Limits | None = None,
    names: Names = None,
    figure: Figure | None = None,
) -> Figure:
    """Return the roofline figure: ceilings with their ridge points, and points under them by kind of layer.

    `ceilings` is a `Roofline`, a dict of them by name, or a list of (device or its key, dtype) pairs and of models placed
    on a machine (``profile.on(...)``), which bring their layers along. `points` have `name`, `kind`, `arithmetic_intensity`
    (FLOPs/byte) and perhaps `flops_per_s`, what was measured; without it they lie on their roof. Under several ceilings it
    is a dict of them by the name of the ceiling. `intensities` is what the horizontal axis shows at least. `names` are the
    points to name, where there is room; of more than a dozen these are the extremes unless you say. A point that computes
    nothing has no place on a logarithmic axis; the description tells how many there are. A `figure` that this function
    returned is drawn again.

    Raises ValueError for no ceilings, two of one name, points without a ceiling, a dtype a device has no peak for, or a
    figure of another function; KeyError for an unknown device.

    >>> from effkit.plot import Point, describe
    >>> describe(roofline([("v100", "fp16")], [Point("conv1", "conv", 250.0)])).partition(". ")[2]
    'V100 SXM2 fp16: peak 125 TFLOP/s, memory 900 GB/s, ridge 139 FLOPs/byte. 1 of 1 point compute-bound: conv1 at 250.'
    """
    roofs, dots = read(ceilings, points)
    drawn = [dot for dot in dots if dot.x > 0 and dot.y > 0]
    kinds = list(dict.fromkeys(dot.kind for dot in drawn))
    with sheet("roofline", figure) as page:
        axes = page.panel("axes")
        words = [ceiling_words(roof, brief=len(roofs) > _DETAILED) for roof in roofs]
        sizes = [page.size(each) for each in words]
        beside = LEADER[-1] + max(width for width, _ in sizes) + 0.1
        width = max(_LEAST_AXES[0], _WIDTH - _LEFT - beside)
        height = max(_LEAST_AXES[1], sum(height + GAP for _, height in sizes))
        bottom = _BOTTOM + _ROW * ceil((len(kinds) + 1) / _COLUMNS)
        page.resize(_LEFT + width + beside, bottom + height + _TOP)
        frame = Frame((_LEFT, bottom, width, height), *_limits(roofs, drawn, intensities))
        page.move(axes, frame.box)
        units = {roof.unit for roof in roofs}
        page.once("axes", "scale", (frame, units, title), lambda: _draw_axes(axes, frame, units, title))
        _draw_roofs(page, axes, frame, roofs)
        name_ceilings(page, axes, frame, roofs, words)
        markers = _draw_dots(page, axes, kinds, drawn)
        ridges = _draw_ridges(page, axes, frame, roofs)
        name_dots(page, axes, frame, roofs, drawn, names)
        page.legend([*markers, ridges], (_LEFT, bottom - 0.6), columns=_COLUMNS)
        return page.finish(describe_roofline(roofs, dots))


def _limits(roofs: Sequence[Ceiling], dots: Sequence[Dot], intensities: Limits | None) -> tuple[Limits, Limits]:
    machines = [roof.roofline for roof in roofs]
    ridges = [machine.ridge_point for machine in machines]
    xs = [dot.x * margin for dot in dots for margin in (0.8, 1.25)]
    x = decades([*(intensities or (min(ridges) / 30, max(ridges) * 7)), *xs])
    peaks = [machine.peak_flops_per_s * 1.5 for machine in machines]
    return x, decades([*peaks, *(machine.attainable(x[0]) for machine in machines), *(dot.y for dot in dots)])


def _draw_axes(axes: Axes, frame: Frame, units: set[str], title: str) -> None:
    axes.set(xscale="log", yscale="log", xlim=frame.x, ylim=frame.y)
    unit = min(units) if len(units) == 1 else "operations/s"
    axes.set(xlabel=f"arithmetic intensity ({per_byte(unit)})", ylabel=f"performance ({unit})")
    axes.set_title(title, loc="left")
    axes.grid(True)
    tick(axes.xaxis, frame.x, plain)
    tick(axes.yaxis, frame.y, si)


def _draw_roofs(page: Sheet, axes: Axes, frame: Frame, roofs: Sequence[Ceiling]) -> None:
    """Draw the ceilings. Those of one memory share its slope: the highest has it, the others begin at their ridge points."""
    highest: dict[float, float] = {}
    for machine in (roof.roofline for roof in roofs):
        memory = machine.bandwidth_bytes_per_s
        highest[memory] = max(highest.get(memory, 0.0), machine.peak_flops_per_s)
    for index, roof in enumerate(roofs):
        machine = roof.roofline
        has_slope = machine.peak_flops_per_s == highest[machine.bandwidth_bytes_per_s]
        x = [*([frame.x[0]] if has_slope else []), machine.ridge_point, frame.x[1]]
        y = [machine.attainable(intensity) for intensity in x]
        page.line(axes, f"ceiling {roof.name}", x, y, label=roof.name, zorder=2, **line_style(index))


def _draw_ridges(page: Sheet, axes: Axes, frame: Frame, roofs: Sequence[Ceiling]) -> Line2D:
    """Mark the ridge points; under a single ceiling, also say on which side what is the limit."""
    ridges = [roof.roofline.ridge_point for roof in roofs]
    peaks = [roof.roofline.peak_flops_per_s for roof in roofs]
    if len(roofs) == 1:
        foot = {"color": INK, "linestyle": (0, (1, 2.5)), "linewidth": 1.2, "zorder": 1}
        page.line(axes, "ridge line", [ridges[0]] * 2, [frame.y[0], peaks[0]], **foot)
        x, y = frame.at(ridges[0], frame.y[0])
        for side, shift, align in (("memory", -0.08, "right"), ("compute", 0.08, "left")):
            style = {"ha": align, "va": "bottom", "fontsize": SMALL, "transform": page.inches}
            page.text(axes, f"{side} side", (x + shift, y + 0.06), f"{side}-bound", **style)
    ring = {"marker": "o", "markersize": 13, "markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 1.8}
    return page.line(axes, "ridges", ridges, peaks, label="ridge point", linestyle="none", zorder=3, **ring)


def _draw_dots(page: Sheet, axes: Axes, kinds: Sequence[str], dots: Sequence[Dot]) -> list[Line2D]:
    lines = []
    for kind, look in kind_styles(kinds).items():
        chosen = [dot for dot in dots if dot.kind == kind]
        x, y = [dot.x for dot in chosen], [dot.y for dot in chosen]
        lines.append(page.line(axes, f"kind {kind}", x, y, label=kind, clip_on=False, animated=True, **look))
    return lines
