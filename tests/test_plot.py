"""Figures: what they show, that their labels keep apart, and that they describe themselves."""

import io
import random
import subprocess
import sys
from dataclasses import dataclass
from html import escape
from itertools import combinations, pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib import rc_context, style
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from effkit import hardware, plot
from effkit.plot import Point, describe, latency_distribution, layer_bars, memory_timeline, roofline
from effkit.plot.labels import nearest_edge, place, spread, thinned
from effkit.plot.picture import Picture
from effkit.plot.style import _FILLED, _HOLLOW, COLOURS, kind_styles, si
from effkit.roofline import Roofline
from effkit.timing_result import Timing

KINDS = [*_FILLED, *_HOLLOW]
A100 = ("a100-80gb-sxm", "fp16")
MACHINES = [("t4", "fp16"), A100, ("h100-sxm5", "fp16"), ("apple-m2", "fp32"), ("stm32f746", "int8")]
DTYPES = [("a100-80gb-sxm", dtype) for dtype in ("fp64", "fp32", "tf32", "fp16", "int8")]


@dataclass(frozen=True)
class Layer:
    """Stands for a record of a profile."""

    name: str
    kind: str = "conv"
    params: int = 0
    macs: int = 0
    activations: int = 0


@dataclass(frozen=True)
class Placed:
    """Stands for such a record on a machine."""

    layer: Layer
    arithmetic_intensity: float


@dataclass(frozen=True)
class Placement:
    """Stands for a profile on a machine."""

    machine: str
    dtype: str
    roofline: Roofline
    layers: tuple[Placed, ...]


def placement(key, dtype, intensities):
    device = hardware[key]
    layers = tuple(Placed(Layer(f"conv{i}"), intensity) for i, intensity in enumerate(intensities))
    return Placement(device.name, dtype, device.roofline(dtype), layers)


def points(count, seed=0):
    draw = random.Random(seed)
    return [Point(f"stage{i}.block.{KINDS[i % 17]}", KINDS[i % 17], 10 ** draw.uniform(-1, 3)) for i in range(count)]


def timing(samples, inner_n=1):
    return Timing(tuple(samples), inner_n, None, 2, "cpu", "float32", "perf_counter", 1e-9, "hot")


def gaussian(count, seed=0):
    draw = random.Random(seed)
    return timing(draw.gauss(0.0123, 0.0002) for _ in range(count))


def layers(count):
    return [
        Layer(f"stage{i // 4}.{i % 4}.branch.conv", params=i * 101, macs=(count - i) * 10**7, activations=7)
        for i in range(count)
    ]


FIGURES = {
    "one ceiling": lambda figure=None: roofline([A100], points(5), figure=figure),
    "measured": lambda figure=None: roofline(
        [A100], [Point(f"batch {b}", "linear", b, 6e11 * b) for b in (1, 4, 16, 64, 256)], title="Linear", figure=figure
    ),
    "five machines": lambda figure=None: roofline(MACHINES, {"T4 fp16": points(12)}, figure=figure),
    "ten ceilings": lambda figure=None: roofline([*MACHINES, *DTYPES[:3], *DTYPES[4:], ("t4", "fp32")], figure=figure),
    "fifty points": lambda figure=None: roofline([A100], points(50), figure=figure),
    "fifty names": lambda figure=None: roofline([A100], points(50), names=[p.name for p in points(50)], figure=figure),
    "bars": lambda figure=None: layer_bars(layers(8), figure=figure),
    "many bars": lambda figure=None: layer_bars(layers(120), title="A deep network", figure=figure),
    "long numbers": lambda figure=None: layer_bars(
        [
            Layer(f"stage4.{i}.branch.1.conv", params=2_359_296, macs=118_013_952_000, activations=1_317_736)
            for i in range(8)
        ],
        title="Large",
        figure=figure,
    ),
    "timeline": lambda figure=None: memory_timeline([("conv1", 5000), ("conv2", 8000), ("fc", 300)], figure=figure),
    "long timeline": lambda figure=None: memory_timeline(
        [(f"stage{i}.branch.0.conv", (i * 37) % 101) for i in range(200)], title="Long", figure=figure
    ),
    "latency": lambda figure=None: latency_distribution(gaussian(300), figure=figure),
    "few latencies": lambda figure=None: latency_distribution(gaussian(12), figure=figure),
    "wide latency": lambda figure=None: latency_distribution(timing([1e-6] * 300 + [5e-5] * 9), figure=figure),
    "equal latency": lambda figure=None: latency_distribution(timing([1e-3] * 30), figure=figure),
}
EACH_FIGURE = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


