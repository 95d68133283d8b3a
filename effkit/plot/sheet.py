"""Drawing with artists that have names, so that a figure can be drawn again with the same ones.

A plot function names each of its artists. The first time it makes them; the next time it finds them by their names and
changes what differs, and those it does not name again go. That is what lets a picture keep up with a slider.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.text import Text

from effkit.plot.picture import Picture, effkit_style
from effkit.plot.style import DPI, LINES, SMALL

A = TypeVar("A", bound=Artist)
Box: TypeAlias = tuple[float, float, float, float]  # left, bottom, width, height
Steps: TypeAlias = tuple[Sequence[float], Sequence[float]]  # values, and the edges between which they hold: one more


class Sheet:
    """A picture while a plot function draws on it. Places are in inches, from the lower left corner."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.inches = picture.dpi_scale_trans
        self.used: set[str] = set()

    def resize(self, width: float, height: float) -> None:
        """Set the size of the picture; to be called before a panel is moved."""
        self.width, self.height = width, height
        self.once("", "size", (width, height), lambda: self.picture.set_size_inches(width, height))

    def once(self, name: str, what: str, given: Any, change: Callable[[], Any]) -> None:
        """Change something of a part, unless the same was given last time: what has not changed need not be drawn again."""
        drawn_with, key = self.picture.drawn_with, (name, what)
        if key not in drawn_with or drawn_with[key] != given:
            change()
            drawn_with[key] = given

    def part(self, name: str, make: Callable[[], A]) -> A:
        """Return the artist of this name, made when there is none."""
        self.used.add(name)
        if name not in self.picture.parts:
            self.picture.parts[name] = make()
        found: A = self.picture.parts[name]
        return found

    def panel(self, name: str) -> Axes:
        """Return the axes of this name."""
        return self.part(name, lambda: self.picture.add_axes((0, 0, 1, 1), label=name))

    def move(self, axes: Axes, box: Box) -> None:
        """Put axes into a box: left, bottom, width, height."""
        left, bottom, width, height = box
        share = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        self.once(str(axes.get_label()), "place", share, lambda: axes.set_position(share))

    def line(self, axes: Axes, name: str, x: Sequence[float], y: Sequence[float], **properties: Any) -> Line2D:
        """Draw a line, markers or both; `animated` ones lie over all that are not, and move faster."""
        line = self.part(name, lambda: axes.add_line(Line2D([], [])))
        given = {"data": (x, y), **properties}
        self.once(name, "look", given, lambda: line.set(**given))
        return line

    def steps(self, axes: Axes, name: str, steps: Steps, *, level: bool = False, **properties: Any) -> StepPatch:
        """Draw bars, or steps, of values between edges; `level` ones lie one above another."""
        direction: Any = "horizontal" if level else "vertical"
        patch = self.part(name, lambda: axes.stairs(*steps, orientation=direction, fill=True))
        self.once(name, "data", steps, lambda: patch.set_data(*steps, 0))
        self.once(name, "look", properties, lambda: patch.set(**properties))
        return patch

    def text(self, axes: Axes, name: str, place: tuple[float, float], words: str, **properties: Any) -> Text:
        """Write words in data coordinates, or those of the `transform` among the properties."""
        text = self.part(name, lambda: axes.text(0, 0, "", clip_on=False))
        given = {"position": place, "text": words, **properties}
        self.once(name, "look", given, lambda: text.set(**given))
        return text

    def legend(self, entries: Sequence[Line2D], corner: tuple[float, float], columns: int) -> None:
        """Draw a legend of these lines below its left corner; a legend cannot change, so other entries make another."""
        labels = [str(entry.get_label()) for entry in entries]
        style: dict[str, Any] = {"borderaxespad": 0, "ncols": columns, "handlelength": 1.3}
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": corner, "bbox_transform": self.inches}
        self.part(f"legend {corner} {labels}", lambda: self.picture.legend(entries, labels, **place, **style))

    def size(self, words: str, fontsize: float = SMALL) -> tuple[float, float]:
        """Return the width and height of words in inches, with lines as close as those of labels."""
        text = Text(0, 0, words, fontsize=fontsize, linespacing=LINES)
        text.set_figure(self.picture)
        extent = text.get_window_extent(self.picture.agg.get_renderer())
        return extent.width / DPI, extent.height / DPI

    def finish(self, description: str) -> Picture:
        """Take away what was not drawn this time, and say what the picture shows."""
        gone = self.picture.parts.keys() - self.used
        for name in gone:
            self.picture.parts.pop(name).remove()
        for key in [key for key in self.picture.drawn_with if key[0] in gone]:
            del self.picture.drawn_with[key]
        self.picture.description = description
        return self.picture


@contextmanager
def sheet(function: str, figure: Figure | None) -> Iterator[Sheet]:
    """Give a new picture, or one that the same function drew, to draw on in effkit's style; rcParams stay as they are.

    Raises ValueError if `figure` is another one.
    """
    if figure is None:
        figure = Picture(function)
    if not isinstance(figure, Picture) or figure.drawn_by != function:
        raise ValueError(f"figure must be one that {function} drew before, to be drawn again, or None; not {figure!r}")
    with effkit_style():
        yield Sheet(figure)
