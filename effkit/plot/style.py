"""How effkit's figures look: colours, markers, dashes and fonts, and how they write numbers.

The colours are Okabe and Ito's for colour-blind readers; those with too little contrast on white are darker or left out, so
that each has at least 3:1 (WCAG 1.4.11). No two lines of a figure differ by their colour alone.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

INK = "#1A1A1A"
COLOURS = ("#0072B2", "#D55E00", INK, "#009E73", "#882255", "#C46BA0")
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (6, 2)),
    (0, (1, 1)),
    (0, (7, 2, 1, 2)),
    (0, (3, 1.5)),
    (0, (12, 3)),
    (0, (7, 2, 1, 2, 1, 2)),
    (0, (1, 3)),
    (0, (12, 2, 3, 2)),
    (0, (6, 2, 6, 2, 1, 2)),
)
DPI = 144  # one and a half device pixels for each of the 96 CSS pixels in an inch
LINES = 1.15  # the distance of lines in a label, as a multiple of their height
SMALL = 11  # points: the smallest text, read from the last row of a lecture hall

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every computer
    "font.size": 12,
    "text.color": INK,
    "axes.titlesize": 13,
    "axes.titley": 1.0,  # a fixed place: to look for one that is free takes a tenth of the time of a redraw
    "axes.labelsize": 12,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 2.2,
    "grid.color": "#D4D4D4",
}

# Layers that multiply and accumulate have filled markers, all others hollow ones. A kind looks the same in every figure.
_FILLED = {
    "conv": "o",
    "depthwise_conv": "v",
    "linear": "s",
    "matmul": "^",
    "attention": "*",
    "recurrent": "P",
    "embedding": "D",
    "custom": "d",
}
_HOLLOW = {
    "norm": "s",
    "batch_norm": "p",
    "pool": "^",
    "activation": "v",
    "softmax": "D",
    "elementwise": "X",
    "reduction": "P",
    "resample": "h",
    "copy": "d",
}
_SPARE = ("<", ">", "8", "p", "h", "X")  # filled, for kinds that a reader brings along
_SIZES = {"*": 13, "P": 10, "X": 10, "D": 7.5}


def kind_styles(kinds: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return matplotlib's properties of the marker for each kind of layer.

    >>> kind_styles(["conv", "wavelet"])["wavelet"]["marker"]
    '<'
    """
    known = [*_FILLED, *_HOLLOW]
    unknown = [kind for kind in kinds if kind not in known]
    styles = {}
    for kind in kinds:
        if kind in known:
            marker, place = (_FILLED | _HOLLOW)[kind], known.index(kind)
        else:
            marker, place = _SPARE[unknown.index(kind) % len(_SPARE)], unknown.index(kind)
        colour = COLOURS[place % len(COLOURS)]
        fill = "white" if kind in _HOLLOW else colour
        edge = colour if kind in _HOLLOW else INK
        look = {"marker": marker, "markersize": _SIZES.get(marker, 8.5), "markerfacecolor": fill, "markeredgecolor": edge}
        styles[kind] = {**look, "markeredgewidth": 1.8 if kind in _HOLLOW else 0.8, "linestyle": "none", "zorder": 4}
    return styles


def line_style(index: int) -> dict[str, Any]:
    """Return the colour and the dashes of the line of this number; the first ten differ in their dashes."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}


_PREFIXES = MappingProxyType({5: "P", 4: "T", 3: "G", 2: "M", 1: "k", 0: "", -1: "m", -2: "µ", -3: "n"})


def si(value: float, unit: str = "") -> str:
    """Write a number with three digits and an SI prefix.

    >>> si(312e12, "FLOP/s"), si(0.00125, "s"), si(999_999), si(0, "B")
    ('312 TFLOP/s', '1.25 ms', '1 M', '0 B')
    """
    factor, name = prefixed(float(f"{value:.3g}"), unit)
    return f"{float(f'{value / factor:.3g}'):g} {name}".strip()


def prefixed(value: float, unit: str) -> tuple[float, str]:
    """Return the factor and the name of the unit that suits a value.

    >>> prefixed(0.004, "s")
    (0.001, 'ms')
    """
    power = next((power for power in _PREFIXES if value >= 1000.0**power), -3) if value else 0
    return 1000.0**power, _PREFIXES[power] + unit


def plain(value: float) -> str:
    """Write a number with three digits and no prefix.

    >>> plain(153.016), plain(12345.6), plain(0.0833)
    ('153', '12,300', '0.0833')
    """
    return f"{float(f'{value:.3g}'):,.10g}"


def exact(value: float) -> str:
    """Write a count in full where it has at most twelve digits.

    >>> exact(60_954_656), exact(2.5e6)
    ('60,954,656', '2.5 M')
    """
    return f"{value:,}" if isinstance(value, int) and value < 10**12 else si(value)


def shorten(name: str, length: int = 24) -> str:
    """Return a layer's name with at most `length` characters: its end, which tells it from its neighbours.

    >>> shorten("transformer.h.11.mlp.c_proj", 16)
    '…11.mlp.c_proj'
    """
    if len(name) <= length:
        return name
    end = name[1 - length :]
    whole = end.partition(".")[2]  # without the part that was cut in two, if enough is left
    return "…" + (whole if len(whole) > length / 2 else end)
