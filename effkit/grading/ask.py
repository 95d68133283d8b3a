"""Calls a student's function on the cases of a task and records what it does. Never raises."""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from types import FrameType
from typing import Any

from effkit.grading.answers import one_line, plain, why_unreadable
from effkit.grading.guard import implement_yourself
from effkit.grading.task import Case, Task

_MAX_PRINTED = 4_000  # characters kept of what the student's function prints


class _OutOfTime(BaseException):
    """The CPU budget of a call is spent. Not an Exception, so that ``except Exception`` does not swallow it."""


def ask(task: Task, function: Callable[..., Any], seed: int) -> tuple[list[dict[str, Any]], str]:
    """Call `function` on every case of the task; return its answers (see `answers`) and what it printed.

    After a call that overran or was interrupted, the rest are not made.
    """
    printed = _Head()
    answers: list[dict[str, Any]] = []
    for _, case in task.cases(seed):
        if answers and (stopped := _why_stopped(answers[-1])):
            answers.append({"skipped": stopped})
            continue
        with redirect_stdout(printed), redirect_stderr(printed):
            answers.append(_answer(task, function, case))
    return answers, printed.getvalue()


def _why_stopped(answer: dict[str, Any]) -> str:
    if "overran" in answer:
        return "an earlier call did not come back"
    if answer.get("raised", {}).get("type") == "KeyboardInterrupt":
        return "the check was interrupted"
    return answer.get("skipped", "")


def _answer(task: Task, function: Callable[..., Any], case: Case) -> dict[str, Any]:
    try:
        arguments = task.call_arguments(case)
        with implement_yourself(), _cpu_limit(task.cpu_budget_s):
            value = plain(function(*arguments))
        problem = why_unreadable(value)
        return {"unreadable": problem} if problem else {"value": value}
    except _OutOfTime:
        return {"overran": task.cpu_budget_s}
    except BaseException as error:  # noqa: BLE001  whatever the student's code does, the check reports it
        where, of = _where(error)
        raised = {"type": type(error).__name__, "message": _message(error), "where": where, "function": of}
        return {"raised": {key: one_line(value)[:300] for key, value in raised.items()}}


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001  an exception of the student's own, whose __str__ fails
        return ""


def _where(error: BaseException) -> tuple[str, str]:
    """Return the last line of the student's own code that the exception passed through, and its function."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if "/effkit/" not in f.filename.replace("\\", "/")]
    in_cell = [f for f in own if "ipykernel" in f.filename or f.filename.startswith("<")] or own
    if not in_cell:
        return "", ""
    frame = in_cell[-1]
    line = (frame.line or "").strip()
    return (f"line {frame.lineno}: {line}" if line else f"line {frame.lineno}"), frame.name


@contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    """Raise _OutOfTime in the block after `seconds` of this process's CPU time, and again every second after.

    CPU time, so that a busy machine times nobody out. Without signals (Windows, or outside the main thread) there is
    no limit; the notebook's stop button still works.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    running = True

    def stop(signum: int, frame: FrameType | None) -> None:
        if running:
            raise _OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        yield
    finally:
        running = False  # first of all: an alarm that comes now must not prevent the rest
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class _Head(StringIO):
    """Keeps the first characters written to it and drops the rest."""

    def write(self, written: str) -> int:
        room = _MAX_PRINTED - self.tell()
        if room > 0:
            super().write(written[:room].encode("utf-8", "backslashreplace").decode())
        return len(written)
