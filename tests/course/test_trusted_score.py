"""The trusted score of one check cell, from the outputs that a kernel left there."""

import json

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbgrader.utils import determine_grade

from effkit.course.preprocessors import TrustedScore
from effkit.grading.answers import MIME, bundle
from effkit.grading.tasks import find

TASK = find("linear_params")
SEED = 3


def graded(function: object, points: float, grade_id: str = "linear_params") -> NotebookNode:
    """Return the check cell of a task, judged, for a function that gave these answers and claimed 99 points."""
    assert TASK is not None
    answers = [{"value": function(*case)} for _, case in TASK.cases(SEED)]  # type: ignore[operator]
    data = {"text/plain": "99", MIME: json.loads(json.dumps(bundle(TASK, SEED, answers, "0.1.0")))}
    own = {"grade": True, "solution": False, "grade_id": grade_id, "points": points, "locked": True, "schema_version": 3}
    cell = new_code_cell("check(...)", metadata={"nbgrader": own})
    cell.outputs = [new_output("stream", name="stderr", text="noise"), new_output("execute_result", data=data)]
    notebook, _ = TrustedScore().preprocess(new_notebook(cells=[cell]), {"effkit_seed": SEED})
    return notebook.cells[0]


@pytest.mark.parametrize("points", [2, 6, 0.3, 100 / 3])
def test_a_lab_released_with_other_points_counts_in_those(points: float) -> None:
    full = graded(lambda i, o, bias: i * o + o * bias, points)
    half = graded(lambda i, o, bias: i * o, points)
    assert determine_grade(full) == (points, points)  # nbgrader's own reading; above the maximum it would fail
    assert determine_grade(half)[0] == pytest.approx(points / 2)


def test_a_check_cell_that_is_no_task_is_graded_as_nbgrader_does() -> None:
    cell = graded(lambda i, o, bias: 0, 5, grade_id="instructors_own_test")
    assert [output.output_type for output in cell.outputs] == ["stream", "execute_result"]
