"""A run that is killed anywhere loses nothing: the next one does the rest, skips nobody and keeps what a person entered."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from effkit.course import feedback, grade, gradebook, records, results
from effkit.course.pool import run_here
from effkit.course.work import Job, Outcome
from tests.course.conftest import make_course, read_grades, run
from tests.course.submissions import load
from tests.course.test_gradebook import content, enter_a_grade

LAB = "lab2_parameters"
NAMES = ("blank", "full", "partly_done", "units_confused")
Outcomes = dict[str, Outcome]
# (where, name, when): a function whose second call kills the process, before or after it did its work.
POINTS: list[tuple[Any, str, str]] = [
    (results.Finisher, "judged", "before"),
    (feedback.Pages, "stage_graded", "before"),
    (feedback.Pages, "stage_graded", "after"),
    (gradebook, "LoadedGrades", "before"),  # in the middle of the transaction
    (gradebook.Book, "_assign_late_penalty", "after"),  # all is written but the commit
    (gradebook.Book, "record", "after"),
    (results, "put_in_place", "after"),
    (Path, "rename", "before"),  # the old folder is put aside, the new one not yet in its place
    (feedback.Pages, "write_feedback", "before"),
    (feedback.Pages, "write_feedback", "after"),
    (records.Records, "add", "before"),
    (os, "fsync", "before"),
    (records.Records, "add", "after"),
    (records.Records, "close", "before"),
    (grade, "write_csv", "before"),
]
ONCE = {"close", "write_csv"}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcomes]:
    """A class graded with seed 5 and a manual grade entered; then everybody hands in again. And what execution gives."""
    course = make_course(tmp_path_factory.mktemp("graded"))
    for name in NAMES:
        load(LAB, name).put(course)
    outcomes: Outcomes = {}

    def keep(jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
        for outcome in run_here(jobs, workers):
            outcomes[outcome.student] = outcome
            yield outcome

    grade.quieten()
    grade.grade(course, LAB, grade.Options(seed=5, execute=keep))
    enter_a_grade(course)
    for name in NAMES:
        path = course / "submitted" / name / LAB / f"{LAB}.ipynb"
        path.write_bytes(path.read_bytes() + b"\n")
    return course, outcomes


@pytest.fixture(scope="module")
def undisturbed(graded: tuple[Path, Outcomes], tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """What a run leaves that nobody kills."""
    course = Path(shutil.copytree(graded[0], tmp_path_factory.mktemp("undisturbed") / "course"))
    assert replayed(course, graded[1]) == list(NAMES)
    return state(course)


def replayed(course: Path, outcomes: Outcomes) -> list[str]:
    """Grade with what was executed before; return the students who were executed."""
    executed = course.parent / "executed"
    executed.write_text("")

    def replay(jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
        for job in jobs:
            with executed.open("a") as file:
                file.write(f"{job.student}\n")
            yield outcomes[job.student]

    grade.grade(course, LAB, grade.Options(seed=5, execute=replay))
    return executed.read_text().split()


def killed_at(point: int, course: Path, outcomes: Outcomes) -> None:
    owner, name, when = POINTS[point]
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def armed(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        fatal = calls == (1 if name in ONCE else 2)
        if fatal and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **named)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, armed)
    replayed(course, outcomes)


def state(course: Path) -> tuple[object, ...]:
    pages = {str(p.relative_to(course)): p.stat().st_size > 0 for p in course.rglob("*") if p.suffix in (".ipynb", ".html")}
    notebooks = {p.parts[-3]: json.loads(p.read_text()) for p in course.glob(f"autograded/*/{LAB}/*.ipynb")}
    return content(course), read_grades(course, LAB), pages, notebooks


@pytest.mark.skipif(sys.platform != "linux", reason="forks this process")
@pytest.mark.parametrize("point", range(len(POINTS)), ids=[f"{name} {when}" for _, name, when in POINTS])
def test_killed_at_any_step(
    graded: tuple[Path, Outcomes], undisturbed: tuple[object, ...], tmp_path: Path, point: int
) -> None:
    base, outcomes = graded
    course = Path(shutil.copytree(base, tmp_path / "course"))
    process = multiprocessing.get_context("fork").Process(target=killed_at, args=(point, course, outcomes))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    before = (tmp_path / "executed").read_text().split()
    after = replayed(course, outcomes)
    assert state(course) == undisturbed
    assert not [p for p in course.rglob(".*") if p.suffix in (".new", ".old")]
    assert not list(course.rglob("*.journal"))
    assert set(before) | set(after) == set(NAMES)
    assert len(before) + len(after) <= len(NAMES) + 1  # the one who was in hand, at most, is executed again
    assert replayed(course, outcomes) == []


def test_killed_at_random_moments_with_real_kernels(course: Path) -> None:
    for name in NAMES:
        load(LAB, name).put(course)
    moment = random.Random(20261124)
    for lines in (1, 2):
        command = [str(Path(sys.executable).parent / "effkit"), "grade", LAB, "--seed", "5", "--jobs", "2"]
        grading = subprocess.Popen(command, cwd=course, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert grading.stdout is not None
        for _ in range(lines):
            grading.stdout.readline()
        try:
            grading.wait(moment.random() * 2)
        except subprocess.TimeoutExpired:
            grading.kill()
        grading.communicate()
    assert run(course, "effkit", "grade", LAB).returncode == 0
    scores = {student: row["score"] for student, row in read_grades(course, LAB).items()}
    assert scores == {"blank": "0", "full": "30", "partly_done": "8", "units_confused": "24"}
