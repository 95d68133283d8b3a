"""Figures in a notebook with their description for a screen reader: `show` one, or `Explore` one with controls.

A picture is an HTML ``<img alt>``, because notebooks drop the alt text of a PNG output. `Explore` uses core ipywidgets alone
(7.7 on Colab, 8 in JupyterLab) and carries the same picture as HTML for pages where no kernel runs.
"""

import inspect
from collections.abc import Callable
from html import escape
from typing import Any

from matplotlib.figure import Figure

from effkit.plot import describe
from effkit.plot.controls import NAME_CONTROLS, control, ipywidgets, setting
from effkit.plot.picture import as_html, css_size

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_ERROR = "white-space:pre-wrap;margin:0;padding:.8em;box-sizing:border-box;border-left:4px solid;color:#a00;background:#fff"


def show(fig: Figure, alt: str | None = None) -> None:
    """Show a figure here in the notebook, described by `alt` or by what `effkit.plot` wrote about it.

    Raises ValueError if there is neither.
    """
    from IPython.display import display

    display(Shown(fig, alt))  # type: ignore[no-untyped-call]


class Shown:
    """A picture as a notebook shows it: an image with its alt text, or the alt text alone where there are no images."""

    def __init__(self, figure: Figure, alt: str | None = None) -> None:
        self.alt = alt_text(figure, alt)
        self.html = as_html(figure, self.alt)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/html": self.html, "text/plain": self.alt}

    def __repr__(self) -> str:
        return self.alt


class Explore:
    """A figure with controls: each move calls `render` with the values of all controls and shows what it returns.

    `render` takes the controls by name and returns a figure of `effkit.plot`, or any figure and its alt text as a pair. If
    it also has a parameter `figure`, it gets the figure it returned last, None at first, to hand on: a figure drawn again
    is there sooner than a new one. The alt text begins with the values of the controls.

    A control is a range, a (min, max, step) tuple, a list or dict of choices, True or False, or a widget of ipywidgets.

        def draw(batch, figure=None):
            point = effkit.plot.Point("linear", "linear", batch)
            return effkit.plot.roofline([("a100-80gb-sxm", "fp16")], [point], figure=figure)
        effkit.Explore(draw, batch=[1, 4, 16, 64, 256])

    What `render` raises is shown in place of the picture until the next move; at the first call, before any move, it is
    raised. Raises ValueError for a control that is none of these, for no controls, and for a figure without a description;
    TypeError if `render` returns no figure; ImportError without ipywidgets.
    """

    def __init__(self, render: Callable[..., Any], /, **controls: Any) -> None:
        widgets = ipywidgets()
        if not controls:
            raise ValueError("Explore needs at least one control, such as batch=range(1, 9)")
        width = f"{max(map(len, controls)) * 0.6 + 1:.1f}em"
        self.controls = {name: control(name, given, width) for name, given in controls.items()}
        self.figure: Figure | None = None
        self._render = render
        self._reuses = "figure" in inspect.signature(render).parameters and "figure" not in controls
        self._picture = widgets.HTML()
        self._draw()
        for each in self.controls.values():
            each.observe(self._redraw, names="value")
        self.widget = widgets.VBox([*self.controls.values(), self._picture])
        self.widget.add_class("effkit-explore")

    def _draw(self) -> None:
        values = {name: each.value for name, each in self.controls.items()}
        result = self._render(**values, **({"figure": self.figure} if self._reuses else {}))
        figure, alt = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if not isinstance(figure, Figure):
            raise TypeError(f"render must return a matplotlib Figure, or a Figure and its alt text, not {result!r}")
        settings = ", ".join(f"{name} = {setting(each)}" for name, each in self.controls.items())
        self.alt = f"{settings}. {alt_text(figure, alt)}"
        self.html = as_html(figure, self.alt)
        self.figure, self._size = figure, css_size(figure)
        self._picture.value = self.html.replace("<img ", f'<img onload="{escape(NAME_CONTROLS)}" ', 1)

    def _redraw(self, change: Any) -> None:
        try:
            self._draw()
        except Exception as error:  # noqa: BLE001  whatever render raises, its author has to see it and to move on
            self.alt = f"{type(error).__name__}: {error}"
            width, height = self._size
            place = f"max-width:{width}px;aspect-ratio:{width}/{height}"  # the picture's, so that the page does not jump
            self.html = f'<pre role="alert" style="{_ERROR};{place}">{escape(self.alt)}</pre>'
            self._picture.value = self.html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {_WIDGET_VIEW: view, "text/html": self.html, "text/plain": self.alt}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return self.alt


def alt_text(figure: Figure, alt: str | None) -> str:
    """Return the alt text given, or else the figure's own description. Raises ValueError if both are missing or blank."""
    found = (describe(figure) if alt is None else alt).strip()
    if not found:
        raise ValueError("this figure cannot describe itself: give alt, what a reader who does not see it should know")
    return found
