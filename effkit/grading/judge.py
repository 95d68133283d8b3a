"""Judging: answers + task + seed -> score and reasons. Pure: it runs no student code and reads nothing else."""

import math
from dataclasses import dataclass
from typing import Any

from effkit.grading.task import Case, Group, Misconception, Task

_RELATIVE_TOLERANCE = 1e-9
_UNSOLVED = "Not solved yet."


@dataclass(frozen=True)
class Finding:
    """One call that did not give the expected answer, each part as text to show."""

    call: str
    expected: str
    came: str
    advice: str = ""


@dataclass(frozen=True)
class Part:
    """What one group of cases earned, and why it lost its points if it did."""

    name: str
    earned: int
    points: int
    findings: tuple[Finding, ...] = ()
    calls: int = 0


@dataclass(frozen=True)
class Verdict:
    """The score of one task with its reasons."""

    task: str
    points: int
    parts: tuple[Part, ...] = ()
    mistake: Misconception | None = None
    problem: str = ""  # why nothing could be judged at all

    @property
    def score(self) -> int:
        """Return the points earned."""
        return sum(part.earned for part in self.parts)

    @property
    def reason(self) -> str:
        """Return in one line why points were lost; empty when none were."""
        if self.problem:
            return self.problem
        if self.mistake:
            return f"{self.mistake.name}: {self.mistake.hint}"
        return "; ".join(_loss(part) for part in self.parts if part.findings)


def _loss(part: Part) -> str:
    first = part.findings[0]
    came = f"{first.came}. {first.advice}" if first.advice else first.came
    return f"{part.name} (-{part.points}): {first.call} should be {first.expected}, came {came}"


def judge(task: Task, answers: list[dict[str, Any]], seed: int) -> Verdict:
    """Score the answers to ``task.cases(seed)``, one answer for each case and in that order (see `answers`)."""
    cases = task.cases(seed)
    if all(answer.get("raised", {}).get("type") == "NotImplementedError" for answer in answers):
        return Verdict(task.name, task.points, problem=_unsolved(task, answers[0]["raised"]["function"]))
    parts = []
    for group in task.groups:
        own = [(case, answer) for (g, case), answer in zip(cases, answers, strict=True) if g is group]
        findings = tuple(filter(None, (_finding(task, group, case, answer) for case, answer in own)))
        parts.append(Part(group.name, 0 if findings else group.points, group.points, findings, len(own)))
    mistake = None if all(part.earned for part in parts) else _known_mistake(task, [case for _, case in cases], answers)
    return Verdict(task.name, task.points, tuple(parts), mistake)


def _unsolved(task: Task, function: str) -> str:
    """Say what is to be done about a stub: the task's own, or one of a function that it calls."""
    if function and function != task.name:
        return f"{_UNSOLVED} {task.name} calls {function}, which is still to be written: solve that task first."
    return f"{_UNSOLVED} Write the body of {task.name} in the cell above, run it, then run this check again."


def _finding(task: Task, group: Group, case: Case, answer: dict[str, Any]) -> Finding | None:
    expected = task.reference(*case)
    shown = _entries(expected, group)
    if "value" not in answer:
        came, advice = _no_value(task, answer)
        return Finding(task.call_text(case), show(shown), came, advice)
    difference = compare(shown, _entries(answer["value"], group))
    return Finding(task.call_text(case), *difference) if difference else None


def _entries(value: Any, group: Group) -> Any:
    """Return the entries of a dict answer that count in this group."""
    if not group.entries or not isinstance(value, dict):
        return value
    return {key: value[key] for key in group.entries if key in value}


