"""Proves the labs: a solution earns every point and a lab as handed out none, executed and judged as grading does it."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from effkit.course.errors import CourseError
from effkit.course.grade import cell_seconds
from effkit.course.lab import ReleasedLab, of_notebook
from effkit.course.nbgrader_api import nbgrader_api
from effkit.course.pool import cores, run_here
from effkit.course.prepare import prepare
from effkit.course.preprocessors import TrustedScore
from effkit.course.work import Job, Outcome, read_outcome

SEEDS = (0, 1)  # 0 is what students see; with any other the random cases are those of grading


@dataclass(frozen=True)
class Trial:
    """One notebook of a lab that is executed with one seed."""

    lab: str
    folder: str  # "solutions" or "labs"
    seed: int

    @property
    def path(self) -> str:
        """Return the notebook's path in the course."""
        return f"{self.folder}/{self.lab}/{self.lab}.ipynb"

    @property
    def name(self) -> str:
        """Return what tells it from the others."""
        return f"{self.path} (seed {self.seed})"


def prove(root: Path, labs: Iterable[str], *, unsafe: bool, say: Callable[[str], None]) -> Iterator[str]:
    """Yield for each cell of each lab that does not score as it must: where, what came, and why.

    Raises CourseError if no notebook can be executed at all, as where there is no sandbox.
    """
    released = {lab: _released(root, lab) for lab in labs}
    trials = {
        trial.name: trial
        for lab in released
        for trial in (*(Trial(lab, "solutions", seed) for seed in SEEDS), Trial(lab, "labs", SEEDS[0]))
    }
    config = nbgrader_api(root).config
    judge, seconds = TrustedScore(config=config), cell_seconds(config)
    jobs = (_job(root, trial, released[trial.lab], seconds, unsafe) for trial in trials.values())
    for outcome in run_here(jobs, max(1, min(cores(), len(trials)))):
        if outcome.refused:
            raise CourseError(outcome.problem)
        trial = trials[outcome.student]
        yield from _judged(trial, released[trial.lab], outcome, judge, say)


def _released(root: Path, lab: str) -> ReleasedLab:
    path = root / "labs" / lab / f"{lab}.ipynb"
    try:
        return of_notebook(nbformat.read(path, as_version=4), lab)
    except Exception as problem:
        raise CourseError(f"{path} cannot be read as a notebook: run `make notebooks`") from problem


def _job(root: Path, trial: Trial, lab: ReleasedLab, seconds: float, unsafe: bool) -> Job:
    """Make a notebook ready as grading does with a submission, where the cells that grade are those handed out."""
    with tempfile.TemporaryDirectory(prefix="effkit-") as folder:
        Path(folder, f"{trial.lab}.ipynb").write_bytes((root / trial.path).read_bytes())
        ready = prepare(Path(folder), trial.name, lab, None)
    if ready.notebook is None:
        raise CourseError(f"{trial.path}: {ready.problem}")
    return Job(trial.name, nbformat.writes(ready.notebook), trial.seed, seconds, unsafe)


def _judged(
    trial: Trial, lab: ReleasedLab, outcome: Outcome, judge: TrustedScore, say: Callable[[str], None]
) -> Iterator[str]:
    if outcome.problem:
        yield f"{trial.path}: {outcome.problem}"
        return
    notebook, _ = judge.preprocess(read_outcome(outcome), {"effkit_seed": trial.seed})
    checks = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in notebook.cells}
    graded = [checks[cell.name] for cell in lab.cells.values() if cell.graded and not cell.answer]
    scores = [determine_grade(cell) for cell in graded]
    earned, points = (f"{sum(pair[i] or 0 for pair in scores):g}" for i in (0, 1))
    say(f"{trial.name}: {earned} of {points} points in {len(graded)} checks ({outcome.seconds:.1f} s)")
    for cell, (score, most) in zip(graded, scores, strict=True):
        if wrong := _as_solution(cell, score, most) if trial.folder == "solutions" else _as_stub(cell, score, most):
            yield f"{trial.path}, {cell.id}: with seed {trial.seed} it {wrong}"


def _as_solution(cell: NotebookNode, score: float | None, most: float) -> str:
    if score == most:
        return ""
    return f"scores {score or 0:g} of {most:g}: {_reason(cell) or 'no reason given'} Correct the solution or the task"


def _as_stub(cell: NotebookNode, score: float | None, most: float) -> str:
    if score:
        return (
            f"scores {score:g} of {most:g} as handed out: correct the stub or the task, so that only an answer earns points"
        )
    return "" if _reason(cell) else "scores zero as handed out and gives no reason: correct the task's check"


def _reason(cell: NotebookNode) -> str:
    """Return why a check lost points; empty if it does not say."""
    for output in cell.get("outputs", []):
        if reason := output.get("metadata", {}).get("effkit", {}).get("reason", ""):
            return str(reason)
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}."
    return ""
