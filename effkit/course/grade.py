"""Grades every submission of a lab. A bad one ends as a row with a reason and stops nothing; a killed run is resumed."""

import errno
import json
import logging
import os
import secrets
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from effkit.course import integrity, prepare
from effkit.course.errors import CourseError
from effkit.course.gradebook import Book, only_grader
from effkit.course.lab import ReleasedLab, read_lab
from effkit.course.nbgrader_api import nbgrader_api
from effkit.course.pool import cores, run_here
from effkit.course.record_lab import record_lab
from effkit.course.records import NOT_GRADED, Record, Records
from effkit.course.results import Finisher
from effkit.course.table_csv import write_csv
from effkit.course.work import Job, Outcome

Executor = Callable[[Iterable[Job], int], Iterator[Outcome]]


@dataclass(frozen=True)
class Options:
    """How to grade."""

    students: tuple[str, ...] = ()  # () is everybody
    force: bool = False
    jobs: int = 0  # 0 is one for each processor
    seed: int | None = None
    unsafe: bool = False
    execute: Executor = run_here


class Watch:
    """Is told what happens; the command line shows it."""

    def begin(self, total: int, unchanged: int, seed: int) -> None:
        """Be told how many submissions will be graded, how many are as they were, and the seed."""

    def done(self, record: Record) -> None:
        """Be told of one submission that was dealt with in this run."""


def quieten() -> None:
    """Silence what helps nobody who grades: notes of nbgrader's database layer, of cell ids, of kernels that died."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    for module in ("nbgrader.api", "nbformat"):
        warnings.filterwarnings("ignore", module=module)


def grade(root: Path, lab: str, options: Options = Options(), watch: Watch | None = None) -> list[Record]:
    """Grade the submissions of `lab` and return a record for each student, by name.

    Reads ``submitted/STUDENT/LAB/``; writes ``autograded/``, the gradebook, ``feedback/STUDENT/LAB/LAB.html``,
    ``grades/LAB.csv`` and ``grades/LAB.json``. A submission that was graded and has not changed since is not run again. One
    that cannot be graded changes none of what an earlier run gave its student.

    Raises CourseError if there is no such lab or submission, or if nothing could be recorded.
    """
    root = root.resolve()
    students = _submitted_students(root, lab, options.students)
    with only_grader(root), _disk_space():
        return _Run(root, lab, options, watch or Watch()).grade(students)


class _Run:
    """One run over a lab."""

    def __init__(self, root: Path, lab: str, options: Options, watch: Watch) -> None:
        self.root, self.lab, self.options, self.watch = root, lab, options, watch
        self.api = nbgrader_api(root)
        self.records = Records(root, lab)
        self.prepared: dict[str, prepare.Prepared] = {}
        self.seeds: dict[str, int] = {}

    def grade(self, students: list[str]) -> list[Record]:
        """Grade, and write down all that came of it."""
        book = Book(self.api, self.lab)
        try:
            book.check_writable()
            book.back_up(self.root / "grades" / "backups")
            self.records.lab_digest = record_lab(self.root, self.lab, book, self.records.lab_digest)
            self.released = read_lab(self.root, self.lab)
            self.finisher = Finisher(self.api, self.root, self.lab, book)
            self._grade(students, book)
        finally:
            book.close()
        everybody = [self.records.by_student[student] for student in sorted(self.records.by_student)]
        integrity.flag_identical(everybody)
        self.records.close(seed=self.seed, tasks=points_of(self.released))
        write_csv(self.root / "grades" / f"{self.lab}.csv", self.lab, everybody)
        return [self.records.by_student[student] for student in students]

    def _grade(self, students: list[str], book: Book) -> None:
        self.rest = key_parts(self.root, self.released)
        keys = {student: self._key(student) for student in students}
        unchanged = [s for s in students if not self.options.force and self._is_unchanged(s, keys[s])]
        todo = [student for student in students if student not in set(unchanged)]
        given = self.options.seed
        self.seed = 1 + secrets.randbelow(2**31 - 1) if given is None else given  # 0 is what students see
        self.watch.begin(len(todo), len(unchanged), self.seed)
        for student in unchanged:
            self.finisher.read_grades(self.records.by_student[student])
        kernelspec = book.kernelspec()
        jobs = self._jobs(todo, keys, kernelspec)
        for outcome in self.options.execute(jobs, self._workers(len(todo))):
            if outcome.refused:
                raise CourseError(outcome.problem)
            self._finish(outcome, keys[outcome.student])

    def _workers(self, jobs: int) -> int:
        return max(1, min(self.options.jobs or cores(), jobs))

    def _key(self, student: str) -> str:
        return prepare.submission_key(self.root / "submitted" / student / self.lab, *self.rest)

    def _is_unchanged(self, student: str, key: str) -> bool:
        record = self.records.by_student.get(student)
        return bool(record and record.done and record.key == key and self.finisher.is_in_place(record))

    def _jobs(self, students: list[str], keys: dict[str, str], kernelspec: str | None) -> Iterator[Job]:
        """Prepare one submission after another; one that cannot be run is dealt with here."""
        for student in students:
            if problem := prepare.bad_name(student) or _bad_folder(self.root / "submitted" / student):
                ready = prepare.Prepared(student, None, (), problem)
            else:
                ready = prepare.prepare(self.root / "submitted" / student / self.lab, student, self.released, kernelspec)
            self.prepared[student] = ready
            if ready.notebook is None:
                self._finish(Outcome(student, problem=ready.problem), keys[student])
                continue
            text, seed = json.dumps(ready.notebook), self._seed_of(student, keys[student])
            yield Job(student, text, seed, cell_seconds(self.api.config), self.options.unsafe)

    def _seed_of(self, student: str, key: str) -> int:
        """Return the seed for a submission: one that has not changed keeps its own unless another was asked for."""
        earlier = self.records.by_student.get(student)
        kept = earlier.seed if earlier and earlier.key == key and self.options.seed is None else None
        self.seeds[student] = self.seed if kept is None else kept
        return self.seeds[student]

    def _finish(self, outcome: Outcome, key: str) -> None:
        ready = self.prepared.pop(outcome.student)
        earlier = self.records.by_student.get(outcome.student, Record(outcome.student))
        findings = [asdict(finding) for finding in ready.findings]
        findings += [{"kind": "run", "cell": "", "sentence": note, "repaired": True} for note in outcome.notes]
        if outcome.problem:
            record = replace(earlier, status=NOT_GRADED, problem=_problem(outcome.problem, earlier), findings=findings)
        else:
            record = Record(outcome.student, findings=findings, level=outcome.level, seconds=round(outcome.seconds, 2))
            record.key, record.seed = key, self.seeds[outcome.student]
            ours = [cell.source for cell in self.released.layout if not cell.answer]
            if ready.notebook is not None:
                record.flags = integrity.scan(ready.notebook, ours)
            record = self.finisher.finish(record, outcome, ready, earlier)
        self.records.add(record)
        self.watch.done(record)


def cell_seconds(config: Any) -> float:
    """Return how long a cell may compute, by nbgrader's configuration."""
    configured = config.ExecutePreprocessor.get("timeout", Job.cell_seconds)
    return configured if isinstance(configured, int | float) and configured > 0 else Job.cell_seconds


