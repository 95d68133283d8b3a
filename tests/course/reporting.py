"""Made-up classes for tests of the report: a lab's results as grading leaves them, without grading anything."""

from random import Random
from typing import Any

from effkit.course.records import GRADED, MANUAL, NOT_GRADED, Record
from effkit.course.report.gather import Results
from effkit.course.roster import Person
from effkit.grading.tasks import find, tasks_of

LAB = "lab2_parameters"
WRITTEN = "wide_or_deep"  # the task that a person grades
POINTS = {task.name: float(task.points) for task in tasks_of(LAB)} | {WRITTEN: 2.0}
_NAMES = ("Ann", "Bo", "Chen", "Dita", "Emre", "Fatou", "Goran", "Hana", "Ines", "Jun", "Kofi", "Léa")
_FAMILIES = ("Adler", "Bergström", "Cruz", "Dvořák", "Eze", "Fontaine", "García", "Haddad", "Ito", "Jensen", "O'Neil")


def record(student: str, scores: dict[str, float | None] | None = None, **more: Any) -> Record:
    """Return the record of a graded student; tasks that are not named have full points."""
    own: dict[str, float | None] = POINTS | (scores or {})
    given = {"status": MANUAL if None in own.values() else GRADED, "scores": own} | more
    given = {"score": sum(value or 0 for value in own.values()), "max_score": sum(POINTS.values())} | given
    return Record(student, **({"level": "bubblewrap", "seconds": 2.5, "seed": 7, "key": "a:b", "graded": "c"} | given))


def not_graded(student: str, problem: str = "it is not JSON. To grade it, ask the student to submit it again.") -> Record:
    return Record(student, NOT_GRADED, problem=problem)


def results(*records: Record, **more: Any) -> Results:
    return Results(LAB, tuple(sorted(records, key=lambda one: one.student)), POINTS, **more)


def person(student: str, number: int = 1) -> Person:
    return Person(student, "Ann", "Example", f"{student}@uni.example", str(1000 + number))


def class_of(size: int, seed: int = 1, *, waiting: float = 0.3) -> Results:
    """Return a class as one might be: mixed abilities, mistakes that come often, a few odd things; one badly posed task."""
    r = Random(seed)
    people = {}
    records = []
    for number in range(size):
        student = f"s{20240000 + number * 37}"
        first, last = r.choice(_NAMES), r.choice(_FAMILIES)
        people[student] = Person(student, first, last, f"{student}@uni.example", str(5000 + number))
        broken = r.random()
        if broken < 0.03:
            records.append(not_graded(student) if broken < 0.02 else not_graded(student, "there is no notebook. Ask again."))
            continue
        records.append(_student(student, r, waiting))
    without = {f"s9{number}": Person(f"s9{number}", "Zoë", f"Absent{number}") for number in range(size // 15)}
    return results(*records, people=people | without, without=tuple(without))


def _student(student: str, r: Random, waiting: float) -> Record:
    ability = r.gauss(0.72, 0.17)
    scores: dict[str, float | None] = {}
    mistakes, wrong, reasons = {}, {}, {}
    for place, (task, points) in enumerate(POINTS.items()):
        chance = r.random() if task == "norm_params" else ability - 0.04 * place + r.gauss(0.15, 0.2)
        scores[task] = points if chance > 0.5 else float(int(points * max(0, chance)))
        known = find(task)
        if chance <= 0.5 and known and r.random() < 0.7:
            mistakes[task] = r.choice(known.misconceptions[: 2 + place % 3]).name
        elif chance <= 0.5 and known and r.random() < 0.3:
            wrong[task], reasons[task] = f"d{r.randrange(5)}", "for (3, 8, [5, 5]) 608 was expected and 600 came"
    if r.random() < waiting:
        scores[WRITTEN] = None
    made = record(student, scores, misconceptions=mistakes, wrong=wrong, reasons=reasons, seconds=round(r.uniform(1, 6), 2))
    made.findings = _findings(r)
    made.flags = _flags(r, wrong)
    return made


def _findings(r: Random) -> list[dict[str, Any]]:
    found = []
    if r.random() < 0.15:
        sentence = "the cell conv_params is there twice: the copy without an answer is removed."
        found.append({"kind": "duplicated", "cell": "conv_params", "sentence": sentence, "repaired": True})
    if r.random() < 0.1:
        sentence = "there is no lab2_parameters.ipynb. lab2 (1).ipynb is taken for it: rename it."
        found.append({"kind": "renamed", "cell": "", "sentence": sentence, "repaired": True})
    if r.random() < 0.02:
        sentence = "timestamp.txt holds no date ('yesterday'), so no lateness is counted: correct it and grade again."
        found.append({"kind": "timestamp", "cell": "", "sentence": sentence, "repaired": False})
    return found


def _flags(r: Random, wrong: dict[str, str]) -> list[dict[str, Any]]:
    found = []
    if r.random() < 0.06:
        text = r.choice(["from effkit import counts", "return effkit.counts.conv_params(in_channels, out_channels, k)"])
        found.append({"kind": "reference used", "cell": "conv_params-solution", "line": r.randint(1, 5), "text": text})
    if r.random() < 0.01:
        text = "sys.settrace(lambda *a: None)"
        found.append({"kind": "interpreter hook", "cell": "linear_params-solution", "line": 3, "text": text})
    if wrong and r.random() < 0.1:
        text = "the same wrong answers as another"
        found.append({"kind": "identical wrong answers", "cell": next(iter(wrong)), "line": 0, "text": text})
    return found
