"""What a person should see beside the scores: who needs attention, which mistakes, which flags, what was repaired."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from effkit.course.records import NO_FEEDBACK, NOT_GRADED, Record
from effkit.course.report.gather import Results
from effkit.grading.tasks import find

MEANINGS = {
    "reference used": "The code calls effkit's own counters, which are the reference.",
    "interpreter hook": "The code reaches into Python or Jupyter, where results could be changed.",
    "system access": "The code uses modules that reach the system or the inside of Python.",
    "library changed": "The code puts something else in the place of a library's function.",
    "operator of its own": "The code defines how its objects compare or turn into numbers.",
    "forged result": "The code names the format in which answers are handed to the grader.",
    "identical wrong answers": "A few students give the same wrong answers, of a kind that nobody else gives.",
}


_TITLES = {"run": "trouble in the kernel"}  # of a kind of finding, where its own name says too little


@dataclass(frozen=True)
class Matter:
    """Something that concerns some students: what it is and what to do."""

    title: str
    text: str
    students: tuple[str, ...]
    advice: str = ""


def attention(results: Results) -> list[Matter]:
    """Return what needs a person, most urgent first; flags and written answers are one line each."""
    lab = results.lab
    again = f"Put the mended notebook into submitted/STUDENT/{lab}/ and run `effkit grade {lab}` again."
    matters = [Matter("Take note", notice, ()) for notice in results.notices]
    matters += _alike("Not graded", results, NOT_GRADED, again)
    matters += _alike("No feedback page", results, NO_FEEDBACK, f"Run `effkit grade {lab}` again.")
    if results.new:
        matters.append(Matter("Not graded yet", "Handed in since the last run.", results.new, f"Run `effkit grade {lab}`."))
    if results.changed:
        text = "Handed in again since it was graded: the scores here are those of the earlier submission."
        matters.append(Matter("Changed", text, results.changed, f"Run `effkit grade {lab}`."))
    if results.misplaced:
        text = f"No student's folder, so grading does not find: {', '.join(results.misplaced)}."
        matters.append(Matter("Left out", text, (), f"Move each to submitted/STUDENT/{lab}/{lab}.ipynb and grade again."))
    matters += [Matter(f"To look at: {m.title}", m.text, m.students, m.advice) for m in findings(results, repaired=False)]
    flagged = tuple(record.student for record in results.records if record.flags)
    if flagged:
        advice = "Read the evidence under “Integrity flags” before you say anything to anybody."
        matters.append(Matter("Integrity flags", "Something in the code or the answers is unusual.", flagged, advice))
    return matters


def by_hand(results: Results) -> list[Matter]:
    """Return the tasks whose answers wait for a person."""
    waiting = {
        task: tuple(r.student for r in results.graded if task in r.scores and r.scores[task] is None)
        for task in results.points
    }
    advice = "Grade it in formgrader (JupyterLab, menu Nbgrader), then make this report again."
    return [Matter(task, "The answer waits for a person.", who, advice) for task, who in waiting.items() if who]


def _alike(title: str, results: Results, status: str, advice: str) -> list[Matter]:
    """Return the students of one status, those with the same problem together, the most frequent first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for record in results.records:
        if record.status == status:
            groups[record.problem].append(record.student)
    return [Matter(title, problem, tuple(who), advice) for problem, who in _largest_first(groups)]


def _largest_first(groups: dict[Any, list[str]]) -> list[tuple[Any, list[str]]]:
    return sorted(groups.items(), key=lambda group: (-len(group[1]), str(group[0])))


@dataclass(frozen=True)
class Mistake:
    """A known mistake of a task, and who made it."""

    task: str
    name: str
    hint: str
    students: tuple[str, ...]
    share: float  # of the graded students


def mistakes(results: Results) -> list[Mistake]:
    """Return the known mistakes that were made, the most frequent first."""
    groups: dict[Any, list[str]] = defaultdict(list)
    for record in results.graded:
        for task, name in record.misconceptions.items():
            groups[task, name].append(record.student)
    return [
        Mistake(task, name, _hint(task, name), tuple(who), len(who) / len(results.graded))
        for (task, name), who in _largest_first(groups)
    ]


def _hint(task: str, name: str) -> str:
    found = find(task)
    return next((known.hint for known in found.misconceptions if known.name == name), "") if found else ""


@dataclass(frozen=True)
class Evidence:
    """One place in a notebook, or one set of answers, that some students share."""

    cell: str
    line: int
    text: str
    students: tuple[str, ...]


@dataclass(frozen=True)
class Flags:
    """All flags of one kind."""

    kind: str
    meaning: str
    evidence: tuple[Evidence, ...]
    students: int


def flags(results: Results) -> list[Flags]:
    """Return the integrity flags by kind, those that concern most students first; the same evidence stands once."""
    kinds: dict[str, dict[Any, list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in results.records:
        for flag in record.flags:
            kinds[flag["kind"]][_evidence(flag, record)].append(record.student)
    found = []
    for kind, groups in kinds.items():
        evidence = [
            Evidence(cell, line, text, tuple(dict.fromkeys(who))) for (cell, line, text, _), who in sorted(groups.items())
        ]
        students = len({student for one in evidence for student in one.students})
        found.append(Flags(kind, MEANINGS.get(kind, ""), tuple(evidence), students))
    return sorted(found, key=lambda one: (-one.students, one.kind))


def _evidence(flag: dict[str, Any], record: Record) -> tuple[str, int, str, str]:
    if flag["kind"] != "identical wrong answers" or flag["cell"] not in record.wrong:
        return flag["cell"], flag["line"], flag["text"], ""
    reason = record.reasons.get(flag["cell"], "")  # of one of them: it says what was answered, and to what
    return flag["cell"], 0, reason or "the same wrong answers", record.wrong[flag["cell"]]


def findings(results: Results, *, repaired: bool) -> list[Matter]:
    """Return what the doctor repaired, or could not, by kind; each with one of its sentences as the example."""
    groups: dict[Any, list[str]] = defaultdict(list)
    sentences: dict[str, str] = {}
    for record in results.records:
        if record.status == NOT_GRADED and not repaired:
            continue  # it is the reason why, and stands there
        for finding in record.findings:
            if finding["repaired"] is repaired:
                groups[finding["kind"]].append(record.student)
                sentences.setdefault(finding["kind"], finding["sentence"])
    return [
        Matter(_TITLES.get(kind, kind), sentences[kind], tuple(dict.fromkeys(who))) for kind, who in _largest_first(groups)
    ]


@dataclass(frozen=True)
class Runs:
    """How the submissions were run."""

    levels: tuple[tuple[str, int], ...]  # of isolation, and how many submissions
    seeds: tuple[tuple[int, int], ...]
    median_s: float | None
    slowest: tuple[tuple[str, float], ...]


def runs(results: Results) -> Runs:
    """Return the sandbox levels, seeds and seconds of those that were graded."""
    seconds = [record.seconds for record in results.graded]
    slowest = sorted(((r.student, r.seconds) for r in results.graded), key=lambda one: (-one[1], one[0]))[:3]
    return Runs(
        _counted(record.level or "unknown" for record in results.graded),
        _counted(record.seed for record in results.graded if record.seed is not None),
        median(seconds) if seconds else None,
        tuple(slowest),
    )


def _counted(values: Iterable[Any]) -> tuple[tuple[Any, int], ...]:
    return tuple(sorted(Counter(values).items(), key=lambda one: (-one[1], str(one[0]))))
