"""What a lab notebook calls: `begin`, `check` after each task, `progress` at the end."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import effkit
from effkit.grading import report
from effkit.grading.answers import MIME, bundle
from effkit.grading.ask import ask
from effkit.grading.judge import Verdict, judge
from effkit.grading.tasks import LABS, find, tasks_of

SEED_VARIABLE = "EFFKIT_SEED"  # the grader sets it for each run; without it every check uses seed 0
_needed_version = ""  # of effkit, as the lab that runs here says
_last: dict[str, Verdict] = {}  # the latest verdict of each task in this kernel


@dataclass(frozen=True)
class Shown:
    """Something a notebook displays: plain text (`repr`), HTML, and what else its display bundle carries."""

    plain: str
    html: str
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.plain

    def __str__(self) -> str:
        return self.text or self.plain

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": self.plain, "text/html": self.html, **self.data}


def check(name: str, function: Callable[..., Any]) -> Shown:
    """Run `function` on the cases of the task `name`, judge what it returns, and show the result.

    Never raises. As the last line of a cell it displays one output that holds the score (text), the findings (HTML) and
    the answers (JSON) that grading judges again. `print(check(...))` gives the findings as text.
    """
    task = find(name) if isinstance(name, str) else None
    if task is None:
        close = get_close_matches(str(name), [t.name for lab in LABS for t in tasks_of(lab)], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return _verdict_shown(Verdict(str(name), 0, problem=f"effkit knows no task of this name.{hint}"))
    if not callable(function):
        problem = f"check needs the function itself, check({name!r}, {name}), not a {type(function).__name__}."
        return _verdict_shown(Verdict(name, task.points, problem=problem))
    seed = run_seed()
    answers, printed = ask(task, function, seed)
    verdict = _last[name] = judge(task, answers, seed)
    if os.environ.get("NBGRADER_VALIDATING") and verdict.score < verdict.points:
        # The Validate button executes a copy of the notebook and shows only what a failing check writes to stderr.
        print(report.text(verdict, version_notes()), file=sys.stderr)
    return _verdict_shown(verdict, printed, {MIME: bundle(task, seed, answers, effkit.__version__)})


def _verdict_shown(verdict: Verdict, printed: str = "", data: dict[str, Any] | None = None) -> Shown:
    notes = version_notes()
    text, html = report.text(verdict, notes), report.html(verdict, notes, printed)
    return Shown(f"{verdict.score:g}", html, text, data or {})


def run_seed() -> int:
    """Return the seed of the random cases: the grader's, or 0."""
    value = os.environ.get(SEED_VARIABLE, "0")
    return int(value) if value.isdecimal() else 0


def begin(lab: str, *, effkit_version: str) -> Shown:
    """Say what the lab holds, and remember which effkit it was written for."""
    global _needed_version
    _needed_version = effkit_version
    tasks = tasks_of(lab)
    line = f"{lab}: {len(tasks)} checked tasks, {sum(task.points for task in tasks)} points; effkit {effkit.__version__}"
    text = "\n".join([line, *version_notes()])
    return Shown(text, f"<p>{'<br>'.join([line, *version_notes()])}</p>")


def version_notes() -> list[str]:
    """Return a sentence if the installed effkit is not the one that the lab needs."""
    needed, installed = _numbers(_needed_version), _numbers(effkit.__version__)
    if not needed or (needed[:2] == installed[:2] and installed >= needed):
        return []
    return [
        f"This lab was written for effkit {_needed_version}, and effkit {effkit.__version__} is installed: its checks may"
        " differ. Install the version that the lab needs and restart the kernel."
    ]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def progress(lab: str) -> Shown:
    """Show every task of the lab with what its latest check in this kernel earned."""
    rows = []
    for task in tasks_of(lab):
        verdict = _last.get(task.name)
        how = report.state(verdict) if verdict else "not checked yet"
        rows.append((task.name, verdict.score if verdict else 0, task.points, how))
    return Shown(report.progress_text(rows), report.progress_html(rows))
