"""A class of two hundred, of every kind of submission there is, in one batch: each gets what it deserves."""

from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.course.conftest import read_grades, run
from tests.course.submissions import load, names

LAB = "lab2_parameters"
STUDENTS = 200
ENDLESS = ("infinite_loop", "infinite_loop_that_holds_on")  # they are graded too, but not two hundred times


@pytest.mark.slow
def test_two_hundred_submissions_end_with_every_deserved_score(course: Path) -> None:
    kinds = [load(LAB, name) for name in names(LAB) if name not in ENDLESS]
    deserved = {}
    for number, submission in enumerate(islice(cycle(kinds), STUDENTS)):
        student = f"s{number:03}-{submission.name}"
        replace(submission, name=student).put(course)
        deserved[student] = submission.scores
    run(course, "effkit", "grade", LAB, timeout_s=3000)
    rows = read_grades(course, LAB)
    assert len(rows) == STUDENTS
    got = {student: {task: float(rows[student][task] or -1) for task in scores} for student, scores in deserved.items()}
    assert got == deserved
