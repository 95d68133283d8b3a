"""Answers as JSON: what a kernel may return, and what the judge refuses to read."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from effkit.grading.answers import FORMAT, UnreadableAnswers, bundle, plain, read_bundle, why_unreadable
from effkit.grading.task import Group, Task

DOUBLE = Task("double", ("x",), lambda x: 2 * x, (Group("two", 1, ((1,), (2,))),))
GOOD = bundle(DOUBLE, 1, [{"value": 2}, {"value": 4}], "0.1.0")


def test_a_bundle_survives_json() -> None:
    assert read_bundle(json.loads(json.dumps(GOOD)), DOUBLE, 1) == [{"value": 2}, {"value": 4}]


@pytest.mark.parametrize(
    "changed",
    [
        {"task": "triple"},
        {"seed": 6},
        {"seed": True},
        {"seed": "1"},
        {"format": FORMAT + 1},
        {"answers": [{"value": 2}]},
        {"answers": [{"value": 2}] * 3},
        {"answers": {"0": 2}},
        {"answers": {"0": 2, "1": 4}},
        {"answers": [2, 4]},
        {"answers": [{"value": 2}, {}]},
        {"answers": [{"value": 2}, {"value": 4, "overran": 1}]},
        {"answers": [{"value": 2}, {"score": 1}]},
        {"answers": [{"value": 2}, {"raised": "KeyError"}]},
        {"answers": [{"value": 2}, {"overran": "1"}]},
        {"answers": [{"value": 2}, {"overran": float("inf")}]},
        {"answers": [{"value": 2}, {"overran": 10**400}]},
        {"answers": [{"value": 2}, {"unreadable": 3}]},
    ],
)
def test_a_malformed_bundle_or_one_of_another_run_is_refused_with_a_reason(changed: dict[str, Any]) -> None:
    with pytest.raises(UnreadableAnswers, match=r"\w+ \w+"):
        read_bundle(GOOD | changed, DOUBLE, 1)


@pytest.mark.parametrize("data", [None, [], "answers", 3, {}])
def test_what_is_no_bundle_at_all_is_refused(data: object) -> None:
    with pytest.raises(UnreadableAnswers):
        read_bundle(data, DOUBLE, 1)


@pytest.mark.parametrize(
    "value",
    [
        "\ud83d",
        float("nan"),
        float("inf"),
        10**400,
        [[[[[[[[1]]]]]]]],
        "x" * 20_000,
        list(range(20_000)),
        {"a": ["x" * 20_000]},
    ],
)
def test_a_value_out_of_bounds_becomes_a_finding(value: object) -> None:
    (first, _) = read_bundle(GOOD | {"answers": [{"value": value}, {"value": 4}]}, DOUBLE, 1)
    assert set(first) == {"unreadable"}


def test_texts_from_a_kernel_are_cut_to_a_readable_length() -> None:
    raised = {"raised": {"type": "E" * 9999, "message": ["not text"], "where": "w"}}
    (first, _) = read_bundle(GOOD | {"answers": [raised, {"value": 4}]}, DOUBLE, 1)
    assert len(first["raised"]["type"]) < 400
    assert first["raised"]["message"] == "list"


class LyingInt(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor(3), 3),
        (torch.tensor([1, 2]), [1, 2]),
        (torch.Size([2, 3]), [2, 3]),
        ((1, (2, 3)), [1, [2, 3]]),
        ({"a": np.int64(1)}, {"a": 1}),
        (True, True),
        (None, None),
        (LyingInt(7), 7),
    ],
)
def test_numbers_of_other_libraries_become_plain_ones(value: object, expected: object) -> None:
    got = plain(value)
    assert why_unreadable(got) is None
    assert json.dumps(got) == json.dumps(expected)


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, 2j, b"x", iter([]), int, torch.nn.Linear(1, 1)])
def test_what_is_not_plain_data_is_named(value: object) -> None:
    assert why_unreadable(plain(value))


def test_true_is_not_format_one() -> None:
    task = Task("double", ("x",), lambda x: 2 * x, (Group("all", 1, ((1,),)),))
    data = bundle(task, 0, [{"value": 2}], "0.1.0")
    read_bundle(data, task, 0)
    with pytest.raises(UnreadableAnswers):
        read_bundle({**data, "format": True}, task, 0)
