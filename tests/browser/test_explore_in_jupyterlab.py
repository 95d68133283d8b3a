"""A reader moves the controls of an explorer in JupyterLab: what the page and a screen reader get."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

EXPLORER = """
from effkit import plot
from effkit.explore import Explore

def draw(batch, dtype, figure=None):
    if batch == 16:
        raise RuntimeError("no <such> batch")
    return plot.roofline([("a100-80gb-sxm", dtype)], [plot.Point("fc", "linear", batch)], figure=figure)

Explore(draw, batch=[1, 4, 16, 64], dtype=["fp16", "int8"])
"""
FIGURE = """
from effkit import plot
from effkit.explore import show

show(plot.roofline([("t4", "fp16"), ("a100-80gb-sxm", "fp16"), ("h100-sxm5", "fp16")]))
"""


@pytest.fixture
def explorer(lab):
    """Return the output of a cell that shows an explorer."""
    lab.write("setup", EXPLORER)
    return lab.run("setup")


def picture(explorer):
    return explorer.get_by_role("img")


def test_moving_a_slider_changes_the_picture_and_its_alt_text(lab, explorer):
    expect(picture(explorer)).to_have_attribute("alt", re.compile(r"^batch = 1, dtype = fp16\. .*memory-bound: fc at 1\."))
    lab.picture("explore", explorer)
    before = picture(explorer).get_attribute("src")
    explorer.get_by_role("slider", name="batch").press("ArrowRight")
    expect(picture(explorer)).to_have_attribute("alt", re.compile(r"^batch = 4, dtype = fp16\. .*memory-bound: fc at 4\."))
    assert picture(explorer).get_attribute("src") != before
    explorer.get_by_role("combobox", name="dtype").select_option("int8")
    expect(picture(explorer)).to_have_attribute("alt", re.compile(r"^batch = 4, dtype = int8\. .*peak 624 TOP/s"))


def test_a_screen_reader_gets_the_name_and_the_value_of_a_slider(explorer):
    slider = explorer.get_by_role("slider", name="batch")
    for _ in range(3):
        slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "64")  # not its position in the list, 3
    expect(slider).to_have_accessible_name("batch")


def test_an_error_is_shown_in_the_place_of_the_picture_until_the_next_move(lab, explorer):
    height = explorer.bounding_box()["height"]
    slider = explorer.get_by_role("slider", name="batch")
    for _ in range(2):
        slider.press("ArrowRight")
    expect(explorer.get_by_role("alert")).to_have_text("RuntimeError: no <such> batch")
    expect(picture(explorer)).to_have_count(0)
    lab.picture("explore_error", explorer)
    assert explorer.bounding_box()["height"] == pytest.approx(height, abs=12)
    slider.press("ArrowRight")
    expect(picture(explorer)).to_have_attribute("alt", re.compile("^batch = 64"))


def test_figures_are_on_white_in_the_dark_theme(lab, explorer):
    lab.write("begin", FIGURE)
    figure = lab.run("begin")
    lab.use_theme("JupyterLab Dark")
    lab.picture("figure_dark", figure)
    lab.picture("explore_dark", explorer)
    for image in (figure.get_by_role("img"), picture(explorer)):
        expect(image).to_have_attribute("alt", re.compile("ridge 153 FLOPs/byte"))
        assert corner(image) == [255, 255, 255, 255]
    lab.use_theme("JupyterLab Light")


def corner(image):
    """Return the colour of the upper left pixel of an image."""
    return image.evaluate("""async image => {
        await image.decode();
        const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        return [...context.getImageData(0, 0, 1, 1).data];
    }""")
