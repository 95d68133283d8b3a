"""The judge: answers in, score and reasons out, for one small task."""

from typing import Any

import pytest

from effkit.grading import report
from effkit.grading.judge import Verdict, compare, judge
from effkit.grading.task import Group, Misconception, Task

AREA = Task(
    "area",
    ("width", "height"),
    lambda width, height: width * height,
    (
        Group("squares", 1, ((3, 3),), lambda r: (n := r.randint(4, 99), n)),
        Group("rectangles", 2, ((2, 5),), lambda r: (r.randint(4, 99), r.randint(100, 999)), 3),
    ),
    (
        Misconception("sum of the sides", lambda w, h: w + h, "An area is a product."),
        Misconception("taken as square", lambda w, h: w * w, "The sides may differ."),
    ),
)


def answers(function: Any, seed: int = 7) -> list[dict[str, Any]]:
    return [{"value": function(*case)} for _, case in AREA.cases(seed)]


def verdict(function: Any, seed: int = 7) -> Verdict:
    return judge(AREA, answers(function, seed), seed)


def test_right_answers_earn_every_point_and_need_no_reason() -> None:
    result = verdict(lambda w, h: w * h)
    assert (result.score, result.reason) == (3, "")


def test_a_group_earns_its_points_only_when_all_its_cases_are_right() -> None:
    almost = answers(lambda w, h: w * h)
    almost[-1] = {"value": 0}
    result = judge(AREA, almost, 7)
    assert [(part.earned, part.points) for part in result.parts] == [(1, 1), (0, 2)]
    assert "rectangles (-2)" in result.reason


def test_a_mistake_that_explains_every_answer_is_named() -> None:
    result = verdict(lambda w, h: w * w)
    assert result.score == 1
    assert result.mistake is not None
    assert result.reason == "taken as square: The sides may differ."


def test_a_mistake_that_explains_only_some_answers_is_not_named() -> None:
    mixed = answers(lambda w, h: w + h)
    mixed[-1] = {"value": 0}
    assert judge(AREA, mixed, 7).mistake is None


def test_the_seed_decides_the_random_cases_and_nothing_else_does() -> None:
    assert AREA.cases(7) == AREA.cases(7)
    assert AREA.cases(7) != AREA.cases(8)
    assert AREA.cases(7)[0] == AREA.cases(8)[0]  # an explicit case
    assert judge(AREA, answers(lambda w, h: w * h, seed=8), 7).score < 3


def test_the_reason_says_what_was_expected_what_came_and_for_which_call() -> None:
    result = verdict(lambda w, h: 1)
    assert "area(width=3, height=3) should be 9, came 1" in result.reason
    text, html = report.text(result), report.html(result)
    for words in ("area(width=3, height=3)", "expected 9", "came     1", "0 of 3 points"):
        assert words in text
    for words in ("<code>area(width=3, height=3)</code>", ">9</td>", ">1</td>", "0 of 3 points"):
        assert words in html


def test_entries_of_a_dict_earn_their_points_apart() -> None:
    table = Task(
        "table",
        ("n",),
        lambda n: {"a": n, "b": 2 * n, "c": 3 * n},
        (Group("first", 1, ((2,), (3,)), entries=("a", "b")), Group("last", 1, ((2,), (3,)), entries=("c",))),
    )
    wrong = [{"value": {"a": n, "b": 2 * n, "c": 0, "extra": 1}} for n in (2, 3, 2, 3)]
    assert [part.earned for part in judge(table, wrong, 0).parts] == [1, 0]


def test_one_stub_among_right_answers_is_a_finding_and_not_an_unsolved_task() -> None:
    some = answers(lambda w, h: w * h)
    some[0] = {"raised": {"type": "NotImplementedError", "message": "", "where": "", "function": "area"}}
    assert judge(AREA, some, 7).score == 2


def test_not_solved_yet_says_what_to_do() -> None:
    raised = {"type": "NotImplementedError", "message": "", "where": "", "function": "area"}
    result = judge(AREA, [{"raised": raised}] * len(AREA.cases(7)), 7)
    assert result.score == 0
    assert "Write the body of area in the cell above" in report.text(result)


def test_a_solved_task_that_calls_a_stub_is_sent_to_that_one() -> None:
    raised = {"type": "NotImplementedError", "message": "", "where": "", "function": "length"}
    result = judge(AREA, [{"raised": raised}] * len(AREA.cases(7)), 7)
    assert "area calls length, which is still to be written" in report.text(result)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"raised": {"type": "KeyError", "message": "'w'", "where": "line 2: x['w']", "function": "f"}},
            "KeyError: 'w' at line 2: x['w']",
        ),
        ({"overran": 5.0}, "no answer after 5 s"),
        ({"unreadable": "a Widget object"}, "a Widget object"),
        ({"skipped": "an earlier call did not come back"}, "not called: an earlier call did not come back"),
    ],
)
def test_an_answer_that_is_no_value_is_a_finding_in_words(answer: dict[str, Any], words: str) -> None:
    some = answers(lambda w, h: w * h)
    some[0] = answer
    result = judge(AREA, some, 7)
    assert result.score == 2
    assert words in report.text(result)


@pytest.mark.parametrize(
    ("expected", "came"),
    [(3, 3), (2.5, 2.5), (2.0, 2), (1e9, 1e9 + 0.1), ([1, 2], [1, 2]), ((1, 2), [1, 2]), ({"a": 1}, {"a": 1}), ("x", "x")],
)
def test_values_that_are_right(expected: object, came: object) -> None:
    assert compare(expected, came) is None


@pytest.mark.parametrize(
    ("expected", "came", "advice"),
    [
        (3, 4, ""),
        (3, 3.0, "Return an int"),
        (1, True, "Return a number, not a bool"),
        (True, 1, "Return a bool, not a int"),
        (3, None, "does it end in `return`?"),
        (3, "3", "Return a number, not a str"),
        (2.5, 2.5001, "unrounded"),
        (2.5, 3, ""),
        (2.5, 2**999, ""),
        (2.5, 2.5 * (1 + 1e-8), "unrounded"),
        ([1, 2], [1], "There must be 2 entries, and there are 1"),
        ([1, 2.0], [1, True], "not a bool"),
        ({"a": 1, "b": 2}, {"a": 1}, "Missing: b."),
        ({"a": 1}, {"a": 1, "c": 2}, "Not asked for: c."),
        ({"a": 1}, [1], "Return a dict"),
    ],
)
def test_values_that_are_wrong_come_with_advice_where_their_kind_is_wrong(
    expected: object, came: object, advice: str
) -> None:
    difference = compare(expected, came)
    assert difference is not None
    assert advice in difference[2] if advice else difference[2] == ""


def test_a_wrong_dict_shows_only_the_entries_that_differ() -> None:
    difference = compare({"a": 1, "b": 2000}, {"a": 1, "b": 3000})
    assert difference == ("b:\u00a02,000", "b:\u00a03,000", "")


def test_the_report_escapes_what_came_from_a_student() -> None:
    hostile = answers(lambda w, h: "<script>alert(1)</script>")
    hostile[1] = {"raised": {"type": "<b>", "message": "<img src=x>", "where": "<i>", "function": "<s>"}}
    html = report.html(judge(AREA, hostile, 7), notes=["<u>"], printed="<script>")
    for tag in ("<script", "<img", "<b>", "<i>", "<u>"):
        assert tag not in html


def test_the_report_shows_few_calls_and_counts_the_rest() -> None:
    text = report.text(verdict(lambda w, h: 1))
    assert text.count("area(") == 2  # each group fails in one way
    assert "and 3 more calls" in text
