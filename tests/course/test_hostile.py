"""Hostile submissions, all in one class with two honest ones: each gets what it deserves, and nothing outside was touched.

Canaries stand wherever a submission may want to go. That they would sing is shown too: some of the attacks are run without
a sandbox, in a course and a home of their own.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

from effkit.grading.answers import printable
from effkit.grading.tasks import tasks_of
from tests.course.conftest import make_course, read_grades
from tests.course.hostile import Attack, Canaries, adopting, attack, descendants, names
from tests.course.running import needs_sandbox
from tests.course.test_harmless import Active

LAB = "lab2_parameters"
HONEST = ("aa_honest", "zz_honest")  # the first and the last who are graded
FULL = {task.name: task.points for task in tasks_of(LAB)}
# What harms nobody when it runs without a sandbox, but for the canaries.
TAME = ("reads_the_course", "reads_its_environment", "writes_the_gradebook", "connects", "leaves_daemons")
# What plain nbgrader, without the course's own steps, falls for: see that its own commands are as safe.
PLAIN = (
    "a_thousand_cells",
    "dies_in_many_ways",
    "link_for_a_notebook",
    "link_for_the_student",
    "links_to_files",
    "links_to_folders",
    "messages_forged",
    "modules_beside_the_notebook",
    "script_in_outputs",
    "writes_the_gradebook",
)

pytestmark = needs_sandbox


@dataclass
class Harm:
    """What a run has done to its surroundings."""

    read: dict[str, set[str]] = field(default_factory=dict)  # secrets, by the file that was made
    changed: set[str] = field(default_factory=set)  # paths outside
    reached: list[str] = field(default_factory=list)  # kinds of sockets
    left: dict[int, str] = field(default_factory=dict)  # processes


@dataclass
class Graded:
    canaries: Canaries
    attacks: dict[str, Attack]
    harm: Harm
    result: "subprocess.CompletedProcess[bytes]"
    rows: dict[str, dict[str, str]]  # of the CSV, by folder name
    records: dict[str, dict[str, Any]]

    @property
    def course(self) -> Path:
        return self.canaries.course

    def shown(self, student: str) -> str:
        """Return all that a submission showed."""
        notebook = nbformat.read(self.course / "autograded" / student / LAB / f"{LAB}.ipynb", as_version=4)
        return json.dumps([cell.get("outputs", []) for cell in notebook.cells])

    def page(self, student: str) -> str:
        return (self.course / "feedback" / student / LAB / f"{LAB}.html").read_text(encoding="utf-8")


@contextmanager
def surrounded(folder: Path) -> Iterator[Canaries]:
    """Make a course with canaries around it."""
    for name in ("course", "home", "tmp"):
        (folder / name).mkdir()
    course = make_course(folder / "course")
    with (course / "nbgrader_config.py").open("a") as config:
        config.write("c.ExecutePreprocessor.timeout = 4  # the endless cells need not take a minute each\n")
    with Canaries.around(course, folder / "home", folder / "tmp", LAB, HONEST).listening() as canaries:
        yield canaries


def observed(canaries: Canaries, *command: str) -> tuple[Harm, "subprocess.CompletedProcess[bytes]"]:
    """Run a command of the course, and look at the surroundings before and after."""
    programs = Path(sys.executable).parent
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    outside = canaries.outside()
    with adopting():
        before = descendants()
        result = subprocess.run(
            [str(programs / command[0]), *command[1:]],
            cwd=canaries.course,
            env={**os.environ, "PATH": path, **canaries.environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=900,
            check=False,
        )
        left = {pid: command for pid, command in descendants().items() if pid not in before}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    after = canaries.outside()
    read = {}
    for place in ("autograded", "feedback", "grades"):
        found = canaries.secrets_in(canaries.course / place)
        read |= {f"{place}/{path}": whose for path, whose in found.items() if not path.startswith("backups")}
    for said in (result.stdout, result.stderr):
        if whose := {place for place, secret in canaries.secrets.items() if secret.encode() in said}:
            read["what the grader is told"] = whose
    changed = {path for path in outside.keys() | after.keys() if outside.get(path) != after.get(path)}
    return Harm(read, changed, canaries.reached(), left), result


def graded(canaries: Canaries, attacks: list[Attack], *options: str) -> Graded:
    """Grade the attacks and the honest."""
    for hostile in attacks:
        hostile.put(canaries.course)
    harm, result = observed(canaries, "effkit", "grade", LAB, *options)
    records = json.loads((canaries.course / "grades" / f"{LAB}.json").read_bytes())["students"]
    return Graded(
        canaries,
        {hostile.name: hostile for hostile in attacks},
        harm,
        result,
        dict(zip((record["student"] for record in records), read_grades(canaries.course, LAB).values(), strict=True)),
        {record["student"]: record for record in records},
    )


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graded]:
    """All attacks in one run."""
    with surrounded(tmp_path_factory.mktemp("hostile")) as canaries:
        yield graded(canaries, [attack(LAB, name, canaries.words()) for name in names(LAB)])


def test_there_are_at_least_fifty_and_each_is_a_row(course: Graded) -> None:
    assert len(course.attacks) >= 50
    assert [row["student"].lstrip("'") for row in course.rows.values()] == [printable(student) for student in course.rows]
    assert set(course.rows) == {hostile.student for hostile in course.attacks.values()} | set(HONEST)


@pytest.mark.parametrize("name", names(LAB))
def test_an_attack_gets_what_it_deserves(course: Graded, name: str) -> None:
    hostile = course.attacks[name]
    row, record = course.rows[hostile.student], course.records[hostile.student]
    if "status" in hostile.edits:
        assert (row["status"], row["score"]) == (hostile.edits["status"], "")
        assert hostile.edits.get("problem", "") in row["reasons"]
        return
    assert row["status"] == "needs manual grading", row["reasons"]
    own = hostile.edits.get("scores", {})
    deserved = own if "*" in hostile.edits.get("free", []) else hostile.submission.scores
    deserved = {task: score for task, score in deserved.items() if task not in hostile.edits.get("free", [])}
    assert {task: float(row[task]) for task in deserved} == deserved, row["reasons"]
    assert all(0 <= float(row[task]) <= points for task, points in FULL.items())
    for task, words in hostile.submission.reasons.items():
        assert words in record["reasons"][task]


@pytest.mark.parametrize("name", names(LAB))
def test_a_grader_is_shown_what_is_suspicious(course: Graded, name: str) -> None:
    hostile = course.attacks[name]
    record = course.records[hostile.student]
    assert {flag["kind"] for flag in record["flags"]} >= set(hostile.edits.get("flags", []))
    assert {finding["kind"] for finding in record["findings"]} >= set(hostile.edits.get("findings", []))


@pytest.mark.parametrize("name", names(LAB))
def test_an_attack_got_to_its_end(course: Graded, name: str) -> None:
    """It was not stopped by a mistake of its own."""
    hostile = course.attacks[name]
    for words in hostile.edits.get("shows", []):
        assert words in course.shown(hostile.student)


@pytest.mark.parametrize("student", HONEST)
def test_the_honest_get_full_points(course: Graded, student: str) -> None:
    row = course.rows[student]
    assert {task: float(row[task]) for task in FULL} == FULL
    assert "A person still has to read this answer." in course.page(student)


def test_nothing_secret_was_read(course: Graded) -> None:
    assert course.harm.read == of_the_honest()


def of_the_honest() -> dict[str, set[str]]:
    """Return where the secrets are that the honest wrote into their own answers."""
    places = [(student, place) for student in HONEST for place in (("autograded", "ipynb"), ("feedback", "html"))]
    return {f"{place}/{student}/{LAB}/{LAB}.{kind}": {f"answer of {student}"} for student, (place, kind) in places}


def test_nothing_outside_was_written(course: Graded) -> None:
    assert course.harm.changed == set()


def test_nobody_outside_was_reached(course: Graded) -> None:
    assert course.harm.reached == []


def test_no_process_is_left(course: Graded) -> None:
    assert course.harm.left == {}


def test_nothing_but_the_notebook_and_its_page_is_handed_back(course: Graded) -> None:
    students = [student for student, row in course.rows.items() if row["status"] != "not graded"]
    for place, kind in (("autograded", "ipynb"), ("feedback", "html")):
        files = {path for path in (course.course / place).rglob("*") if not path.is_dir() or path.is_symlink()}
        assert files == {course.course / place / student / LAB / f"{LAB}.{kind}" for student in students}
        assert not any(path.is_symlink() for path in files)


def test_every_graded_notebook_is_valid(course: Graded) -> None:
    graded = list((course.course / "autograded").rglob("*.ipynb"))
    assert len(graded) > len(HONEST)
    for path in graded:
        nbformat.validate(json.loads(path.read_text(encoding="utf-8")))


def test_the_gradebook_holds_the_scores_and_nothing_else(course: Graded) -> None:
    graded = {student for student, row in course.rows.items() if row["status"] != "not graded"}
    assert set(course.canaries.gradebook("SELECT id FROM student")) == {
        (student,) for student in graded | {course.canaries.secrets["gradebook"]}
    }
    assert recorded(course.canaries) == {
        student: {task: float(course.rows[student][task]) for task in FULL} for student in graded
    }


def recorded(canaries: Canaries) -> dict[str, dict[str, float]]:
    """Return the scores of the tasks in the gradebook, where nobody has entered a grade or changed the points."""
    scores: dict[str, dict[str, float]] = {}
    for student, cell, score, manual, extra in canaries.gradebook(
        "SELECT student_id, c.name, auto_score, manual_score, extra_credit FROM grade g"
        " JOIN base_cell c ON c.id = g.cell_id JOIN submitted_notebook n ON n.id = g.notebook_id"
        " JOIN submitted_assignment a ON a.id = n.assignment_id"
    ):
        assert (manual, extra) == (None, None)
        if cell in FULL:
            scores.setdefault(student, {})[cell] = score
    assert canaries.gradebook("SELECT sum(max_score) FROM grade_cells") == [(sum(FULL.values()) + 2,)]
    return scores


def test_no_page_holds_anything_active(course: Graded) -> None:
    for student, row in course.rows.items():
        if row["status"] != "not graded":
            assert active_in(course.page(student)) == active_in(course.page(HONEST[0])), student


def active_in(page: str) -> list[str]:
    reader = Active()
    reader.feed(page.partition("<body")[2])
    return reader.found


def test_nothing_moves_the_cursor_of_whoever_grades(course: Graded) -> None:
    csv = (course.course / "grades" / f"{LAB}.csv").read_text(encoding="utf-8")
    for said in (course.result.stdout.decode(), course.result.stderr.decode(), csv):
        assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", said) == []


def test_the_run_says_that_somebody_must_look_and_nothing_failed(course: Graded) -> None:
    output = (course.result.stdout + course.result.stderr).decode()
    assert course.result.returncode == 1, output
    assert "Traceback" not in output
    assert "please report this" not in output


def test_plain_nbgrader_grades_them_as_safely(tmp_path: Path) -> None:
    with surrounded(tmp_path) as canaries:
        attacks = [attack(LAB, name, canaries.words()) for name in PLAIN]
        for hostile in attacks:
            hostile.put(canaries.course)
        observed(canaries, "nbgrader", "generate_assignment", LAB)
        harm, result = observed(canaries, "nbgrader", "autograde", LAB)
        feedback, _ = observed(canaries, "nbgrader", "generate_feedback", LAB)
        refused = {hostile.name for hostile in attacks if "status" in hostile.edits}
        assert result.returncode == (1 if refused else 0), result.stderr.decode()
        deserved = {hostile.name: hostile.submission.scores for hostile in attacks if hostile.name not in refused}
        scores = {student: tasks for student, tasks in recorded(canaries).items() if student not in refused}
        assert scores == deserved | dict.fromkeys(HONEST, FULL)
        assert (harm.changed, harm.reached, harm.left) == (set(), [], {})
        assert feedback.read == of_the_honest()
        handed = {path for place in ("autograded", "feedback") for path in (canaries.course / place).glob("*/*/*")}
        assert {path.name for path in handed} <= {f"{LAB}.ipynb", f"{LAB}.html", "timestamp.txt"}
        for student in scores:
            page = canaries.course / "feedback" / student / LAB / f"{LAB}.html"
            assert "script" not in active_in(page.read_text(encoding="utf-8"))


def test_without_a_sandbox_the_canaries_sing(tmp_path: Path) -> None:
    with surrounded(tmp_path) as canaries:
        harm = graded(
            canaries, [attack(LAB, name, canaries.words()) for name in TAME], "--unsafe-no-sandbox", "--student", *TAME
        ).harm
    whose = {place for read in harm.read.values() for place in read}
    assert whose >= {"gradebook", "environment", str(canaries.course / "exam.txt"), str(canaries.home / ".ssh" / "id_rsa")}
    assert set(harm.reached) == {"tcp", "udp", "unix", "abstract"}
    assert any(canaries.marker in command for command in harm.left.values())
