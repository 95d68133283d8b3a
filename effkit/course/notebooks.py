"""Builds the notebooks: source -> solution notebook -> student lab, and source -> lecture.

The sources (``solutions/LAB/LAB.py`` and ``lectures/NN_topic.py``, jupytext percent) are edited by hand; the notebooks are
generated and committed. Cell headers carry nbgrader's metadata, with only what differs from the defaults written out.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import effkit
from effkit.course.lectures import build_lecture, needs_run, run_lecture
from effkit.course.nbgrader_api import CourseError, nbgrader_api
from effkit.course.source import Course, add_badge_and_setup, as_text, finish, read_source
from effkit.course.stamp import is_as_built
from effkit.grading.tasks import find

_BEGIN = """\
from effkit.grading import begin

begin("{lab}", effkit_version="{version}")"""
_DEFAULTS = {"grade": False, "solution": False, "task": False, "schema_version": 3}


def build(course: Course, *, rerun: bool = False) -> dict[Path, str]:
    """Return the text of every generated notebook, by its path within the course. Writes nothing and runs nothing.

    A lecture whose source changed, or with `rerun` each lecture, has no outputs yet; `write` runs it.
    """
    solutions = {lab: build_solution(course, lab) for lab in course.labs()}
    built = {Path("solutions", lab, f"{lab}.ipynb"): text for lab, text in solutions.items()}
    built |= {Path("labs", lab, f"{lab}.ipynb"): text for lab, text in release(course, solutions).items()}
    lectures = {lecture: build_lecture(course, lecture, rerun=rerun) for lecture in course.lectures()}
    return built | {Path("lectures", f"{lecture}.ipynb"): text for lecture, text in lectures.items()}


def build_solution(course: Course, lab: str) -> str:
    """Return the solution notebook of a lab, generated from its source."""
    source = course.root / "solutions" / lab / f"{lab}.py"
    notebook = read_source(source)
    _add_first_cells(notebook, course, lab)
    for cell in notebook.cells:
        own = cell.metadata.get("nbgrader")
        if own:
            cell.metadata["nbgrader"] = _complete(own, cell, source)
        if own and own.get("grade") and cell.cell_type == "code":
            cell.metadata["tags"] = ["raises-exception"]  # a check that cannot run does not stop "Run All"
    finish(notebook)
    return as_text(notebook)


def _add_first_cells(notebook: NotebookNode, course: Course, lab: str) -> None:
    """Put the badge and the setup cell under the title, and then the cell that begins the lab."""
    setup, begin = ({"nbgrader": {"grade_id": grade_id, "locked": True}} for grade_id in ("setup", "begin"))
    add_badge_and_setup(notebook, course, Path("labs", lab, f"{lab}.ipynb"), setup)
    source = _BEGIN.format(lab=lab, version=effkit.__version__)
    notebook.cells.insert(2, nbformat.v4.new_code_cell(source, metadata=begin))


def _complete(own: dict[str, Any], cell: NotebookNode, source: Path) -> dict[str, Any]:
    """Return a cell's nbgrader metadata with the defaults; a check cell's points are those of its task."""
    metadata: dict[str, Any] = {**_DEFAULTS, **own}
    metadata.setdefault("locked", not metadata["solution"])
    if metadata["grade"] and cell.cell_type == "code":
        task = find(metadata["grade_id"])
        if task is None:
            raise CourseError(f"{source}: the check cell {metadata['grade_id']!r} has no task of that name")
        metadata["points"] = task.points
    return dict(sorted(metadata.items()))


def release(course: Course, solutions: dict[str, str]) -> dict[str, str]:
    """Return the student version of each solution notebook, made by nbgrader in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        shutil.copy(course.root / "nbgrader_config.py", scratch)
        for lab, text in solutions.items():
            (scratch / "solutions" / lab).mkdir(parents=True)
            (scratch / "solutions" / lab / f"{lab}.ipynb").write_text(text, encoding="utf-8")
        api = nbgrader_api(scratch)
        for lab in solutions:
            api.run(f"making the student version of {lab}", "generate_assignment", lab)
        return {lab: (scratch / "labs" / lab / f"{lab}.ipynb").read_text(encoding="utf-8") for lab in solutions}


def write(course: Course, built: dict[Path, str], *, force: bool = False) -> list[Path]:
    """Write the generated notebooks that changed, running the lectures among them, and return their paths.

    A notebook that somebody has worked in is never lost: unless git has it or a build wrote it, nothing at all is
    written and CourseError names it. With `force` it is kept beside the new one as ``NAME.ipynb.bak``. Nothing is
    written either when a lecture cannot be run.
    """
    changed = stale(course, built)
    at_risk = [path for path in changed if _holds_work(course.root / path)]
    if at_risk and not force:
        raise CourseError(
            f"these notebooks hold changes that are not committed: {', '.join(map(str, at_risk))}.\n"
            "Nothing was written. Commit them or copy them elsewhere, or run `make notebooks FORCE=1`, which keeps each "
            "as a .bak file. (To change a notebook for good, edit the .py file that it is built from.)"
        )
    ran = {path: run_lecture(course, path, built[path]) for path in to_run(course, built)}
    changed = stale(course, {path: ran.get(path, built[path]) for path in changed})
    for path in changed:
        target = course.root / path
        if path in at_risk:
            target.rename(_free_backup(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(ran.get(path, built[path]), encoding="utf-8", newline="\n")
    return changed


def to_run(course: Course, built: dict[Path, str]) -> list[Path]:
    """Return which lectures `write` has to run."""
    return [path for path in stale(course, built) if path.parts[0] == "lectures" and needs_run(built[path])]


def stale(course: Course, built: dict[Path, str]) -> list[Path]:
    """Return which notebooks differ from what their sources give."""
    return [path for path, text in built.items() if _text(course.root / path) != text]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _holds_work(path: Path) -> bool:
    """Whether a file holds what neither a build nor git's latest commit could give back."""
    if not path.exists():
        return False
    try:
        if is_as_built(nbformat.read(path, as_version=4)):
            return False
    except Exception:  # noqa: BLE001  not a notebook at all: somebody's file
        pass
    here = ["git", "-C", str(path.parent)]
    committed = _output([*here, "rev-parse", "--verify", f"HEAD:./{path.name}"])
    return not committed or committed != _output([*here, "hash-object", path.name])


def _output(command: list[str]) -> str:
    """Return what a command prints; empty if it fails or does not exist on this machine."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _free_backup(path: Path) -> Path:
    candidates = [path.with_name(path.name + ".bak")] + [path.with_name(f"{path.name}.bak{i}") for i in range(2, 1000)]
    return next(candidate for candidate in candidates if not candidate.exists())