@pytest.fixture(scope="module", params=FIGURES)
def figure(request):
    """Return each of the figures, to look at."""
    return FIGURES[request.param]()


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figure.png())).convert("RGB"))


def shown_texts(figure):
    """Return every text that is drawn, with its box in pixels: not the names of ticks outside of their axes."""
    figure.png()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible() and text not in hidden]
    return [(text.get_text(), text.get_window_extent(figure.canvas.get_renderer())) for text in texts]


def test_no_label_covers_another_or_leaves_the_figure(figure):
    texts = shown_texts(figure)
    assert len(texts) > 5
    collisions = [(a, b) for (a, box), (b, other) in combinations(texts, 2) if box.padded(-1).overlaps(other.padded(-1))]
    assert collisions == []
    width, height = figure.bbox.size
    outside = [text for text, box in texts if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    assert outside == []


def test_text_is_large_and_all_on_white(figure):
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts) >= 11
    image = pixels(figure)
    assert {tuple(image[y, x]) for y in (0, -1) for x in (0, -1)} == {(255, 255, 255)}
    assert list(image.shape[1::-1]) == pytest.approx(list(figure.get_size_inches() * 144), abs=1)


@EACH_FIGURE
def test_nothing_of_matplotlib_is_left_changed(draw):
    before = dict(matplotlib.rcParams)
    figure = draw()
    figure.png()
    assert isinstance(figure, Figure)
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_pyplot_is_not_imported():
    code = "import sys, effkit.plot, effkit.explore; print('matplotlib.pyplot' in sys.modules, 'ipywidgets' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "False False\n", run.stderr


@EACH_FIGURE
def test_the_same_data_make_the_same_file_whatever_the_reader_s_own_style(draw):
    plain = draw().png()
    with rc_context(), style.context("dark_background"):
        matplotlib.rcParams.update({"font.size": 20, "axes.grid": False, "lines.linewidth": 9, "savefig.bbox": "tight"})
        assert draw().png() == plain


@EACH_FIGURE
def test_a_figure_drawn_again_keeps_its_artists(draw):
    figure = draw()
    before = dict(figure.parts)
    assert draw(figure) is figure
    assert figure.parts == before


def test_a_figure_says_what_it_shows_and_a_notebook_gets_that_as_alt_text(figure):
    words = describe(figure)
    assert any(character.isdigit() for character in words)
    assert words.endswith(".")
    bundle = figure._repr_mimebundle_()
    assert bundle["text/plain"] == words
    assert f'<img alt="{escape(words)}"' in bundle["text/html"]


def test_other_figures_have_no_description():
    assert describe(Figure()) == ""


def test_a_figure_of_another_function_is_refused():
    with pytest.raises(ValueError, match="figure must be one that layer_bars drew before"):
        layer_bars(layers(3), figure=roofline([A100]))
    with pytest.raises(ValueError, match="figure must be one that roofline drew before"):
        roofline([A100], figure=Figure())


def changes():
    """Pairs of drawings by the same function that differ in what stands still, in what moves, or in both."""
    names = [point.name for point in points(50)]
    return {
        "points move": [
            lambda f: roofline([A100], points(9, 1), figure=f),
            lambda f: roofline([A100], points(9, 2), figure=f),
        ],
        "kinds go": [FIGURES["fifty points"], FIGURES["measured"]],
        "kinds come": [FIGURES["measured"], FIGURES["fifty points"]],
        "names come": [FIGURES["fifty points"], lambda f: roofline([A100], points(50), names=names, figure=f)],
        "ceilings": [FIGURES["five machines"], FIGURES["ten ceilings"]],
        "fewer ceilings": [FIGURES["ten ceilings"], FIGURES["one ceiling"]],
        "fewer bars": [FIGURES["many bars"], FIGURES["bars"]],
        "panels": [FIGURES["bars"], lambda f: layer_bars(layers(8), ["macs"], figure=f)],
        "timeline": [FIGURES["long timeline"], FIGURES["timeline"]],
        "latency": [FIGURES["few latencies"], FIGURES["latency"]],
        "no histogram": [FIGURES["latency"], FIGURES["few latencies"]],
        "linear again": [FIGURES["wide latency"], FIGURES["latency"]],
    }


