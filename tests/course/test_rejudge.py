"""Judging a class again after a task was mended: from the stored answers, without running anything."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from effkit.course import preprocessors, rejudge
from effkit.course.records import Records
from effkit.grading.task import Task
from effkit.grading.tasks import find
from tests.course.conftest import make_course, read_grades, run
from tests.course.submissions import load

LAB = "lab2_parameters"
TASK = "model_size_bytes"


@pytest.fixture(scope="module")
def graded_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    course = make_course(tmp_path_factory.mktemp("class"))
    for name in ("full", "units_confused", "blank"):
        load(LAB, name).put(course)
    assert run(course, "effkit", "grade", LAB, "--seed", "5").returncode == 0
    return course


@pytest.fixture
def course(graded_class: Path, tmp_path: Path) -> Path:
    """A copy of the graded class, whose gradebook is in its place."""
    return Path(shutil.copytree(graded_class, tmp_path / "course", symlinks=True))


def mend(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Change one task, for everybody who asks."""
    mended = replace(task(), **changes)  # type: ignore[arg-type]
    for module in (rejudge, preprocessors):
        monkeypatch.setattr(module, "find", lambda name: mended if name == TASK else find(name))


def task() -> Task:
    found = find(TASK)
    assert found is not None
    return found


def bits_wanted(params: int, bits: int) -> int:
    return params * bits


def test_nothing_changes_where_no_task_has(course: Path) -> None:
    result = run(course, "effkit", "rejudge", LAB)
    assert (result.returncode, result.stderr) == (0, "")
    assert "0 of 3 students change, +0 points in all" in result.stdout


def test_it_shows_who_changes_and_records_nothing_until_told(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mend(monkeypatch, reference=bits_wanted, misconceptions=())
    before = {path: path.read_bytes() for path in course.rglob("*.ipynb")} | {0: (course / "gradebook.db").read_bytes()}
    changes = {change.student: change for change in rejudge.rejudge(course, LAB)}
    assert changes["full"].scores == {TASK: (2, 0)}
    assert changes["units_confused"].scores == {TASK: (0, 2)}
    assert not changes["blank"].scores
    assert before == {path: path.read_bytes() for path in course.rglob("*.ipynb")} | {
        0: (course / "gradebook.db").read_bytes()
    }


def test_applied_it_reaches_the_gradebook_the_csv_and_the_feedback(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        written = gradebook.find_grade("wide_or_deep", LAB, LAB, "full")
        written.manual_score, written.needs_manual_grade = 1.5, False
        own = gradebook.find_grade(TASK, LAB, LAB, "full")
        own.manual_score = 2
        gradebook.db.commit()
    mend(monkeypatch, reference=bits_wanted, misconceptions=())
    rejudge.rejudge(course, LAB, apply=True)

    rows = read_grades(course, LAB)
    assert (rows["units_confused"][TASK], rows["units_confused"]["score"]) == ("2", "26")
    assert (rows["full"][TASK], rows["full"]["wide_or_deep"]) == ("2", "1.5")
    page = (course / "feedback" / "units_confused" / LAB / f"{LAB}.html").read_text(encoding="utf-8")
    assert f"{TASK}: 2 of 2 points" in page
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        own = gradebook.find_grade(TASK, LAB, LAB, "full")
        assert (own.auto_score, own.manual_score, own.needs_manual_grade) == (0, 2, True)
        assert not gradebook.find_grade("wide_or_deep", LAB, LAB, "full").needs_manual_grade
    assert rejudge.rejudge(course, LAB)[1].scores == {}


def test_a_case_that_was_never_asked_needs_a_new_run(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = task().groups
    mend(monkeypatch, groups=(replace(first, cases=(*first.cases, (123_457, 16))), *others))
    changes = {change.student: change for change in rejudge.rejudge(course, LAB, apply=True)}
    assert changes["full"].not_covered == [TASK]
    assert changes["full"].scores == {}
    assert read_grades(course, LAB)["full"][TASK] == "2"


def test_what_is_unchanged_is_not_run_after_it(course: Path) -> None:
    assert run(course, "effkit", "rejudge", LAB, "--apply").returncode == 0
    assert not (course / "grades" / f"{LAB}.journal").exists()
    assert {record.student for record in Records(course, LAB).by_student.values()} == {"full", "units_confused", "blank"}
    assert "3 unchanged since the last run" in run(course, "effkit", "grade", LAB).stdout


def test_without_grades_it_says_what_to_do_first(tmp_path: Path) -> None:
    result = run(make_course(tmp_path), "effkit", "rejudge", LAB)
    assert (result.returncode, f"run `effkit grade {LAB}` first" in result.stderr) == (2, True)
