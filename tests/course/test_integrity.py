"""Flags for a person to look at: ways round the work are found with their line, and honest code is left in peace."""

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from effkit.course.integrity import flag_identical, scan
from effkit.course.records import Record
from tests.course.submissions import load, released, solution_sources

LAB = "lab2_parameters"


def flags(source: str) -> list[tuple[str, int]]:
    return [(flag["kind"], flag["line"]) for flag in scan(new_notebook(cells=[new_code_cell(source)]))]


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("reference used", "from effkit import counts"),
        ("reference used", "import effkit.counts as c"),
        ("reference used", "import effkit\neffkit.counts.conv_params(1, 2, 3)".replace("import effkit\n", "")),
        ("reference used", "from effkit.profiling.profile import profile"),
        ("reference used", "from effkit.grading.tasks import find"),
        ("reference used", "from torch.utils.flop_counter import FlopCounterMode"),
        ("interpreter hook", "import sys; sys.settrace(print)"),
        ("interpreter hook", "from sys import settrace"),
        ("interpreter hook", "get_ipython().ast_transformers.append(x)"),
        ("interpreter hook", "ip = get_ipython(); ip.run_cell('1')"),
        ("interpreter hook", "__builtins__.print = f"),
        ("interpreter hook", "check.__globals__['x'] = 1"),
        ("system access", "import ctypes"),
        ("system access", "import subprocess as s"),
        ("library changed", "torch.allclose = lambda *a: True"),
        ("operator of its own", "class A:\n    def __eq__(self, o): return True".replace("\n    ", " \n    ")),
        ("forged result", "x = {'application/vnd.effkit.answers+json': 1}"),
    ],
)
def test_ways_round_the_work_are_flagged(kind: str, source: str) -> None:
    assert kind in [found for found, _ in flags(source)]


def test_a_flag_names_the_cell_the_line_and_the_code() -> None:
    cell = new_code_cell("%matplotlib inline\nx = 1\nimport sys; sys.settrace(f)  # why not", id="mine")
    assert scan(new_notebook(cells=[cell])) == [
        {"kind": "interpreter hook", "cell": "mine", "line": 3, "text": "import sys; sys.settrace(f)  # why not"}
    ]


@pytest.mark.parametrize("source", ["def broken(:", "(" * 500, "x = " + "-" * 5000 + "1", "\0", ""])
def test_code_that_cannot_be_read_is_no_trouble(source: str) -> None:
    flags(source)


@pytest.mark.parametrize("name", ["full", "blank", "other_ways", "bias_forgotten", "partly_done", "raises", "stderr_noise"])
def test_honest_submissions_have_no_flag(name: str) -> None:
    ours = [cell.source for cell in released(LAB).cells]
    assert scan(load(LAB, name).notebook, ours) == []


def test_the_labs_own_cells_are_not_looked_at() -> None:
    notebook: NotebookNode = released(LAB)
    for cell in notebook.cells:
        cell.source = solution_sources(LAB).get(cell.id, cell.source)
    assert scan(notebook, [cell.source for cell in released(LAB).cells]) == []


def wrong(student: str, digest: str, **fields: object) -> Record:
    return Record(student, wrong={"conv_params": digest}, **fields)  # type: ignore[arg-type]


def test_the_same_odd_answers_are_shown_with_whom_and_common_ones_are_not() -> None:
    class_ = [wrong(f"s{i:02}", "common") for i in range(20)] + [wrong("ann", "odd"), wrong("bo", "odd"), wrong("cy", "own")]
    class_.append(wrong("di", "odd", misconceptions={"linear_params": "bias forgotten"}))
    for _ in range(2):  # again in the next run: no flag twice
        flag_identical(class_)
    flagged = {record.student: record.flags for record in class_ if record.flags}
    assert set(flagged) == {"ann", "bo"}
    assert flagged["ann"][0] == {
        "kind": "identical wrong answers",
        "cell": "conv_params",
        "line": 0,
        "text": "the same wrong answers as bo",
    }
    assert len(flagged["ann"]) == 1