@pytest.mark.parametrize("first, then", changes().values(), ids=changes())
def test_a_figure_drawn_again_looks_like_a_new_one(first, then):
    figure = first(None)
    figure.png()
    then(figure)
    new = then(None)
    expected = new.png()
    assert figure.png() == expected
    assert describe(figure) == describe(new)
    then(figure)
    assert figure.png() == expected
    first(figure)
    assert figure.png() == first(None).png()


def test_only_points_and_their_names_are_drawn_when_only_they_move(monkeypatch):
    drawn = []
    monkeypatch.setattr(Picture, "draw", lambda self, renderer: drawn.append(self) or Figure.draw(self, renderer))
    figure = roofline([A100], [Point("a", "conv", 2.0), Point("b", "norm", 3.0)])
    figure.png()
    assert drawn == [figure]
    roofline([A100], [Point("a", "conv", 4.0), Point("b", "norm", 5.0)], figure=figure)
    figure.png()
    assert drawn == [figure]


def test_what_a_reader_adds_or_changes_is_drawn_too():
    figure = roofline([A100], points(5))
    plain = figure.png()
    line = figure.axes[0].axhline(1e13, color="red")
    added = figure.png()
    assert added != plain
    line.set_ydata([1e14, 1e14])
    assert figure.png() not in (plain, added)
    line.set_ydata([1e13, 1e13])
    figure.canvas.draw()
    assert figure.png() == added
    line.remove()
    assert figure.png() == plain


def test_points_are_in_the_file_that_matplotlib_itself_saves():
    def saved(figure):
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()

    assert saved(roofline([A100], [Point("a", "conv", 10.0)])) != saved(roofline([A100], [Point("a", "conv", 20.0)]))


