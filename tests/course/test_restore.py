"""The doctor's repair inside nbgrader: plain `nbgrader autograde` gives a repaired submission what it deserves."""

import json
import shutil
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from effkit.course.doctor import examine
from effkit.course.lab import read_lab
from tests.course.conftest import ROOT, run
from tests.course.submissions import edit, released, solution_sources
from tests.course.test_doctor import (
    FILE,
    NAME,
    QUESTION,
    WRITTEN,
    answer_made_markdown,
    check_copied,
    check_rewritten,
    marks_and_ids_dropped,
    put,
    question_split,
    skipped_by_a_tag,
)


def test_plain_nbgrader_repairs_as_the_doctor_does(course: Path) -> None:
    shutil.copytree(ROOT / "labs", course / "labs")
    everything = (answer_made_markdown, check_copied, check_rewritten, question_split, skipped_by_a_tag)
    for student, changes in (("ann", everything), ("ben", (marks_and_ids_dropped,))):
        notebook = edit(released(NAME), solution_sources(NAME) | {QUESTION: WRITTEN}, [], {})
        for change in changes:
            change(notebook)
        put(course / "submitted" / student / NAME, json.dumps(notebook).encode())
    for command in (["generate_assignment", NAME, "--force"], ["autograde", NAME]):
        result = run(course, "nbgrader", *command)
        assert result.returncode == 0, result.stderr
    lab = read_lab(course, NAME)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for student in ("ann", "ben"):
            notebook = gradebook.find_submission_notebook(NAME, NAME, student)
            lost = {grade.name: grade.score for grade in notebook.grades if grade.score != grade.max_score}
            assert lost == {QUESTION: 0}
            assert notebook.needs_manual_grade  # the question was answered
            graded = nbformat.read(course / "autograded" / student / NAME / FILE, as_version=4)
            doctored = examine(course / "submitted" / student / NAME, lab).notebook
            assert [cell.source for cell in graded.cells] == [cell.source for cell in doctored.cells]
