"""Pictures in a notebook: what reaches the page, a screen reader, and a page without a kernel."""

import sys
from html import escape

import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure

from effkit.explore import Explore, show
from effkit.plot import Point, describe, roofline

VIEW = "application/vnd.jupyter.widget-view+json"
A100 = [("a100-80gb-sxm", "fp16")]


def draw(batch, figure=None):
    return roofline(A100, [Point(f"batch {batch}", "linear", batch)], figure=figure)


def own_figure():
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    return figure


@pytest.fixture(scope="module")
def shell():
    """Start IPython, which is what chooses how an object is displayed."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def displayed(action):
    """Return the data of the one thing that is displayed."""
    with capture_output() as captured:
        action()
    (output,) = captured.outputs
    return output.data


def test_show_gives_the_page_an_image_with_the_description_of_the_figure(shell):
    figure = draw(64)
    data = displayed(lambda: show(figure))
    assert set(data) == {"text/html", "text/plain"}
    assert data["text/plain"] == describe(figure)
    assert data["text/html"].startswith(f'<img alt="{describe(figure)}" width="922" height="')
    assert 'src="data:image/png;base64,iVBOR' in data["text/html"]


def test_show_takes_an_alt_text_for_any_figure(shell):
    data = displayed(lambda: show(own_figure(), alt='a < b & "c"'))
    assert data["text/plain"] == 'a < b & "c"'
    assert data["text/html"].startswith('<img alt="a &lt; b &amp; &quot;c&quot;" ')
    assert displayed(lambda: show(draw(64), "mine"))["text/plain"] == "mine"


@pytest.mark.parametrize("alt", [None, "", "  "])
def test_show_refuses_a_picture_without_words(alt):
    with pytest.raises(ValueError, match="give alt"):
        show(own_figure(), alt)


def test_outside_of_notebooks_show_writes_the_words(capsys):
    show(own_figure(), "a rising line")
    assert capsys.readouterr().out == "a rising line\n"


def test_an_explorer_is_a_widget_where_a_kernel_runs_and_a_picture_elsewhere(shell):
    explorer = Explore(draw, batch=[1, 64])
    data = displayed(lambda: display(explorer))
    assert data == explorer._repr_mimebundle_()
    assert data[VIEW] == {"version_major": 2, "version_minor": 0, "model_id": explorer.widget.model_id}
    assert data["text/html"].startswith(f'<img alt="{explorer.alt}" ')
    assert data["text/plain"] == repr(explorer) == explorer.alt
    assert displayed(explorer._ipython_display_) == data


def shown(explorer):
    """Return the HTML of the widget below the controls."""
    *controls, picture = explorer.widget.children
    assert controls == list(explorer.controls.values())
    return picture.value


def test_a_move_changes_the_picture_and_its_alt_text():
    explorer = Explore(draw, batch=[1, 64])
    before, first = shown(explorer), explorer.alt
    assert first.startswith("batch = 1. Roofline")
    assert "batch 1 at 1." in first
    explorer.controls["batch"].value = 64
    assert explorer.alt.startswith("batch = 64. Roofline")
    assert "batch 64 at 64." in explorer.alt
    assert escape(explorer.alt) in shown(explorer)
    assert first not in shown(explorer)
    assert shown(explorer).partition("src=")[2] != before.partition("src=")[2]
    assert explorer._repr_mimebundle_()["text/plain"] == explorer.alt


def test_the_live_picture_is_that_of_pages_without_a_kernel():
    explorer = Explore(draw, batch=[1, 64])
    explorer.controls["batch"].value = 64
    assert shown(explorer).partition("src=")[2] == explorer.html.partition("src=")[2]
    assert "onload" not in explorer.html


def test_alt_text_changes_though_the_figure_describes_itself_as_before():
    explorer = Explore(lambda size: (own_figure(), "a line"), size=(0.5, 2.5, 0.25))
    assert explorer.alt == "size = 0.5. a line"
    explorer.controls["size"].value = 1.75
    assert explorer.alt == "size = 1.75. a line"


def test_alt_text_is_escaped():
    explorer = Explore(lambda name: (own_figure(), f'<b onclick="x">{name}</b>'), name=["a", "</pre><script>"])
    explorer.controls["name"].value = "</pre><script>"
    for page in (explorer.html, shown(explorer)):
        assert "<script" not in page
        assert "<b " not in page
        assert "name = &lt;/pre&gt;&lt;script&gt;. &lt;b onclick=&quot;x&quot;&gt;" in page


def test_a_figure_is_handed_back_to_be_drawn_again():
    seen = []

    def render(batch, figure=None):
        seen.append(figure)
        return draw(batch, figure)

    explorer = Explore(render, batch=[1, 64])
    explorer.controls["batch"].value = 64
    assert seen == [None, explorer.figure]
    assert explorer.figure.parts["kind linear"].get_xdata()[0] == 64


def test_render_need_not_take_a_figure_and_figure_may_be_a_control():
    assert Explore(lambda batch: draw(batch), batch=[1, 64]).figure is not None
    explorer = Explore(lambda figure: (own_figure(), f"the {figure}"), figure=["first", "second"])
    assert explorer.alt == "figure = first. the first"
    explorer.controls["figure"].value = "second"
    assert explorer.alt == "figure = second. the second"


def test_an_error_is_shown_in_place_and_the_next_move_recovers():
    def render(batch, figure=None):
        if batch == 2:
            raise RuntimeError("no <such> batch")
        return draw(batch, figure)

    explorer = Explore(render, batch=range(1, 4))
    explorer.controls["batch"].value = 2
    assert explorer.alt == "RuntimeError: no <such> batch"
    assert shown(explorer).startswith('<pre role="alert"')
    assert "RuntimeError: no &lt;such&gt; batch" in shown(explorer)
    assert "<img" not in shown(explorer) + explorer.html
    assert explorer._repr_mimebundle_()["text/plain"] == explorer.alt
    explorer.controls["batch"].value = 3
    assert explorer.alt.startswith("batch = 3. Roofline")
    assert shown(explorer).startswith("<img ")
    assert explorer.figure.png() == draw(3).png()


def test_an_error_of_the_first_picture_is_raised():
    with pytest.raises(ZeroDivisionError):
        Explore(lambda batch: draw(1 // batch), batch=range(3))


def test_render_must_return_a_figure_that_has_words():
    with pytest.raises(TypeError, match="render must return a matplotlib Figure, or a Figure and its alt text, not None"):
        Explore(lambda batch: None, batch=[1, 64])
    with pytest.raises(ValueError, match="give alt"):
        Explore(lambda batch: own_figure(), batch=[1, 64])


CONTROLS = {
    "range": (range(2, 9, 3), "IntSlider", {"min": 2, "max": 8, "step": 3, "value": 2}),
    "falling range": (range(9, 0, -4), "IntSlider", {"min": 1, "max": 9, "step": 4, "value": 1}),
    "integers": ((16, 64, 16), "IntSlider", {"min": 16, "max": 64, "step": 16, "value": 16}),
    "reals": ((0.5, 2, 0.25), "FloatSlider", {"min": 0.5, "max": 2.0, "step": 0.25, "value": 0.5}),
    "numbers": ([1, 64, 4096], "SelectionSlider", {"options": (1, 64, 4096), "value": 1}),
    "words": (["fp16", "int8"], "Dropdown", {"options": ("fp16", "int8"), "value": "fp16"}),
    "named": ({"small": 1, "large": 9}, "Dropdown", {"options": (("small", 1), ("large", 9)), "value": 1}),
    "yes or no": (True, "Checkbox", {"value": True}),
}


@pytest.mark.parametrize("given, kind, traits", CONTROLS.values(), ids=CONTROLS)
def test_plain_values_become_controls_with_a_label(given, kind, traits):
    explorer = Explore(lambda batch_size: (own_figure(), f"{batch_size}"), batch_size=given)
    control = explorer.controls["batch_size"]
    assert type(control) is getattr(ipywidgets, kind)
    assert {name: getattr(control, name) for name in traits} == traits
    assert control.description == "batch size"


def test_a_choice_is_told_by_its_name():
    explorer = Explore(lambda size: (own_figure(), f"{size} units"), size={"small": 1, "large": 9})
    explorer.controls["size"].value = 9
    assert explorer.alt == "size = large. 9 units"


def test_a_widget_stays_as_it_is_but_gets_a_label():
    batch, width = ipywidgets.IntSlider(value=4, max=9), ipywidgets.IntSlider(description="columns")
    explorer = Explore(lambda batch, width: (own_figure(), f"{batch + width}"), batch=batch, width=width)
    assert explorer.controls == {"batch": batch, "width": width}
    assert (batch.description, width.description) == ("batch", "columns")
    batch.value = 5
    assert explorer.alt == "batch = 5, width = 0. 5"


@pytest.mark.parametrize(
    "given", [range(0), [], {}, (1, 2), (2, 1, 1), (1, 2, 0), ("a", "b", "c"), 5, None, "fp16"], ids=repr
)
def test_what_is_no_control_is_refused_by_name(given):
    with pytest.raises(ValueError, match=r"batch must be a range, a .* tuple, a list or dict of choices"):
        Explore(draw, batch=given)


def test_an_explorer_needs_a_control():
    with pytest.raises(ValueError, match="at least one control"):
        Explore(lambda: draw(1))


def test_without_ipywidgets_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match="pip install ipywidgets"):
        Explore(draw, batch=[1, 64])