def contrast_with_white(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_colours_are_different_and_stand_out_from_white():
    assert len(set(COLOURS)) == len(COLOURS)
    assert min(map(contrast_with_white, COLOURS)) >= 3


def look(line):
    return (
        str(line.get_linestyle()),
        line._unscaled_dash_pattern,
        line.get_marker(),
        line.get_markerfacecolor() in ("white", "none"),
    )


@pytest.mark.parametrize("name", ["ten ceilings", "fifty points", "five machines", "latency"])
def test_no_two_lines_differ_by_colour_alone(name):
    figure = FIGURES[name]()
    lines = [
        part for key, part in figure.parts.items() if key.startswith(("ceiling", "kind", "ridges", "p50", "p95", "p99"))
    ]
    assert len(lines) > 2
    assert len({look(line) for line in lines}) == len(lines)


def test_kinds_of_layers_have_markers_of_their_own():
    styles = kind_styles([*KINDS, "wavelet", "spline"])
    looks = {(look["marker"], look["markerfacecolor"] == "white") for look in styles.values()}
    assert len(looks) == len(styles) == len(KINDS) + 2
    assert kind_styles(["norm"])["norm"] == styles["norm"]


def test_ceilings_are_the_rooflines_and_their_ridge_points_are_marked():
    figure = roofline({"a": Roofline(100e12, 2e12), "b": Roofline(1e12, 1e12)})
    x, y = figure.parts["ceiling a"].get_data()
    low, high = figure.axes[0].get_xlim()
    assert list(x) == [low, 50.0, high]
    assert list(y) == [low * 2e12, 100e12, 100e12]
    ridges = figure.parts["ridges"]
    assert [list(data) for data in ridges.get_data()] == [[50.0, 1.0], [100e12, 1e12]]
    assert ridges.get_marker() == "o"
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_ceilings_of_one_memory_share_the_slope_of_the_highest():
    figure = roofline([("a100-80gb-sxm", "fp32"), A100])
    low, _ = figure.axes[0].get_xlim()
    assert figure.parts["ceiling A100 80GB SXM fp16"].get_xdata()[0] == low
    assert figure.parts["ceiling A100 80GB SXM fp32"].get_xdata()[0] == pytest.approx(19.5e12 / 2.039e12)


def test_points_are_grouped_by_kind_and_lie_on_their_roof_or_where_they_were_measured():
    ceiling = Roofline(100e12, 2e12)
    figure = roofline(ceiling, [Point("a", "conv", 10.0), Point("b", "conv", 200.0), Point("c", "linear", 10.0, 5e12)])
    assert [list(data) for data in figure.parts["kind conv"].get_data()] == [[10.0, 200.0], [20e12, 100e12]]
    assert [list(data) for data in figure.parts["kind linear"].get_data()] == [[10.0], [5e12]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["conv", "linear", "ridge point"]


def test_a_roofline_says_its_figures_and_which_points_are_bound_by_what():
    figure = roofline([A100], [Point("fc", "linear", 0.998), Point("conv1", "conv", 250), Point("view", "copy", 0)])
    words = describe(figure)
    assert "A100 80GB SXM fp16: peak 312 TFLOP/s, memory 2.04 TB/s, ridge 153 FLOPs/byte." in words
    assert "1 of 2 points memory-bound: fc at 0.998." in words
    assert "1 of 2 points compute-bound: conv1 at 250." in words
    assert "Not drawn, for they compute nothing: 1." in words
    assert "kind copy" not in figure.parts


def test_many_points_are_described_by_kind():
    many = [Point(f"c{i}", "conv", 100.0 + i) for i in range(40)] + [Point(f"n{i}", "norm", 1.75) for i in range(9)]
    assert "49 of 49 points memory-bound: 40 conv at 100 to 139, 9 norm at 1.75." in describe(roofline([A100], many))


def test_measured_points_are_compared_with_the_roofline():
    machine = Roofline(100e12, 2e12)
    words = describe(roofline(machine, [Point("a", "linear", 10, 5e12), Point("b", "linear", 500, 80e12)]))
    assert "Measured at 25% to 80% of what the roofline allows." in words


def test_models_on_machines_bring_their_layers():
    figure = roofline([placement("t4", "fp16", [2.0, 300.0]), placement("apple-m2", "fp32", [1.0, 150.0])])
    x, y = figure.parts["kind conv"].get_data()
    assert list(x) == [2.0, 300.0, 1.0, 150.0]
    assert list(y) == [640e9, 65e12, 100e9, 3.6e12]
    assert "T4 fp16: peak 65 TFLOP/s, memory 320 GB/s, ridge 203 FLOPs/byte. 1 of 2 points memory-bound: conv0" in describe(
        figure
    )


def test_under_more_than_two_machines_points_are_counted():
    figure = roofline([placement(key, dtype, [1.0, 900.0]) for key, dtype in MACHINES])
    assert describe(figure).count("1 of 2 points memory-bound. 1 of 2 points compute-bound.") == 4
    assert (
        "STM32F746 int8: peak 864 MOP/s, memory 1.73 GB/s, ridge 0.499 OPs/byte. 2 of 2 points compute-bound."
        in describe(figure)
    )


def test_axes_say_flops_unless_a_ceiling_counts_integer_operations():
    assert roofline([A100]).axes[0].get_ylabel() == "performance (FLOP/s)"
    assert roofline([("t4", "int8")]).axes[0].get_xlabel() == "arithmetic intensity (OPs/byte)"
    assert roofline(MACHINES).axes[0].get_ylabel() == "performance (operations/s)"


def test_limits_are_decades_that_hold_every_point():
    axes = roofline([A100], [Point("a", "conv", 0.003, 2e8)], intensities=(1, 2e5)).axes[0]
    assert axes.get_xlim() == pytest.approx((1e-3, 1e6))
    assert axes.get_ylim() == pytest.approx((1e8, 1e15))


def names_in(figure):
    return {part.get_text() for key, part in figure.parts.items() if key.startswith("name ") and isinstance(part, Text)}


def test_of_many_points_the_extremes_have_names_unless_others_are_asked_for():
    many = [Point(f"c{i}", "conv", 2.0**i) for i in range(-4, 10)]
    assert names_in(roofline([A100], many)) == {"c-4", "c9"}
    assert names_in(roofline([A100], many, names=["c1", "c2"])) == {"c1", "c2"}
    assert names_in(roofline([A100], many[:12])) == {point.name for point in many[:12]}
    assert names_in(roofline([A100], many, names=())) == set()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([[]], "ceilings must be at least one"),
        ([[A100, A100]], "with different names"),
        ([MACHINES, points(3)], "under several ceilings, points must say under which"),
        ([[A100], {"T4 fp16": points(3)}], r"points are given for \['T4 fp16'\]"),
        ([[("t4", "fp64")]], "dtype must be one that T4 has a peak for"),
    ],
)
def test_a_roofline_that_cannot_be_drawn_says_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        roofline(*arguments)