def key_parts(root: Path, lab: ReleasedLab) -> tuple[str, ...]:
    """Return what decides the result of any submission, besides the submission."""
    config = (root / "nbgrader_config.py").read_text(encoding="utf-8")
    return lab.name, prepare.lab_digest(lab), prepare.effkit_digest(), config


def _problem(problem: str, earlier: Record) -> str:
    return f"{problem} | The scores are from an earlier run." if earlier.scores else problem


def points_of(lab: ReleasedLab) -> dict[str, Any]:
    """Return the points of every graded cell of a lab, in the lab's order."""
    return {cell.name: cell.own["points"] for cell in lab.cells.values() if cell.graded}


def _labs(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("solutions/*/*.ipynb") if path.stem == path.parent.name)


def check_lab(root: Path, lab: str) -> None:
    """Raise CourseError if there is no such lab."""
    if lab not in _labs(root):
        raise CourseError(f"there is no lab {lab!r} in solutions/; the labs are: {', '.join(_labs(root)) or 'none'}")


def _submitted_students(root: Path, lab: str, wanted: Collection[str]) -> list[str]:
    check_lab(root, lab)
    students = sorted(path.parent.name for path in root.glob(f"submitted/*/{lab}") if path.is_dir())
    if unknown := sorted(set(wanted) - set(students)):
        raise CourseError(f"no submission of {lab} by {', '.join(unknown)}: it would be at submitted/{unknown[0]}/{lab}/")
    if not students:
        raise CourseError(
            f"no submissions of {lab}: put each student's notebook at submitted/STUDENT/{lab}/{lab}.ipynb and run this again"
        )
    return [student for student in students if not wanted or student in wanted]


def misplaced(root: Path) -> list[Path]:
    """Return the notebooks under submitted/ that no lab's grading will find, because of where they are."""
    labs = _labs(root)
    submitted = root / "submitted"
    return [
        path.relative_to(root)
        for path in sorted(submitted.rglob("*.ipynb"))
        if path.parent.name not in labs or path.parent.parent.parent != submitted
        if ".ipynb_checkpoints" not in path.parts
    ]


def _bad_folder(folder: Path) -> str:
    """Return why a student's folder is not looked into, or an empty string if it is."""
    return "the student's folder is a link to another one, which is not followed" if folder.is_symlink() else ""


class _disk_space:  # noqa: N801  used as a function
    """Turns a full disk into a sentence."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            where = os.fspath(problem.filename or "the course folder")
            raise CourseError(
                f"the disk is full ({where}): free some space and run this again; what was graded so far is kept"
            ) from problem
