"""Real submissions through the real nbgrader: each ends with the score it deserves, with a reason for every lost point."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

from effkit.grading.answers import MIME, read_bundle
from effkit.grading.judge import judge
from effkit.grading.tasks import find, tasks_of
from tests.course.conftest import make_course, read_grades, run
from tests.course.submissions import Submission, load, names

LAB = "lab2_parameters"
UNREADABLE = {
    "cut_off": ("{'cells': [{'cell_type'", "not a readable notebook"),
    "empty_file": ("", "empty (0 bytes)"),
    "not_a_notebook": ('{"answers": [1, 2]}', "not a readable notebook"),
}


class Graded(NamedTuple):
    course: Path
    rows: dict[str, dict[str, str]]
    output: str
    errors: str
    exit_status: int


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """Grade every submission in one run, together with files that are no notebooks."""
    course = make_course(tmp_path_factory.mktemp("course"))
    with (course / "nbgrader_config.py").open("a") as config:
        config.write("c.ExecutePreprocessor.timeout = 15  # the tests' endless cells need not take a minute each\n")
    for name in names(LAB):
        load(LAB, name).put(course)
    for name, (text, _) in UNREADABLE.items():
        folder = course / "submitted" / name / LAB
        folder.mkdir(parents=True)
        (folder / f"{LAB}.ipynb").write_text(text)
    (course / "submitted" / "no_notebook" / LAB).mkdir(parents=True)
    (course / "submitted" / "no_notebook" / LAB / "lab2 (1).ipynb").write_text("{}")
    result = run(course, "effkit", "grade", LAB, timeout_s=1200)
    return Graded(course, read_grades(course, LAB), result.stdout, result.stderr, result.returncode)


@pytest.mark.parametrize("name", names(LAB))
def test_a_submission_gets_the_score_it_deserves(graded: Graded, name: str) -> None:
    submission, row = load(LAB, name), graded.rows[name]
    got = {task: float(row[task]) for task in submission.scores}
    assert got == submission.scores, row["reasons"]


@pytest.mark.parametrize("name", names(LAB))
def test_every_lost_point_has_a_reason(graded: Graded, name: str) -> None:
    submission, row = load(LAB, name), graded.rows[name]
    for task in tasks_of(LAB):
        lost = submission.scores[task.name] < task.points
        assert bool(reason_of(row, task.name)) == lost
    for task_name, words in submission.reasons.items():
        assert words in reason_of(row, task_name)


def reason_of(row: dict[str, str], task: str) -> str:
    return next((reason for reason in row["reasons"].split(" | ") if reason.startswith(f"{task}: ")), "")


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_notebook_is_a_row_that_says_what_to_do(graded: Graded, name: str) -> None:
    row = graded.rows[name]
    assert (row["status"], row["score"]) == ("not graded", "")
    assert UNREADABLE[name][1] in row["reasons"]
    assert "ask the student to submit it again" in row["reasons"]
    assert f"NOT GRADED {name}" in graded.errors
    assert not (graded.course / "autograded" / name).exists()


def test_a_missing_notebook_names_what_was_found(graded: Graded) -> None:
    assert "no lab2_parameters.ipynb" in graded.rows["no_notebook"]["reasons"]
    assert "lab2 (1).ipynb" in graded.rows["no_notebook"]["reasons"]


def test_the_run_ends_with_a_status_that_says_somebody_must_look(graded: Graded) -> None:
    assert graded.exit_status == 1
    assert f"Grading {len(names(LAB)) + 4} submissions" in graded.output
    assert "Traceback" not in graded.output + graded.errors


def test_the_written_question_waits_for_a_person_unless_it_is_blank(graded: Graded) -> None:
    assert (graded.rows["full"]["wide_or_deep"], graded.rows["full"]["status"]) == ("", "needs manual grading")
    assert (graded.rows["blank"]["wide_or_deep"], graded.rows["blank"]["status"]) == ("0", "graded")


def test_the_run_draws_one_seed_for_all_and_records_it(graded: Graded) -> None:
    (seed,) = {row["seed"] for row in graded.rows.values() if row["status"] != "not graded"}
    assert seed in graded.output
    assert graded_notebook(graded, "full").metadata.effkit.seed == int(seed) != 0


def test_answers_outlive_the_run(graded: Graded) -> None:
    """A graded notebook can be judged again without executing anything."""
    notebook = graded_notebook(graded, "units_confused")
    seed = notebook.metadata.effkit.seed
    for cell in notebook.cells:
        task = find(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if task:
            (output,) = cell.outputs
            assert output.output_type == "execute_result"
            answers = read_bundle(json.loads(json.dumps(output.data[MIME])), task, seed)
            assert judge(task, answers, seed).score == float(output.data["text/plain"])


def graded_notebook(graded: Graded, name: str) -> nbformat.NotebookNode:
    return nbformat.read(graded.course / "autograded" / name / LAB / f"{LAB}.ipynb", as_version=4)


def test_a_copied_answer_still_waits_for_a_person(graded: Graded) -> None:
    assert graded.rows["answer_copied"]["status"] == "needs manual grading"


def test_a_student_cannot_write_reasons_for_another_task(graded: Graded) -> None:
    reasons = graded.rows["metadata_shown"]["reasons"].split(" | ")
    assert [reason.split(":")[0] for reason in reasons] == ["norm_params", "wide_or_deep"]
    assert "please give 4" not in feedback(graded, "metadata_shown").split("Your result")[1].split("norm_params</code>")[0]


def test_feedback_says_what_was_wrong(graded: Graded) -> None:
    page = feedback(graded, "units_confused")
    assert "<td" in page.split("Your result")[1].split("Lab 2:")[0]  # the table of all tasks comes first
    assert "A person still has to read this answer." in page
    assert "Known mistake: MB for MiB." in page
    assert "1 MiB is 2**20" in page
    assert re.search(r"model_size_bytes: 0 of 2 points", page)


def test_code_beside_a_notebook_is_not_copied(graded: Graded) -> None:
    copied = {path.name for path in (graded.course / "autograded" / "shadowing_file" / LAB).iterdir()}
    assert not copied & {"effkit.py", "torch.py"}


def feedback(graded: Graded, name: str) -> str:
    return (graded.course / "feedback" / name / LAB / f"{LAB}.html").read_text(encoding="utf-8")


def test_plain_nbgrader_autograde_gives_the_same_scores(graded: Graded, course: Path) -> None:
    chosen = [load(LAB, name) for name in ("full", "check_deleted", "learnt_by_heart", "os_exit")]
    for submission in chosen:
        submission.put(course)
    for step in (["generate_assignment", LAB], ["autograde", LAB]):
        result = run(course, "nbgrader", *step)
        assert result.returncode == 0, result.stderr
    exported = run(course, "nbgrader", "export", "--to", "grades.csv")
    assert exported.returncode == 0, exported.stderr
    lines = (course / "grades.csv").read_text().splitlines()
    columns = lines[0].split(",")
    scores = {
        row[columns.index("student_id")]: float(row[columns.index("score")]) for row in (li.split(",") for li in lines[1:])
    }
    assert scores == {submission.name: total(submission) for submission in chosen}
    graded_here = nbformat.read(course / "autograded" / "full" / LAB / f"{LAB}.ipynb", as_version=4)
    assert graded_here.metadata.effkit.seed > 0  # seed 0 is the one that students see


def total(submission: Submission) -> float:
    return sum(submission.scores.values())
