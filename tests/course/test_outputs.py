"""Whatever a kernel sends, what is kept of it is a valid part of a notebook."""

from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from effkit.course.outputs import Outputs
from effkit.grading.answers import MIME

KINDS = ("stream", "display_data", "execute_result", "error", "clear_output", "status")
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["\ud800", "text/plain", "image/png", MIME, "application/json", ""]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
FIELDS = ("name", "text", "ename", "evalue", "traceback", "data", "metadata", "execution_count", "wait")
CONTENTS = st.one_of(JSON, st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), CONTENTS), max_size=6))
def test_what_is_kept_of_any_messages_is_a_valid_notebook(messages: list[tuple[str, Any]]) -> None:
    outputs = Outputs(10_000, 20)
    for kind, content in messages:
        outputs.add(kind, content, 50)
    notebook = new_notebook(cells=[new_code_cell("1", outputs=outputs.finished())])
    nbformat.validate(notebook)
    assert nbformat.reads(nbformat.writes(notebook), as_version=4) == notebook
    assert outputs.has_error() in (True, False)


@pytest.mark.parametrize("value", [{"a": 1}, ["a"], 7, None])
def test_data_of_the_wrong_type_is_left_out_and_the_rest_stays(value: object) -> None:
    outputs = Outputs(10_000, 20)
    outputs.add("display_data", {"data": {"text/plain": value}, "metadata": {}}, 50)
    outputs.add("display_data", {"data": {"text/html": value, MIME: [1]}, "metadata": {}}, 50)
    assert [dict(output.data) for output in outputs.finished()] == [{MIME: [1]}]