def test_an_unknown_device_is_a_key_error():
    with pytest.raises(KeyError, match="did you mean"):
        roofline([("a1000", "fp16")])


def test_bars_are_as_long_as_their_layers_are_large():
    figure = layer_bars(
        [Layer("a", params=5, macs=0, activations=9), Layer("relu"), Layer("b", params=7, macs=4, activations=1)]
    )
    values, edges, _ = figure.parts["bars 0"].get_data()
    assert list(values) == [5, 0, 7]  # the middle one is the gap
    assert list(edges) == pytest.approx([-0.4, 0.4, 0.6, 1.4])
    assert list(figure.parts["bars 1"].get_data()[0]) == [0, 0, 4]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert [axes.get_ylim() for axes in figure.axes] == [figure.axes[0].get_ylim()] * 3
    assert figure.axes[0].yaxis_inverted()
    assert [list(figure.parts[f"most {i}"].get_ydata()) for i in range(3)] == [[1], [1], [0]]


def test_bars_tell_exact_totals_and_the_largest_layer():
    figure = layer_bars([Layer("conv1", params=34848, macs=10**13), Layer("fc6", params=60_919_808)], ["params", "macs"])
    assert "Parameters: 60,954,656 in total, most in fc6 (60,919,808)." in describe(figure)
    assert "MACs: 10 T in total, most in conv1 (10 T)." in describe(figure)
    assert figure.axes[0].get_title(loc="left") == "parameters: 60,954,656\n◀ fc6: 60,919,808"


def test_of_many_layers_as_many_have_names_as_there_is_room_for():
    names = [label.get_text() for label in layer_bars(layers(120)).axes[0].get_yticklabels()]
    assert len(names) == 30
    assert names[:2] == ["stage0.0.branch.conv", "stage1.0.branch.conv"]


def test_bars_need_something_to_show():
    with pytest.raises(ValueError, match="layers must hold at least one with params, macs above 0"):
        layer_bars([Layer("relu")], ["params", "macs"])


def test_a_timeline_marks_and_tells_its_peak():
    figure = memory_timeline([("conv1", 440_928), ("relu1", 290_400), ("fc8", 1000)], unit="elements")
    values, edges, _ = figure.parts["live"].get_data()
    assert list(values) == [440_928, 290_400, 1000]
    assert list(edges) == [-0.5, 0.5, 1.5, 2.5]
    assert list(figure.parts["peak"].get_xdata()) == [0]
    assert figure.parts["peak name"].get_text() == "peak 440,928 elements at conv1"
    assert describe(figure) == (
        "Activations in memory over 3 layers: peak 440,928 elements at conv1 (step 1); 440,928 at first, 1,000 at last."
    )
    assert "peak 64 bytes at a" in describe(memory_timeline([("a", 64)], unit="bytes"))


def test_a_timeline_needs_a_step():
    with pytest.raises(ValueError, match="steps must hold at least one"):
        memory_timeline([])


def test_a_distribution_counts_every_sample_and_marks_the_percentiles():
    measured = gaussian(300)
    figure = latency_distribution(measured, title="ReLU")
    counts, edges, _ = figure.parts["histogram"].get_data()
    assert list(counts) == list(np.histogram(np.array(measured.samples_s) * 1e3, edges)[0])
    assert sum(counts) == 300
    assert len(figure.parts["samples"].get_xdata()) == 300
    for percent in (50, 95, 99):
        line = figure.parts[f"p{percent}"]
        assert line.get_xdata()[0] == pytest.approx(measured.percentile(percent) * 1e3)
        assert f"p{percent} {si(measured.percentile(percent), 's')}" in describe(figure)
    assert figure.parts["title"].get_text() == "ReLU: n = 300 samples"
    assert figure.axes[0].get_xlabel() == "latency (ms)"


