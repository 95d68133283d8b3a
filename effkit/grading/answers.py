"""Answers as plain JSON: what a student's kernel hands to the judge, and how the judge reads it without trusting it.

An answer is a dict with one key:
``{"value": ...}`` what the function returned, as plain JSON;
``{"raised": {"type", "message", "where", "function"}}`` the exception it raised, the line, and the function of that line;
``{"overran": seconds}`` the CPU time after which it was stopped;
``{"unreadable": text}`` why what it returned is not plain data;
``{"skipped": reason}`` why it was not called.
"""

import json
import math
import unicodedata
from typing import Any

from effkit.grading.task import Task

MIME = "application/vnd.effkit.answers+json"
FORMAT = 1
RAISED = ("type", "message", "where", "function")
_MAX_CHARACTERS = 10_000  # of one answer, as JSON
_MAX_DEPTH = 6


class UnreadableAnswers(ValueError):
    """A bundle that cannot be judged; the message is for the student."""


def bundle(task: Task, seed: int, answers: list[dict[str, Any]], version: str) -> dict[str, Any]:
    """Return the JSON object that carries one check's answers to the judge."""
    return {"format": FORMAT, "effkit": version, "task": task.name, "seed": seed, "answers": answers}


def read_bundle(data: Any, task: Task, seed: int) -> list[dict[str, Any]]:
    """Return the answers of a bundle made anywhere, or raise UnreadableAnswers with the reason.

    Nothing in `data` is trusted: it must have exactly the expected types, belong to this task and this run's seed, and
    hold one answer for each case.
    """
    if type(data) is not dict or type(data.get("format")) is not int or data["format"] != FORMAT:  # True equals 1
        raise UnreadableAnswers("The answers are not in the form that effkit writes.")
    if data.get("task") != task.name:
        raise UnreadableAnswers(f"The answers belong to the task {_short(data.get('task'))}, not to {task.name!r}.")
    if type(data.get("seed")) is not int or data["seed"] != seed:
        raise UnreadableAnswers("The answers were not made in this run: their seed is another.")
    answers, expected = data.get("answers"), len(task.cases(seed))
    if type(answers) is not list or len(answers) != expected:
        raise UnreadableAnswers(f"There must be {expected} answers, one for each call.")
    return [_read_answer(answer) for answer in answers]


def _read_answer(answer: Any) -> dict[str, Any]:
    if type(answer) is not dict or len(answer) != 1:
        raise UnreadableAnswers("An answer is not in the form that effkit writes.")
    ((kind, content),) = answer.items()
    if kind == "value":
        problem = why_unreadable(content)
        return {"unreadable": problem} if problem else answer
    if kind == "raised" and type(content) is dict:
        return {"raised": {key: _short(content.get(key, ""), quote=False) for key in RAISED}}
    if kind == "overran" and type(content) is float and math.isfinite(content):
        return answer
    if kind in ("unreadable", "skipped") and type(content) is str:
        return {kind: _short(content, quote=False)}
    raise UnreadableAnswers("An answer is not in the form that effkit writes.")


def one_line(value: str) -> str:
    """Return a text that can be written to a file: what is not valid Unicode is escaped, and it is one line."""
    return " ".join(value.encode("utf-8", "backslashreplace").decode().split())


def printable(value: str) -> str:
    """Return a text that moves no cursor, reorders nothing and hides nothing: what cannot be seen is escaped."""
    return "".join(c if is_seen(c) else c.encode("unicode_escape").decode() for c in value)


def is_seen(text: str) -> bool:
    """Whether all characters of a text are letters, marks and blanks that show where they stand."""
    return all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text)


def short_text(value: Any) -> str:
    """Return a text from elsewhere as one line of bounded length; anything but a text as the name of its type."""
    return _short(value, quote=False)


def _short(value: Any, *, quote: bool = True, limit: int = 300) -> str:
    line = one_line(value[: 2 * limit]) if type(value) is str else type(value).__name__
    line = line if len(line) <= limit else line[:limit] + "…"
    return repr(line) if quote else line


def plain(value: Any) -> Any:
    """Return what a student's function returned as plain JSON data.

    Numbers, arrays and tensors of numpy and torch become Python numbers and lists, tuples become lists. Anything else is
    returned as it is, for `why_unreadable` to name.
    """
    if hasattr(value, "tolist") and not isinstance(value, type):
        value = value.tolist()
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


def why_unreadable(value: Any, depth: int = 0) -> str | None:
    """Return why `value` is not plain JSON data of a reasonable size, as a noun phrase, or None if it is."""
    if depth > _MAX_DEPTH:
        return "data nested too deeply"
    if type(value) is float and not math.isfinite(value):
        return f"{value}, which is not a finite number"
    if type(value) is int and value.bit_length() > 1000:
        return "an integer of more than 300 digits"
    if type(value) is list or type(value) is dict:
        if len(value) > _MAX_CHARACTERS:
            return f"a {type(value).__name__} of {len(value):,} entries, far more than any answer has"
        if type(value) is dict and not all(type(key) is str for key in value):
            return "a dict whose keys are not all strings"
        parts = value.values() if type(value) is dict else value
        problem = next(filter(None, (why_unreadable(part, depth + 1) for part in parts)), None)
        if problem or depth:
            return problem
    elif type(value) is str and not value.isascii() and value.encode("utf-8", "replace").decode() != value:
        return "text that is not valid Unicode"
    elif type(value) not in (int, float, bool, str, type(None)):
        name = type(value).__name__
        return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name} object, which is not a plain number"
    if depth == 0 and len(json.dumps(value)) > _MAX_CHARACTERS:
        return f"more than {_MAX_CHARACTERS:,} characters of data, far more than any answer has"
    return None
