"""`effkit grade` and `make grade`: what it says when there is nothing to grade, and what it never overwrites."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.course.conftest import ROOT, read_grades, run
from tests.course.submissions import load

LAB = "lab2_parameters"


def test_an_unknown_lab_is_answered_with_the_labs_there_are(course: Path) -> None:
    result = run(course, "effkit", "grade", "lab2")
    assert result.returncode == 2
    assert "no lab 'lab2'" in result.stderr
    assert LAB in result.stderr
    assert "Traceback" not in result.stderr


def test_no_submissions_says_where_to_put_them(course: Path) -> None:
    result = run(course, "effkit", "grade", LAB)
    assert result.returncode == 2
    assert f"submitted/STUDENT/{LAB}/{LAB}.ipynb" in result.stderr
    assert sorted(path.name for path in course.iterdir()) == ["nbgrader_config.py", "pyproject.toml", "solutions"]


def test_outside_a_course_folder_it_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, "effkit", "grade", LAB)
    assert result.returncode == 2
    assert "is not a course folder" in result.stderr


def test_help_names_the_commands() -> None:
    assert "notebooks" in run(ROOT, "effkit", "--help").stdout
    assert "--seed" in run(ROOT, "effkit", "grade", "--help").stdout


def test_a_broken_resubmission_leaves_the_earlier_grade_and_the_other_students_alone(course: Path) -> None:
    for name in ("full", "partly_done"):
        load(LAB, name).put(course)
    assert run(course, "effkit", "grade", LAB, "--seed", "11").returncode == 0
    first = read_grades(course, LAB)
    graded = course / "autograded" / "full" / LAB / f"{LAB}.ipynb"
    kept, feedback = graded.read_bytes(), (course / "feedback" / "full" / LAB / f"{LAB}.html").read_bytes()

    (course / "submitted" / "full" / LAB / f"{LAB}.ipynb").write_text("{ cut off")
    result = run(course, "effkit", "grade", LAB, "--seed", "11")
    second = read_grades(course, LAB)
    assert result.returncode == 1
    assert second["full"]["status"] == "not graded"
    assert second["partly_done"] == first["partly_done"]
    assert graded.read_bytes() == kept
    assert (course / "feedback" / "full" / LAB / f"{LAB}.html").read_bytes() == feedback


def test_a_timestamp_that_is_no_date_costs_nothing_and_somebody_is_told(course: Path) -> None:
    load(LAB, "full").put(course)
    (course / "submitted" / "full" / LAB / "timestamp.txt").write_text("yesterday evening")
    result = run(course, "effkit", "grade", LAB)
    (row,) = read_grades(course, LAB).values()
    assert (result.returncode, row["score"]) == (1, "30")
    assert "LOOK AT full: timestamp.txt holds no date ('yesterday evening')" in result.stderr
    assert "no lateness is counted" in row["look_at"]


def test_what_was_graded_is_not_run_again_until_it_changes(course: Path) -> None:
    for name in ("full", "blank"):
        load(LAB, name).put(course)
    first = run(course, "effkit", "grade", LAB)
    rows = read_grades(course, LAB)
    second = run(course, "effkit", "grade", LAB)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "Grading 0 submissions" in second.stdout
    assert "2 unchanged since the last run" in second.stdout
    assert read_grades(course, LAB) == rows  # the seed too

    path = course / "submitted" / "blank" / LAB / f"{LAB}.ipynb"
    path.write_bytes(path.read_bytes() + b"\n")
    third = run(course, "effkit", "grade", LAB)
    assert "Grading 1 submission of" in third.stdout
    again = read_grades(course, LAB)
    assert again["full"] == rows["full"]
    assert again["blank"]["seed"] != rows["blank"]["seed"]


def test_only_the_named_students_are_graded_and_force_keeps_the_seed(course: Path) -> None:
    for name in ("full", "blank"):
        load(LAB, name).put(course)
    assert run(course, "effkit", "grade", LAB, "--student", "full").returncode == 0
    rows = read_grades(course, LAB)
    assert list(rows) == ["full"]
    assert "Grading 1 submission of" in run(course, "effkit", "grade", LAB, "--student", "full", "--force").stdout
    assert read_grades(course, LAB) == rows
    unknown = run(course, "effkit", "grade", LAB, "--student", "nobody")
    assert (unknown.returncode, "no submission of" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("name", ["a*", "[x]", " lead"])
def test_a_folder_name_that_nbgrader_would_misread_is_refused_with_advice(course: Path, name: str) -> None:
    load(LAB, "full").put(course)
    (course / "submitted" / "full").rename(course / "submitted" / name)
    assert run(course, "effkit", "grade", LAB).returncode == 1
    (row,) = read_grades(course, LAB).values()
    assert row["status"] == "not graded"
    assert "rename the folder" in row["reasons"]


def test_notebooks_in_the_wrong_place_are_named(course: Path) -> None:
    load(LAB, "blank").put(course)
    (course / "submitted" / "bob.ipynb").write_text("{}")
    (course / "submitted" / "eve" / "Lab2").mkdir(parents=True)
    (course / "submitted" / "eve" / "Lab2" / "lab.ipynb").write_text("{}")
    result = run(course, "effkit", "grade", LAB)
    assert result.returncode == 1
    for name in ("submitted/bob.ipynb", "submitted/eve/Lab2/lab.ipynb"):
        assert f"LEFT OUT {name}" in result.stderr


def test_a_name_that_is_no_text_harms_nobody(course: Path) -> None:
    """A file name in another encoding, as from a Windows archive."""
    folder = course / "submitted" / "ben" / LAB
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"L\xf6sung.ipynb")).write_text("{}")
    load(LAB, "blank").put(course)
    assert run(course, "effkit", "grade", LAB).returncode == 1
    rows = read_grades(course, LAB)
    assert (rows["ben"]["status"], rows["blank"]["status"]) == ("not graded", "graded")
    assert r"L\udcf6sung.ipynb" in rows["ben"]["reasons"]


@pytest.mark.parametrize("seed", ["-5", "abc", "1.5", str(2**31)])
def test_a_seed_that_the_kernel_could_not_read_is_refused(course: Path, seed: str) -> None:
    result = run(course, "effkit", "grade", LAB, f"--seed={seed}")
    assert result.returncode == 2
    assert "must be an integer from 0" in result.stderr


def test_the_same_seed_gives_the_same_cases(course: Path) -> None:
    load(LAB, "learnt_by_heart").put(course)
    scores = []
    for seed in ("0", "0", "1"):
        assert run(course, "effkit", "grade", LAB, "--force", "--seed", seed).returncode == 1  # it looks into the tasks
        scores.append(read_grades(course, LAB)["learnt_by_heart"]["norm_params"])
    assert scores == ["2", "2", "0"]  # seed 0 is what the student saw


@pytest.mark.parametrize("student", ["=cmd()", "+1", "@here"])
def test_a_folder_name_that_a_spreadsheet_would_run_is_quoted(course: Path, student: str) -> None:
    (course / "submitted" / student / LAB).mkdir(parents=True)
    assert run(course, "effkit", "grade", LAB).returncode == 1
    assert f"'{student}" in read_grades(course, LAB)


def test_make_grade_without_a_lab_says_how(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()  # nothing of the environment is needed for this answer
    result = subprocess.run(["make", "grade"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "make grade LAB=lab2_parameters" in result.stdout
