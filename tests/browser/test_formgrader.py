"""A teacher opens a graded class in formgrader: a grade entered there stays, and no script of a student's runs."""

import csv
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.conftest import TIMEOUT, Server, jupyterlab
from tests.course.conftest import make_course, read_grades, run
from tests.course.hostile import attack
from tests.course.submissions import load

pytestmark = pytest.mark.browser

LAB = "lab2_parameters"
QUESTION = "wide_or_deep"
HONEST = ("full", "units_confused")
SCRIPTS = ("script_in_markdown", "script_in_outputs", "another_language")
COMMENT = "Right about *latency*; say more about accuracy & depth."
IDS = "SELECT n.id FROM submitted_notebook n JOIN submitted_assignment a ON a.id = n.assignment_id WHERE a.student_id = ?"
ENTERED = (
    "SELECT g.manual_score, m.manual_comment FROM grade g JOIN base_cell c ON c.id = g.cell_id"
    " JOIN comment m ON m.notebook_id = g.notebook_id JOIN base_cell d ON d.id = m.cell_id AND d.name = c.name"
    f" WHERE c.name = '{QUESTION}' AND g.notebook_id = ?"
)


# Points at everything and clicks on all but plain links, which lead away from the page.
TOUCH_ALL = """() => {
    for (const thing of document.querySelectorAll('body *')) {
        for (const kind of ['mouseover', 'mouseenter', 'focus']) thing.dispatchEvent(new Event(kind, {bubbles: true}));
        const link = thing.closest('a, button, input');
        if (!link || (link.href && !/^https?:|^file:/.test(link.href))) thing.click?.();
    }
}"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small class, graded: two honest students and some who hide scripts wherever a page may run them."""
    course = make_course(tmp_path_factory.mktemp("class"))
    for name in HONEST:
        load(LAB, name).put(course)
    words = dict.fromkeys(("COURSE", "MARKER", "HOME"), "x") | {"LAB": LAB, "TCP": "9"}
    for name in SCRIPTS:
        attack(LAB, name, words).put(course)
    result = run(course, "effkit", "grade", LAB)
    assert result.returncode == 0, result.stderr
    return course


@pytest.fixture(scope="module")
def formgrader(course: Path, new_user: dict[str, str]) -> Iterator[Server]:
    with jupyterlab(course, new_user) as server:
        yield server


@pytest.fixture
def page(browser: Browser, formgrader: Server) -> Iterator[Page]:
    """A new window of somebody who has logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(TIMEOUT * 1000)
    context.route(lambda url: not url.startswith(("http://127.0.0.1:", "file:")), lambda route: route.abort())
    context.request.get(f"http://127.0.0.1:{formgrader.port}/lab?token={formgrader.token}")
    yield context.new_page()
    context.close()


def ask(course: Path, query: str, *values: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(course / "gradebook.db")) as database:
        return tuple(database.execute(query, values).fetchone())


def open_submission(page: Page, server: Server, student: str) -> str:
    """Go from formgrader's list of submissions to a student's notebook, and return its number in the gradebook."""
    (number,) = ask(server.folder, IDS, student)
    page.goto(f"http://127.0.0.1:{server.port}/formgrader/gradebook/{LAB}/{LAB}")
    page.locator(f"a[href*='{number}']").first.click()
    # Without the internet there is no MathJax, which formgrader takes from there, and grading works all the same.
    page.wait_for_function("() => window.formgrader?.grades?.loaded && formgrader.comments?.loaded")
    return str(number)


def enter(page: Page, selector: str, value: str, kind: str) -> None:
    """Type into a field and leave it; wait until the server has saved it."""

    def saved(response: Response) -> bool:
        return f"/formgrader/api/{kind}/" in response.url and response.request.method == "PUT"

    field = page.locator(selector)
    with page.expect_response(saved) as answer:
        field.fill(value)
        field.blur()
    assert answer.value.ok


def test_the_class_is_listed_in_jupyterlab(page: Page, formgrader: Server) -> None:
    page.goto(f"http://127.0.0.1:{formgrader.port}/lab?reset")
    page.wait_for_function("window.jupyterapp?.restored.then(() => true)")
    page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    page.get_by_role("menuitem", name="Formgrader", exact=True).click()
    row = page.frame_locator("iframe[src*='formgrader']").locator("tr", has_text=LAB)
    expect(row).to_contain_text(str(len(HONEST) + len(SCRIPTS)))


def test_a_grade_entered_in_formgrader_survives_all_further_grading(page: Page, formgrader: Server) -> None:
    course = formgrader.folder
    number = open_submission(page, formgrader, "full")
    expect(page.locator(f"#{QUESTION}")).to_have_class(re.compile("needs_manual_grade"))
    enter(page, f"#{QUESTION}", "1.5", "grade")
    enter(page, f"#{QUESTION}-comment", COMMENT, "comment")
    assert ask(course, ENTERED, number) == (1.5, COMMENT)
    if folder := os.environ.get("EFFKIT_SCREENSHOTS"):
        page.locator(f"#{QUESTION}").scroll_into_view_if_needed()
        page.screenshot(path=Path(folder) / "formgrader.png")
    for again in (("grade", LAB), ("grade", LAB, "--force"), ("rejudge", LAB), ("rejudge", LAB, "--apply")):
        result = run(course, "effkit", *again)
        assert result.returncode in (0, 1), result.stderr
        assert ask(course, ENTERED, number) == (1.5, COMMENT)
        row = read_grades(course, LAB)["full"]
        assert (row[QUESTION], row["score"]) == ("1.5", "31.5")
        feedback = course / "feedback" / "full" / LAB / f"{LAB}.html"
        page.goto(feedback.as_uri())
        expect(page.locator("body")).to_contain_text("31.5")
        expect(page.locator("body")).to_contain_text("say more about accuracy & depth.")
    open_submission(page, formgrader, "full")
    expect(page.locator(f"#{QUESTION}")).to_have_value("1.5")
    expect(page.locator(f"#{QUESTION}-comment")).to_have_value(COMMENT)
    exported = run(course, "nbgrader", "export", "--to", "all.csv")
    assert exported.returncode == 0, exported.stderr
    with (course / "all.csv").open(newline="") as file:
        scores = {line["student_id"]: float(line["score"]) for line in csv.DictReader(file)}
    assert scores["full"] == 31.5


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_of_a_student_runs(page: Page, formgrader: Server, name: str) -> None:
    """Neither in formgrader nor in the feedback, also when all that can be clicked or pointed at is."""
    words = dict.fromkeys(("COURSE", "MARKER", "HOME"), "x") | {"LAB": LAB, "TCP": "9"}
    student = attack(LAB, name, words).student
    asked: list[str] = []
    opened: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: opened.append(dialog.message))
    feedback = formgrader.folder / "feedback" / student / LAB / f"{LAB}.html"
    for visit in (lambda: open_submission(page, formgrader, student), lambda: page.goto(feedback.as_uri())):
        visit()
        page.wait_for_load_state("networkidle")
        here = page.url
        page.evaluate(TOUCH_ALL)
        page.wait_for_timeout(300)  # for what starts itself a little later
        assert page.evaluate("window.ran") is None
        assert re.split("[?#]", page.url)[0] == re.split("[?#]", here)[0]
    assert opened == []
    assert not [url for url in asked if ":9/" in url or url.startswith("javascript:")]
