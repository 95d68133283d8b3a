"""Where labels go so that none covers another. All places and sizes are in one unit, such as inches."""

from collections.abc import Sequence
from math import cos, pi, sin
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Rectangle: TypeAlias = tuple[float, float, float, float]  # left, bottom, right, top


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places between `low` and `high` that are `gap` apart and as near as can be to those wanted.

    The sum of the squared moves is the least possible (pool adjacent violators; Barlow et al., "Statistical Inference under
    Order Restrictions", 1972). Where there is too little room the gap is what is left for each.

    >>> spread([1.0, 1.2, 5.0], gap=1, low=0, high=9)
    [0.6, 1.6, 5.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    blocks: list[list[float]] = []  # neighbours that touch: their mean, less the gaps below them, and how many
    for rank, i in enumerate(order):
        blocks.append([wanted[i] - rank * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, count), (above, more) = blocks[-2], blocks[-1]
            blocks[-2:] = [[(mean * count + above * more) / (count + more), count + more]]
    places = [mean for mean, count in blocks for _ in range(int(count))]
    top = high - (len(wanted) - 1) * gap
    found = [0.0] * len(wanted)
    for rank, i in enumerate(order):
        found[i] = min(max(places[rank], low), top) + rank * gap
    return found


def place(
    anchors: Sequence[Point],
    sizes: Sequence[Point],
    taken: Sequence[Rectangle],
    area: Rectangle,
) -> list[Point | None]:
    """Return for each anchor the centre of its label, near it, inside the area and clear of all else; None if there is none.

    `sizes` are the width and height of each label, `taken` the rectangles that must stay clear. A label is also clear of the
    straight ways from other anchors to their labels.
    """
    taken, labels = list(taken), list[Rectangle]()
    centres: list[Point | None] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        for centre in _around(anchor, size):
            label, way = _rectangle(centre, size), _way(anchor, centre, size)
            if _is_inside(label, area) and not _overlaps(label, taken) and not any(_overlaps(spot, labels) for spot in way):
                taken += [label, *way]
                labels.append(label)
                centres.append(centre)
                break
        else:
            centres.append(None)
    return centres


def nearest_edge(anchor: Point, centre: Point, size: Point) -> Point:
    """Return the point of a label that is nearest to its anchor."""
    (x, y), (left, bottom, right, top) = anchor, _rectangle(centre, size)
    return min(max(x, left), right), min(max(y, bottom), top)


def thinned(count: int, room: float, each: float) -> range:
    """Return which of `count` labels to write, evenly spaced, when one needs `each` and there is `room`.

    >>> list(thinned(10, room=4, each=1))
    [0, 3, 6, 9]
    """
    most = max(int(room / each), 1)
    return range(0, count, max(-(-count // most), 1))


def _around(anchor: Point, size: Point) -> list[Point]:
    """Return centres for a label around its anchor, nearest first, and first where a rising line leaves room."""
    (x, y), (width, height) = anchor, size
    angles = [pi / 4 * turn for turn in (7, 3, 0, 4, 6, 2, 1, 5)]
    return [
        (x + cos(angle) * (width / 2 + reach), y + sin(angle) * (height / 2 + reach))
        for reach in (0.1, 0.2, 0.35, 0.55, 0.8)
        for angle in angles
    ]


def _rectangle(centre: Point, size: Point) -> Rectangle:
    (x, y), (width, height) = centre, size
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _way(anchor: Point, centre: Point, size: Point) -> list[Rectangle]:
    """Return specks along the way from an anchor to its label."""
    (x0, y0), (x1, y1) = anchor, nearest_edge(anchor, centre, size)
    return [_rectangle((x0 + (x1 - x0) * i / 8, y0 + (y1 - y0) * i / 8), (0.02, 0.02)) for i in range(1, 8)]


def _is_inside(label: Rectangle, area: Rectangle) -> bool:
    return label[0] >= area[0] and label[1] >= area[1] and label[2] <= area[2] and label[3] <= area[3]


def _overlaps(label: Rectangle, others: Sequence[Rectangle]) -> bool:
    left, bottom, right, top = label
    return any(left < r and right > lo and bottom < t and top > b for lo, b, r, t in others)
