"""The words in a roofline figure: the name of each ceiling beside its end, names of dots where there is room."""

from collections.abc import Iterable, Sequence
from math import dist, nan
from typing import TypeAlias

from matplotlib.axes import Axes

from effkit.plot.frame import Frame
from effkit.plot.labels import Rectangle, nearest_edge, place, spread
from effkit.plot.roof_data import Ceiling, Dot
from effkit.plot.sheet import Sheet
from effkit.plot.style import INK, LINES, SMALL, line_style, shorten

Names: TypeAlias = Iterable[str] | None
GAP = 0.07  # inches between the names of two ceilings
LEADER = (0.18, 0.5, 0.58)  # inches right of the axes: where the line to a name bends, where it ends, where the name begins
_NAMED = 12  # among more dots only the extremes have their names beside them
_STEP = 0.12  # inches between the places along a ceiling that names keep clear of
_CLEAR = 0.03  # inches between a ceiling and a name
_FAR = 0.18  # a name further than these inches from its dot has a line to it


def ceiling_words(roof: Ceiling, brief: bool) -> str:
    """Return a ceiling's name and figures in two lines, or in four."""
    peak, memory, ridge = roof.facts
    short = f"{peak.removeprefix('peak ')}, {' '.join(ridge.split()[:2])}"
    return "\n".join([roof.name, short] if brief else [roof.name, peak, memory, ridge])


def name_ceilings(page: Sheet, axes: Axes, frame: Frame, roofs: Sequence[Ceiling], words: Sequence[str]) -> None:
    """Write the words about each ceiling right of its end, none over another, and lead there."""
    tall = max(page.size(each)[1] for each in words)
    ends = [frame.at(frame.x[1], roof.roofline.attainable(frame.x[1]))[1] for roof in roofs]
    places = spread(ends, tall + GAP, frame.box[1] + tall / 2, frame.top - tall / 2)
    bend, stop, begin = (frame.right + reach for reach in LEADER)
    style = {"fontsize": SMALL, "va": "center", "linespacing": LINES, "transform": page.inches}
    for index, (roof, text, end, y) in enumerate(zip(roofs, words, ends, places, strict=True)):
        path = {"transform": page.inches, "clip_on": False, **line_style(index)}
        page.line(axes, f"leader {roof.name}", [frame.right, bend, stop], [end, y, y], **path)
        page.text(axes, f"words {roof.name}", (begin, y), text, **style)


def name_dots(page: Sheet, axes: Axes, frame: Frame, roofs: Sequence[Ceiling], dots: Sequence[Dot], names: Names) -> None:
    """Write names beside dots where there is room, with a line to a dot that is far."""
    chosen = _chosen(roofs, dots, names)
    words = [shorten(dot.name) for dot in chosen]
    sizes = [page.size(each) for each in words]
    anchors = [frame.at(dot.x, dot.y) for dot in chosen]
    area = (frame.box[0], frame.box[1], frame.right, frame.top)
    centres = place(anchors, sizes, _taken(page, frame, roofs, dots), area)
    style = {"fontsize": SMALL, "ha": "center", "va": "center", "transform": page.inches, "zorder": 5, "animated": True}
    leaders: list[tuple[float, float]] = []
    for i, (text, size, anchor, centre) in enumerate(zip(words, sizes, anchors, centres, strict=True)):
        page.text(axes, f"name {i}", centre or (0, 0), text, visible=centre is not None, **style)
        if centre and dist(anchor, edge := nearest_edge(anchor, centre, size)) > _FAR:
            leaders += [anchor, edge, (nan, nan)]
    x, y = [x for x, _ in leaders], [y for _, y in leaders]
    look = {"color": INK, "linewidth": 0.8, "linestyle": "solid", "zorder": 3.5, "transform": page.inches, "animated": True}
    page.line(axes, "name leaders", x, y, **look)


def _chosen(roofs: Sequence[Ceiling], dots: Sequence[Dot], names: Names) -> list[Dot]:
    """Return the dots to name: those asked for, or all, or where they are many the lowest and highest under each ceiling."""
    if names is not None:
        wanted = set(names)
        dots = [dot for dot in dots if dot.name in wanted]
    elif len(dots) > _NAMED:
        groups = [under for roof in roofs if (under := [dot for dot in dots if dot.ceiling is roof])]
        dots = [extreme(group, key=lambda dot: dot.x) for group in groups for extreme in (min, max)]
    return list({(dot.name, dot.x, dot.y): dot for dot in dots}.values())


def _taken(page: Sheet, frame: Frame, roofs: Sequence[Ceiling], dots: Sequence[Dot]) -> list[Rectangle]:
    """Return what names must not cover: dots, ceilings, ridge points, and what stands below a single one."""
    places = {(*frame.at(dot.x, dot.y), 0.08) for dot in dots}
    for roof in (roof.roofline for roof in roofs):
        ridge = (roof.ridge_point, roof.peak_flops_per_s)
        ends = [(x, roof.attainable(x)) for x in frame.x]
        foot = (roof.ridge_point, frame.y[0])
        lines = [[ends[0], ridge, ends[1]], *([[ridge, foot]] if len(roofs) == 1 else [])]
        places |= {(x, y, _CLEAR) for line in lines for x, y in frame.along(line, _STEP)}
        places.add((*frame.at(*ridge), 0.1))
    taken = [(x - r, y - r, x + r, y + r) for x, y, r in places]
    if len(roofs) == 1:
        (x, y), (width, height) = frame.at(*foot), page.size("compute-bound")
        taken.append((x - width - 0.15, y, x + width + 0.15, y + height + 0.1))
    return taken