def _no_value(task: Task, answer: dict[str, Any]) -> tuple[str, str]:
    """Say what came instead of a value, and what to do about it."""
    ((kind, content),) = answer.items()
    if kind == "raised":
        where = f" at {content['where']}" if content["where"] else ""
        signature = f"Keep the first line: def {task.name}({', '.join(task.arguments)}):"
        misfit = (
            content["type"] == "TypeError" and f"{task.name}() " in content["message"] and "argument" in content["message"]
        )
        return f"{content['type']}: {content['message']}{where}", signature if misfit else ""
    if kind == "overran":
        return f"no answer after {content:g} s of computing", "Does a loop in it never end?"
    if kind == "unreadable":
        return content, "Return a plain Python number (or what the task asks for, made of plain numbers)."
    return f"not called: {content}", ""


def _known_mistake(task: Task, cases: list[Case], answers: list[dict[str, Any]]) -> Misconception | None:
    """Return the misconception whose wrong formula gives every one of these answers."""
    if not all("value" in answer for answer in answers):
        return None
    for misconception in task.misconceptions:
        wrong = (misconception.formula(*case) for case in cases)
        if all(compare(value, answer["value"]) is None for value, answer in zip(wrong, answers, strict=True)):
            return misconception
    return None


def compare(expected: Any, came: Any) -> tuple[str, str, str] | None:
    """Return None where `came` is right, else the texts (expected, came, advice).

    The expected value's own type says what is asked for: an int only equals an int, a float equals an int or float
    within one part in 10**9, lists and dicts are compared entry by entry, and a bool is never a number.
    """
    if isinstance(expected, dict) and isinstance(came, dict):
        return _compare_dicts(expected, came)
    if isinstance(expected, list | tuple) and isinstance(came, list):
        if len(expected) != len(came):
            return show(expected), show(came), f"There must be {len(expected)} entries, and there are {len(came)}."
        differences = (compare(e, c) for e, c in zip(expected, came, strict=True))
        advice = next((d[2] for d in differences if d), None)
        return None if advice is None else (show(expected), show(came), advice)
    right = _equal(expected, came)
    return None if right else (show(expected), show(came), _advice(expected, came))


def _compare_dicts(expected: dict[str, Any], came: dict[str, Any]) -> tuple[str, str, str] | None:
    missing = [key for key in expected if key not in came]
    extra = [key for key in came if key not in expected]
    wrong = {key: d for key in expected if key in came and (d := compare(expected[key], came[key]))}
    if not (missing or extra or wrong):
        return None
    shown = [*wrong, *missing]
    advice = [f"Missing: {', '.join(missing)}."] if missing else []
    advice += [f"Not asked for: {', '.join(extra)[:200]}."] if extra else []
    advice += list(dict.fromkeys(d[2] for d in wrong.values() if d[2]))
    return show({k: expected[k] for k in shown}), show({k: came[k] for k in wrong}), " ".join(advice)


def _equal(expected: Any, came: Any) -> bool:
    if isinstance(expected, float) and type(came) in (int, float):
        return math.isclose(expected, came, rel_tol=_RELATIVE_TOLERANCE)
    return type(expected) is type(came) and bool(expected == came)


def _advice(expected: Any, came: Any) -> str:
    """Return a sentence that helps where the kind of the answer is wrong; empty where only its value is."""
    if came is None:
        return "Your function returned nothing: does it end in `return`?"
    if isinstance(expected, bool) or type(expected) not in (int, float):
        same = type(expected) is type(came)
        return "" if same else f"Return a {type(expected).__name__}, not a {type(came).__name__}."
    if type(came) not in (int, float):
        return f"Return a number, not a {type(came).__name__}."
    if type(expected) is int and type(came) is float:
        return "Return an int, not a float: divide with // where the division is exact."
    if type(expected) is float and math.isclose(expected, came, rel_tol=5e-3):
        return "Close, but not exact: return the unrounded value."
    return ""


def show(value: Any) -> str:
    """Return a value as text: thousands separated, a dict without its braces and with each key bound to its value."""
    if isinstance(value, dict):
        return ", ".join(f"{key}:\u00a0{show(part)}" for key, part in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return f"[{', '.join(show(part) for part in value)}]"
    text = f"{value:,}" if type(value) in (int, float) else repr(value)
    return text if len(text) <= 120 else text[:120] + "…"
