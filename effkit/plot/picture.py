"""A matplotlib figure that says in words what it shows, and that remembers its artists by name."""

import base64
import io
from contextlib import AbstractContextManager
from html import escape
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from effkit.plot.style import DPI, STYLE


class Picture(Figure):
    """A matplotlib Figure on white with a description in words; `sheet` draws on it."""

    def __init__(self, drawn_by: str) -> None:
        super().__init__(dpi=DPI, facecolor="white")
        self.agg: Any = FigureCanvasAgg(self)
        self.drawn_by = drawn_by
        self.description = ""
        self.parts: dict[str, Any] = {}
        self.drawn_with: dict[tuple[str, str], Any] = {}  # by the part and what of it
        self._still: Any = None

    def draw(self, renderer: Any) -> None:
        """Draw all that does not move; matplotlib calls this, also when it saves the figure."""
        super().draw(renderer)
        self._still = None

    def png(self) -> bytes:
        """Return the picture as a PNG file: the same bytes each time, since no date or version goes in."""
        with effkit_style():
            self._draw_what_changed()
        pixels = self.agg.buffer_rgba()
        image = Image.frombuffer("RGBA", (pixels.shape[1], pixels.shape[0]), pixels).convert("RGB")
        # A figure has few colours: with a palette of them the file is a quarter as large, and made sooner.
        image = image.quantize(256, method=Image.Quantize.FASTOCTREE)
        image.putpalette([255 if level == 254 else level for level in image.getpalette() or []])  # white comes out less so
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": as_html(self, self.description), "text/plain": self.description}

    def _draw_what_changed(self) -> None:
        """Draw the animated artists over all others; those are drawn only when one of them has changed (is stale)."""
        if self.stale or self._still is None:
            self.agg.draw()
            self._still = self.agg.copy_from_bbox(self.bbox)
        self.agg.restore_region(self._still)
        moving = [part for part in self.parts.values() if part.get_animated()]
        for artist in sorted(moving, key=lambda artist: artist.get_zorder()):
            artist.axes.draw_artist(artist)


def describe(figure: Figure) -> str:
    """Return in words what a figure of `effkit.plot` shows, from the data it shows; "" for any other figure."""
    return figure.description if isinstance(figure, Picture) else ""


def as_html(figure: Figure, alt: str) -> str:
    """Return any figure as an HTML image on white with its alt text, as wide as the figure but no wider than the page."""
    width, height = css_size(figure)  # both, to keep the place while the image loads
    look = "max-width:100%;height:auto;background:#fff"
    source = f"data:image/png;base64,{base64.b64encode(_png(figure)).decode()}"
    return f'<img alt="{escape(alt)}" width="{width}" height="{height}" style="{look}" src="{source}">'


def css_size(figure: Figure) -> tuple[int, int]:
    """Return the width and height of a figure in CSS pixels, 96 to the inch."""
    width, height = figure.get_size_inches()
    return round(width * 96), round(height * 96)


def _png(figure: Figure) -> bytes:
    if isinstance(figure, Picture):
        return figure.png()
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def effkit_style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib has effkit's style, and nothing of the reader's, which may be white on black."""
    return style.context(["default", STYLE])
