"""The gradebook after `effkit grade` is as `nbgrader autograde` leaves it; what goes wrong with it is said plainly."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook

from effkit.course.errors import CourseError
from effkit.course.gradebook import Book, only_grader
from effkit.course.nbgrader_api import nbgrader_api
from tests.course.conftest import make_course, read_grades, run
from tests.course.submissions import load

LAB = "lab2_parameters"
LATE = """
from nbgrader.plugins import LateSubmissionPlugin
class TenthOff(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return score / 10
c.AssignLatePenalties.plugin_class = TenthOff
"""
TABLES = {
    "student": "SELECT id, first_name, last_name, email, lms_user_id FROM student",
    "submission": "SELECT student_id, timestamp, extension FROM submitted_assignment",
    "notebook": "SELECT student_id, late_submission_penalty FROM submitted_notebook n"
    " JOIN submitted_assignment a ON a.id = n.assignment_id",
    "grade": "SELECT student_id, c.name, auto_score, manual_score, extra_credit, needs_manual_grade FROM grade g"
    " JOIN base_cell c ON c.id = g.cell_id JOIN submitted_notebook n ON n.id = g.notebook_id"
    " JOIN submitted_assignment a ON a.id = n.assignment_id",
    "comment": "SELECT student_id, c.name, auto_comment, manual_comment FROM comment m JOIN base_cell c ON c.id = m.cell_id"
    " JOIN submitted_notebook n ON n.id = m.notebook_id JOIN submitted_assignment a ON a.id = n.assignment_id",
}


def content(course: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(course / "gradebook.db")) as database:
        return {table: sorted(database.execute(query).fetchall(), key=repr) for table, query in TABLES.items()}


def late_class(folder: Path) -> Path:
    folder.mkdir()
    course = make_course(folder)
    with (course / "nbgrader_config.py").open("a") as config:
        config.write(LATE)
    for name, when in (("full", "2030-01-02 12:00:00 UTC"), ("units_confused", "2029-12-31 12:00:00 +0100"), ("blank", "")):
        load(LAB, name).put(course)
        if when:
            (course / "submitted" / name / LAB / "timestamp.txt").write_text(when)
    assert run(course, "nbgrader", "generate_assignment", LAB).returncode == 0
    shutil.rmtree(course / "labs")
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(LAB, duedate=datetime(2030, 1, 1))
        gradebook.db.commit()
    return course


def enter_a_grade(course: Path) -> None:
    """What a person does in formgrader."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade("wide_or_deep", LAB, LAB, "full")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        gradebook.find_comment("wide_or_deep", LAB, LAB, "full").manual_comment = "Good."
        gradebook.db.commit()


def test_it_is_what_nbgrader_autograde_leaves_also_after_a_manual_grade(tmp_path: Path) -> None:
    ours, theirs = late_class(tmp_path / "ours"), late_class(tmp_path / "theirs")
    for again in (False, True):
        assert run(ours, "effkit", "grade", LAB, *["--force"] * again).returncode == 0
        result = run(theirs, "nbgrader", "autograde", LAB, *["--force"] * again)
        assert result.returncode == 0, result.stderr
        assert content(ours) == content(theirs)
        enter_a_grade(ours)
        enter_a_grade(theirs)
    late = dict(content(ours)["notebook"])
    assert (late["full"], late["units_confused"]) == (3.15, None)
    assert run(ours, "effkit", "grade", LAB).returncode == 0
    assert read_grades(ours, LAB)["full"]["score"] == "28.35"
    # nbgrader takes our graded notebooks for its own: there is nothing left for it to do.
    before = content(ours)
    assert run(ours, "nbgrader", "autograde", LAB).returncode == 0
    assert content(ours) == before


def test_what_a_person_entered_is_on_the_page_after_the_next_run(course: Path) -> None:
    for name in ("full", "blank"):
        load(LAB, name).put(course)
    assert run(course, "effkit", "grade", LAB).returncode == 0
    pages = {name: course / "feedback" / name / LAB / f"{LAB}.html" for name in ("full", "blank")}
    before = {name: page.stat().st_mtime_ns for name, page in pages.items()}
    enter_a_grade(course)
    again = run(course, "effkit", "grade", LAB)
    assert "Grading 0 submissions" in again.stdout
    page = pages["full"].read_text()
    assert "Good." in page
    assert "A person still has to read this answer." not in page
    assert pages["blank"].stat().st_mtime_ns == before["blank"]  # nothing changed in it
    written = pages["full"].stat().st_mtime_ns
    assert run(course, "effkit", "grade", LAB).returncode == 0
    assert pages["full"].stat().st_mtime_ns == written


def test_backups_are_whole_and_only_the_latest_are_kept(course: Path) -> None:
    book = Book(nbgrader_api(course), LAB)
    book._book.update_or_create_student("ann")
    for _ in range(7):
        book.back_up(course / "backups")
    book.close()
    copies = sorted((course / "backups").iterdir())
    assert len(copies) == 5
    with closing(sqlite3.connect(copies[-1])) as copy:
        assert copy.execute("SELECT id FROM student").fetchall() == [("ann",)]


def test_a_second_grader_is_told_to_wait(course: Path) -> None:
    load(LAB, "blank").put(course)
    with only_grader(course):
        result = run(course, "effkit", "grade", LAB)
    assert result.returncode == 2
    assert f"another grader is at work in this course (process {os.getpid()}, since" in result.stderr
    assert not (course / "gradebook.db").exists()


def test_the_lock_goes_with_its_process(course: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from effkit.course.gradebook import only_grader\n"
        "with only_grader(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(course)], check=False)
    assert killed.returncode == -9
    with only_grader(course):
        pass


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


def test_a_locked_gradebook_is_said_to_be_locked(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effkit.course.gradebook._WAIT_MS", 10)
    book = Book(nbgrader_api(course), LAB)
    with locked(course / "gradebook.db"), pytest.raises(CourseError, match="another program keeps it locked"):
        book.check_writable()
    book.close()


needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount")


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[None]:
    made = subprocess.run(["mount", *how, str(folder)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"mount: {made.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_root
def test_a_read_only_gradebook_is_said_to_be_read_only(course: Path) -> None:
    load(LAB, "blank").put(course)
    Book(nbgrader_api(course), LAB).close()
    path = course / "gradebook.db"
    with mounted(path, "--bind", "-o", "ro", str(path)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
        result = run(course, "effkit", "grade", LAB)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert "the gradebook refuses: it cannot be written" in result.stderr


@needs_root
def test_a_full_disk_stops_the_run_in_words_and_the_next_one_goes_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=3m", "tmpfs"):
        course = make_course(disk)
        for name in ("blank", "full", "partly_done"):
            load(LAB, name).put(course)
        filler = disk / "filler"
        free = shutil.disk_usage(disk).free
        filler.write_bytes(b"x" * (free - 900_000))
        first = run(course, "effkit", "grade", LAB, "--jobs", "1")
        assert (first.returncode, "Traceback" in first.stderr) == (2, False), first.stdout + first.stderr
        assert "disk is full" in first.stderr
        filler.unlink()
        assert run(course, "effkit", "grade", LAB).returncode == 0
        rows = read_grades(course, LAB)
        assert {name: row["score"] for name, row in rows.items()} == {"blank": "0", "full": "30", "partly_done": "8"}
