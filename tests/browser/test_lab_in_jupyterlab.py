"""A student works on lab 2 in JupyterLab: what its checks, its hints and nbgrader's Validate button show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TASK = "linear_params"
NO_BIAS = "def linear_params(in_features, out_features, bias):\n    return in_features * out_features"
RIGHT = f"{NO_BIAS} + (out_features if bias else 0)"


def test_nbgrader_is_part_of_jupyterlab(new_user):
    def listed(*command):
        jupyter = Path(sys.executable).with_name("jupyter")
        done = subprocess.run([jupyter, *command, "list"], env=new_user, capture_output=True, text=True, timeout=120)
        return re.sub(r"\x1b\[\d+m", "", done.stdout + done.stderr)  # without colours

    assert re.search(r"@jupyter/nbgrader v\S+ enabled OK", listed("labextension"))
    servers = listed("server", "extension")
    for part in ("validate_assignment", "assignment_list", "course_list", "formgrader"):
        assert re.search(rf"nbgrader\.server_extensions\.{part} enabled\n", servers)
        assert re.search(rf"nbgrader\.server_extensions\.{part} +OK\n", servers)


def test_first_cells_say_what_the_lab_holds(lab):
    expect(lab.run("setup")).to_have_count(0)  # on the student's own computer it has nothing to do
    expect(lab.run("begin")).to_contain_text("11 checked tasks, 30 points")


def test_check_of_a_stub_says_what_to_do(lab):
    shown = lab.check(TASK)
    expect(shown).to_contain_text("linear_params: 0 of 2 points")
    expect(shown).to_contain_text("Not solved yet. Write the body of linear_params in the cell above")
    lab.picture("check_unsolved", shown)


def test_check_of_a_wrong_answer_names_the_mistake(lab):
    shown = lab.check(TASK, NO_BIAS)
    expect(shown).to_contain_text("linear_params: 1 of 2 points")
    expect(shown).to_contain_text("Known mistake: bias forgotten")
    expect(shown.locator("th")).to_have_text(["Call", "Expected", "Your answer"])
    expect(shown.locator("tbody tr")).to_have_count(1)
    expect(shown.locator("tbody td")).to_have_text([re.compile(r"^linear_params\(in_features="), "15", "12"])
    lab.picture("check_wrong", shown)


def test_check_of_a_right_answer_counts_as_progress(lab):
    lab.check(TASK, NO_BIAS)
    shown = lab.check(TASK, RIGHT)
    expect(shown).to_contain_text("linear_params: 2 of 2 points")
    expect(shown).not_to_contain_text("mistake")
    lab.picture("check_right", shown)
    progress = lab.progress()
    for row in ([TASK, "2 of 2", "✓ solved"], ["norm_params", "0 of 2", "not checked yet"]):
        expect(progress.locator("tr", has_text=row[0]).locator("td")).to_have_text(row)
    expect(progress.locator("tfoot")).to_contain_text("2 of 30")
    lab.picture("progress", progress)


def test_checks_need_no_colours_and_fit_light_and_dark_themes(lab):
    wrong, progress = lab.check(TASK, NO_BIAS), lab.progress()
    expect(wrong.locator("p", has_text="✓")).to_have_text([re.compile("right$")])
    expect(wrong.locator("p", has_text="✗")).to_have_text([re.compile("without the right answer$")])
    for shown in (wrong, progress):
        expect(shown.locator("table")).to_have_count(1)
        expect(shown.locator("th:not([scope=col], [scope=row])")).to_have_count(0)
        expect(shown.locator("[bgcolor], [color], [style*=background]")).to_have_count(0)
    lab.use_theme("JupyterLab Dark")
    lab.picture("check_wrong_dark", wrong)
    dark = text_colours(wrong) + text_colours(progress)
    lab.use_theme("JupyterLab Light")
    light = text_colours(wrong) + text_colours(progress)
    assert [pair for pair in zip(dark, light, strict=True) if pair[0] == pair[1]] == [], "text that ignores the theme"


def text_colours(shown):
    """Return the tag and the colour of each element."""
    return shown.evaluate("o => [...o.querySelectorAll('*')].map(e => [e.tagName, getComputedStyle(e).color])")


def test_hints_are_folded_until_clicked(lab):
    hints = lab.panel.locator("details")
    expect(hints).to_have_count(sum(source.count("<details") for source in lab.cells.values()))
    expect(lab.panel.locator("details[open]")).to_have_count(0)
    hint = hints.first
    text = hint.get_by_text("Each output is a weighted sum of all inputs.")
    expect(text).to_be_hidden()
    hint.locator("summary").click()
    expect(text).to_be_visible()
    expect(lab.panel.locator("details[open]")).to_have_count(1)
    lab.picture("hint_open", hint)


def test_run_all_in_an_unfinished_lab_reaches_the_progress_table(lab):
    table = lab.run_all()
    expect(table.locator("tfoot")).to_contain_text("0 of 30")


def test_validate_names_the_cells_that_fail_and_says_why(lab):
    dialog = lab.validate()
    tasks = [name for name in lab.cells if f"{name}-solution" in lab.cells]
    assert len(tasks) == 11
    for task in tasks:
        expect(dialog).to_contain_text(f'check("{task}", {task})')
        expect(dialog).to_contain_text(f"Not solved yet. Write the body of {task} in the cell above")
    expect(dialog).not_to_contain_text("Success")
    lab.picture("validate_unsolved", dialog)


def test_validate_is_content_with_the_solution(lab, solution):
    for name in lab.cells:
        if name.endswith("-solution") or name == "wide_or_deep":
            lab.write(name, solution[name])
    dialog = lab.validate()
    expect(dialog).to_contain_text("Success! Your notebook passes all the tests.")
    lab.picture("validate_solved", dialog)
