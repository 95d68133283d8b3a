"""The doctor never raises, whatever is on the disk, and what it gives back is a notebook with every graded cell."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode

from effkit.course.doctor import examine
from effkit.course.lab import ReleasedLab, handed_out
from tests.course.conftest import ROOT
from tests.course.submissions import edit, released, solution_sources
from tests.course.test_doctor import FILE, NAME, graded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=8), part, max_size=4),
    max_leaves=12,
)
KEYS = ["cells", "metadata", "nbformat", "nbformat_minor", "cell_type", "source", "outputs", "id", "nbgrader", "grade_id"]
often = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def lab() -> ReleasedLab:
    found = handed_out(ROOT, NAME)
    assert found is not None
    return found


def is_sound(notebook: NotebookNode, lab: ReleasedLab) -> bool:
    """Whether every graded and every locked cell is there as released; an answer cell may be gone."""
    cells = graded(notebook)
    needed = {name for name, cell in lab.cells.items() if cell.graded or not cell.answer}
    return needed <= set(cells) and all(
        cell.metadata.nbgrader == lab.cells[name].own and (name not in needed or cell.cell_type == lab.cells[name].cell_type)
        for name, cell in cells.items()
    )


def check(folder: Path, content: bytes, lab: ReleasedLab) -> None:
    (folder / FILE).write_bytes(content)
    found = examine(folder, lab)
    if found.notebook is None:
        assert found.problem
        return
    assert is_sound(found.notebook, lab)
    (folder / FILE).write_text(json.dumps(found.notebook, allow_nan=False), encoding="utf-8")
    again = examine(folder, lab)
    assert again.notebook == found.notebook
    assert not [finding for finding in again.findings if finding.repaired]


@often
@given(content=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, lab: ReleasedLab, content: bytes) -> None:
    check(tmp_path, content, lab)


@often
@given(
    data=st.dictionaries(st.sampled_from(KEYS), JSON | st.lists(st.dictionaries(st.sampled_from(KEYS), JSON), max_size=4))
)
def test_any_json(tmp_path: Path, lab: ReleasedLab, data: dict[str, Any]) -> None:
    check(tmp_path, json.dumps({"cells": [], **data}).encode(), lab)


@often
@given(choices=st.data())
def test_any_edits_of_a_real_lab(tmp_path: Path, lab: ReleasedLab, choices: st.DataObject) -> None:
    notebook: Any = json.loads(json.dumps(edit(released(NAME), solution_sources(NAME), [], {})))
    for _ in range(choices.draw(st.integers(1, 6))):
        place, key = _somewhere(notebook, choices)
        action = choices.draw(st.sampled_from(["set", "delete", "copy", "swap"]))
        if action == "delete":
            del place[key]
        elif action == "copy" and isinstance(place, list):
            place.insert(choices.draw(st.integers(0, len(place))), json.loads(json.dumps(place[key])))
        elif action == "swap" and isinstance(place, list):
            other = choices.draw(st.integers(0, len(place) - 1))
            place[key], place[other] = place[other], place[key]
        else:
            place[key] = choices.draw(JSON)
        if not notebook:
            break
    check(tmp_path, json.dumps(notebook).encode(), lab)


def _somewhere(value: Any, choices: st.DataObject) -> tuple[Any, Any]:
    """Return a place in nested data, as a container with at least one entry and a key of it."""
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = choices.draw(st.sampled_from(keys))
        below = value[key]
        if not isinstance(below, dict | list) or not below or choices.draw(st.integers(0, 3)) == 0:
            return value, key
        value = below


@often
@given(cut=st.integers(0, 40_000), start=st.integers(0, 40_000), junk=st.binary(max_size=8))
def test_any_damage_to_a_file(tmp_path: Path, lab: ReleasedLab, cut: int, start: int, junk: bytes) -> None:
    whole = json.dumps(released(NAME), ensure_ascii=False).encode()
    check(tmp_path, whole[:start] + junk + whole[start + cut % 50 :], lab)
    check(tmp_path, whole[:cut], lab)
