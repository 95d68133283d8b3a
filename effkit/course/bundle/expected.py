"""Finds where a bundle tells what a check expects: the reference's answers to the cases that every student gets.

effkit's own package can compute them, and has the tasks: a student may read how a reference counts. What must not stand in a
notebook or a page is the number to type in. A large number gives it away in a lab by itself; a small one only with the call.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from effkit.course.bundle.texts import LAB, PACKAGE, Text
from effkit.grading.task import Task
from effkit.grading.tasks import LABS, tasks_of

_NUMBER = re.compile(r"(?<![\w.])\d[\d,_]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_IN_GROUPS = re.compile(r"(?<![\d.,_])\d{1,3}(?:\s\d{3})+(?!\d)")
_TELLS_FROM = 1000  # smaller integers stand in any text


@dataclass(frozen=True)
class Expected:
    """One call that a check makes for everybody, and the numbers that are right."""

    task: str
    call: str
    arguments: tuple[float, ...] | None  # None where they are not all numbers
    answer: frozenset[float]
    telling: frozenset[float]


def expected_of(lab: str) -> list[Expected]:
    """Return what the checks of a lab expect of everybody."""
    tasks = tasks_of(lab) if lab in LABS else ()
    return [_expected(task, case) for task in tasks for group in task.groups for case in group.cases]


def _expected(task: Task, case: tuple[Any, ...]) -> Expected:
    leaves = list(_leaves(list(case)))
    arguments = tuple(float(leaf) for leaf in leaves) if all(isinstance(leaf, int | float) for leaf in leaves) else None
    answer = frozenset(float(leaf) for leaf in _leaves(task.reference(*case)) if type(leaf) in (int, float))
    telling = answer - {leaf for leaf in leaves if isinstance(leaf, int | float)}
    return Expected(task.name, task.call_text(case), arguments, answer, frozenset(filter(_tells, telling)))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def _tells(value: float) -> bool:
    """Whether a number is found by chance in no text."""
    return value >= _TELLS_FROM if value.is_integer() else len(f"{value:.12g}".replace(".", "").strip("0")) >= 4


def told_in(cell: list[Text], expected: list[Expected]) -> Iterator[tuple[str, str]]:
    """Yield the task and the call whose answer the texts of one place tell, once for each task."""
    content = "\n".join(text.content for text in cell)
    kind, seen = cell[0].kind, set()
    numbers = _numbers(content)
    for one in expected if kind != PACKAGE else ():
        by_itself = kind == LAB and one.telling & numbers
        if one.task not in seen and (by_itself or _called_with_answer(content, one)):
            seen.add(one.task)
            yield one.task, one.call


def _numbers(content: str) -> set[float]:
    """Return the numbers in a text, however their thousands are separated: by commas, underscores or blanks."""
    marked = re.sub(r"(?<=\d)(?:\{,\}|\\,|['’])(?=\d{3})", ",", content)
    joined = _IN_GROUPS.sub(lambda match: re.sub(r"\s", "", match[0]), marked)
    return {float(re.sub("[,_]", "", number)) for form in {marked, joined} for number in _NUMBER.findall(form)}


def _called_with_answer(content: str, one: Expected) -> bool:
    """Whether the very call stands in a text, however its arguments are named, with all of its answer after it."""
    if one.arguments is None or not one.answer:
        return False
    calls = re.finditer(rf"\b{re.escape(one.task)}\s*\(", content)
    ends = ((match.start(), _end_of_call(content, match.end())) for match in calls)
    return any(
        _arguments(content[start:end]) == one.arguments and one.answer <= _numbers(content[end:])
        for start, end in ends
        if end
    )


def _end_of_call(content: str, start: int) -> int:
    """Return where the bracket that opens before `start` is closed; 0 if it never is."""
    depth = 1
    for at in range(start, min(len(content), start + 500)):
        depth += {"(": 1, ")": -1}.get(content[at], 0)
        if depth == 0:
            return at + 1
    return 0


def _arguments(call: str) -> tuple[float, ...] | None:
    try:
        node = ast.parse(call.strip(), mode="eval").body
        assert isinstance(node, ast.Call)
        values = [ast.literal_eval(value) for value in (*node.args, *(keyword.value for keyword in node.keywords))]
        return tuple(float(leaf) for leaf in _leaves(values))
    except (SyntaxError, ValueError, TypeError, AssertionError):
        return None