def test_few_samples_have_no_histogram_and_an_uncertain_p99():
    figure = latency_distribution(gaussian(12))
    assert "histogram" not in figure.parts
    assert figure.parts["name of p99"].get_text().endswith("(n < 100)")
    assert "n = 12 samples" in describe(figure)
    assert "n < 100" not in describe(latency_distribution(gaussian(100)))


def test_a_sample_of_many_calls_is_said_to_be_their_mean():
    assert "each the mean of 1,000 calls" in describe(latency_distribution(timing([1e-6] * 20, inner_n=1000)))


def test_a_long_tail_has_a_logarithmic_axis():
    assert latency_distribution(timing([1e-6] * 300 + [5e-5])).axes[0].get_xscale() == "log"
    assert latency_distribution(timing([0.0, 1e-6, 2e-6])).axes[0].get_xscale() == "linear"


@pytest.mark.parametrize("seed", range(20))
def test_spread_labels_keep_order_distance_and_limits(seed):
    draw = random.Random(seed)
    wanted = [draw.uniform(-1, 11) for _ in range(draw.randint(1, 9))]
    places = spread(wanted, 1, 0, 10)
    ordered = [place for _, place in sorted(zip(wanted, places, strict=True))]
    assert all(above - below >= 1 - 1e-9 for below, above in pairwise(ordered))
    assert min(places) >= -1e-9
    assert max(places) <= 10 + 1e-9


def test_spread_labels_are_near_what_they_label():
    assert spread([1.0, 1.2, 5.0], 1, 0, 9) == pytest.approx([0.6, 1.6, 5.0])
    assert spread([8.0, 8.0, 8.0, 2.0], 1, 0, 9) == pytest.approx([7.0, 8.0, 9.0, 2.0])


def test_labels_with_too_little_room_share_what_there_is():
    assert spread([4, 4, 4], 3, 0, 4) == [0, 2, 4]
    assert spread([5, 1], 1, 0, 9) == [5, 1]


def test_a_label_without_a_free_place_is_left_out():
    anchors, sizes = [(i / 20, i / 20) for i in range(41)], [(0.6, 0.2)] * 41
    centres = place(anchors, sizes, [], (0, 0, 2, 2))
    placed = [centre for centre in centres if centre]
    assert 5 < len(placed) < 41
    assert all(abs(a[0] - b[0]) > 0.599 or abs(a[1] - b[1]) > 0.199 for a, b in combinations(placed, 2))
    assert place([(1.0, 1.0)], [(1.0, 0.2)], [(0, 0, 2, 2)], (0, 0, 2, 2)) == [None]


def test_no_line_to_a_label_passes_another_label():
    anchors, size = [(i / 20, i / 20) for i in range(41)], (0.6, 0.2)
    found = zip(anchors, place(anchors, [size] * 41, [], (0, 0, 2, 2)), strict=True)
    placed = [(anchor, centre) for anchor, centre in found if centre]
    for anchor, centre in placed:
        edge = nearest_edge(anchor, centre, size)
        way = [(anchor[0] + (edge[0] - anchor[0]) * i / 8, anchor[1] + (edge[1] - anchor[1]) * i / 8) for i in range(1, 8)]
        others = [other for _, other in placed if other != centre]
        assert not [1 for x, y in way for a, b in others if abs(x - a) < 0.3 and abs(y - b) < 0.1]


def test_numbers_have_three_digits_and_the_prefix_that_suits():
    written = [si(value, "s") for value in (1000, 999.6, 1e-3, 9.999e-4, 2.5e-9, 1234.5e12)]
    assert written == ["1 ks", "1 ks", "1 ms", "1 ms", "2.5 ns", "1.23 Ps"]


def test_labels_are_thinned_evenly():
    assert list(thinned(5, room=9, each=1)) == [0, 1, 2, 3, 4]
    assert list(thinned(5, room=2, each=1)) == [0, 3]
    assert list(thinned(5, room=0, each=1)) == [0]


def test_public_names():
    assert sorted(plot.__all__) == [
        "Point",
        "describe",
        "latency_distribution",
        "layer_bars",
        "memory_timeline",
        "roofline",
    ]
