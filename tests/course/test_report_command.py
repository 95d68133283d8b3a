"""`effkit report`: on a class that was really graded, with the gradebook as it stands by now."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from effkit.course.gradebook import only_grader
from effkit.course.records import Records
from effkit.course.report.gather import gather
from tests.course.conftest import make_course, run
from tests.course.submissions import load

LAB = "lab2_parameters"
WRITTEN = "wide_or_deep"
FILES = [f"{LAB}-{kind}" for kind in ("canvas.csv", "moodle.csv", "report.csv", "report.html")]


@pytest.fixture(scope="module")
def graded_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    course = make_course(tmp_path_factory.mktemp("class"))
    for name in ("full", "units_confused"):
        load(LAB, name).put(course)
    (course / "submitted" / "broken" / LAB).mkdir(parents=True)
    (course / "submitted" / "broken" / LAB / f"{LAB}.ipynb").write_text("{ cut off")
    assert run(course, "effkit", "grade", LAB, "--seed", "5").returncode == 1
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.add_student("absent", first_name="Abe", last_name="Sent")
        gradebook.update_or_create_student("full", first_name="Fiona", last_name="Ull", email="f@uni.example")
    return course


@pytest.fixture
def course(graded_class: Path, tmp_path: Path) -> Path:
    """A copy of the graded class, whose gradebook is in its place."""
    return Path(shutil.copytree(graded_class, tmp_path / "course", symlinks=True))


def scores(course: Path) -> dict[str, dict[str, str]]:
    with (course / "grades" / f"{LAB}-canvas.csv").open(encoding="utf-8", newline="") as file:
        return {row["SIS Login ID"]: row for row in csv.DictReader(file)}


def test_it_writes_four_files_says_what_matters_and_changes_nothing_else(course: Path) -> None:
    def all_files() -> dict[str, bytes]:
        return {str(path.relative_to(course)): path.read_bytes() for path in course.rglob("*") if path.is_file()}

    before = all_files()
    result = run(course, "effkit", "report", LAB)
    after = all_files()
    assert sorted(set(after) - set(before)) == [f"grades/{name}" for name in FILES]
    assert {name: content for name, content in after.items() if name in before} == before
    assert (result.returncode, "NOT GRADED broken: " in result.stderr) == (1, True)
    assert "3 students handed in lab2_parameters; 2 are graded." in result.stdout
    assert f"grades/{LAB}-report.html" in result.stdout
    page = after[f"grades/{LAB}-report.html"].decode()
    assert "bits for bytes" in page or "MB for MiB" in page
    assert "Fiona Ull" in page
    assert "Abe Sent" in page  # handed in nothing

    assert run(course, "effkit", "report", LAB).returncode == 1
    assert all_files() == after


def test_a_manual_grade_entered_since_the_last_run_is_in_it(course: Path) -> None:
    run(course, "effkit", "report", LAB)
    assert scores(course)["full"][f"{LAB}: {WRITTEN}"] == ""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        written = gradebook.find_grade(WRITTEN, LAB, LAB, "full")
        written.manual_score, written.needs_manual_grade = 1.5, False
        gradebook.db.commit()
    run(course, "effkit", "report", LAB)
    assert scores(course)["full"][f"{LAB}: {WRITTEN}"] == "1.5"
    assert scores(course)["full"][f"{LAB}: total"] == "31.5"
    assert scores(course)["full"]["Student"] == "Ull, Fiona"
    assert Records(course, LAB).by_student["full"].scores[WRITTEN] is None  # grades/LAB.json is grading's own


def test_who_has_handed_in_since_the_last_run_is_named(course: Path) -> None:
    load(LAB, "blank").put(course)
    load(LAB, "partly_done").put(course)
    again = course / "submitted" / "units_confused" / LAB / f"{LAB}.ipynb"
    again.write_bytes(again.read_bytes() + b"\n")
    found = gather(course, LAB)
    assert (found.new, found.changed, found.without) == (("blank", "partly_done"), ("units_confused",), ("absent",))


def test_without_a_gradebook_the_last_run_counts_and_it_says_so(course: Path) -> None:
    (course / "gradebook.db").unlink()
    result = run(course, "effkit", "report", LAB)
    assert result.returncode == 1
    assert "TAKE NOTE: There is no gradebook.db" in result.stderr
    assert scores(course)["full"][f"{LAB}: model_size_mib"] == "2"
    assert not (course / "gradebook.db").exists()


def test_a_student_whom_the_gradebook_has_lost_stops_nothing(course: Path) -> None:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.remove_submission(LAB, "full")
    found = gather(course, LAB)
    assert [record.student for record in found.graded] == ["full", "units_confused"]
    assert "The gradebook has no submission of full" in found.notices[0]


def test_the_status_is_0_where_nobody_must_look(course: Path) -> None:
    shutil.rmtree(course / "submitted" / "broken")
    records = Records(course, LAB)
    del records.by_student["broken"]
    records.close(**records.about)
    result = run(course, "effkit", "report", LAB)
    assert (result.returncode, result.stderr) == (0, "")


def test_while_a_grader_is_at_work_it_waits_for_another_time(course: Path) -> None:
    with only_grader(course):
        result = run(course, "effkit", "report", LAB)
    assert (result.returncode, "another grader is at work" in result.stderr) == (2, True)


def test_without_grades_it_says_what_to_do_first_and_makes_nothing(tmp_path: Path) -> None:
    course = make_course(tmp_path)
    there = sorted(os.listdir(course))
    result = run(course, "effkit", "report", LAB)
    assert (result.returncode, f"run `effkit grade {LAB}` first" in result.stderr) == (2, True)
    unknown = run(course, "effkit", "report", "lab9")
    assert (unknown.returncode, f"the labs are: {LAB}" in unknown.stderr) == (2, True)
    assert sorted(os.listdir(course)) == there


def test_help_says_what_it_writes(tmp_path: Path) -> None:
    text = "".join(run(tmp_path, "effkit", "report", "--help").stdout.split())  # lines break at hyphens too
    for name in ("LAB-report.html", "LAB-report.csv", "LAB-canvas.csv", "LAB-moodle.csv"):
        assert name in text
