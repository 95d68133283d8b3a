"""Builds the notebooks: jupytext source -> solution notebook -> student lab.

The source (``solutions/LAB/LAB.py``, jupytext percent) is edited by hand; both notebooks are generated and committed.
Cell headers carry nbgrader's metadata, with only what differs from the defaults written out. The same source always
gives the same bytes.
"""

import re
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

import effkit
from effkit.course.nbgrader_api import CourseError, nbgrader_api
from effkit.course.stamp import is_as_built, stamp
from effkit.grading.tasks import find

_HEADER = re.compile(r"# %%( \[markdown\])?( \w+=(\{.*\}|\[.*\]|\"[^\"]*\"))*")
_SETUP = """\
import sys

if "google.colab" in sys.modules:  # on Colab: add effkit and leave Colab's own packages as they are
    %pip install -q --no-deps "effkit @ git+{repository}@v{version}"
    print("effkit is ready, no restart is needed. To keep your work, choose File > Save a copy in Drive.")"""
_BEGIN = """\
from effkit.grading import begin

begin("{lab}", effkit_version="{version}")"""
_BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{project}/blob/{branch}/{path})"
)
_DEFAULTS = {"grade": False, "solution": False, "task": False, "schema_version": 3}


@dataclass(frozen=True)
class Course:
    """A course folder and the public address of its repository."""

    root: Path
    repository: str
    branch: str

    @classmethod
    def read(cls, root: Path) -> "Course":
        """Read the course's address from the pyproject.toml in `root`."""
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        return cls(root, project["project"]["urls"]["Repository"].rstrip("/"), project["tool"]["effkit"]["branch"])

    def labs(self) -> list[str]:
        """Return the names of all labs that have a solution source."""
        return sorted(path.stem for path in self.root.glob("solutions/*/*.py") if path.stem == path.parent.name)


def build(course: Course) -> dict[Path, str]:
    """Return the text of every generated notebook, by its path within the course. Writes nothing."""
    solutions = {lab: build_solution(course, lab) for lab in course.labs()}
    built = {Path("solutions", lab, f"{lab}.ipynb"): text for lab, text in solutions.items()}
    return built | {Path("labs", lab, f"{lab}.ipynb"): text for lab, text in release(course, solutions).items()}


def build_solution(course: Course, lab: str) -> str:
    """Return the solution notebook of a lab, generated from its source."""
    source = course.root / "solutions" / lab / f"{lab}.py"
    text = source.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%") and not _HEADER.fullmatch(line):
            raise CourseError(f"{source}:{number}: not a cell header, and no other line may begin with '# %%': {line}")
    notebook = jupytext.reads(text, fmt="py:percent")
    if not notebook.cells or not notebook.cells[0].source.startswith("# "):
        raise CourseError(f"{source}: the first cell must be markdown with the title, '# ...'")
    _stamp_first_cells(notebook, course, lab)
    for position, cell in enumerate(notebook.cells):
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's own note
        own = cell.metadata.get("nbgrader")
        if own:
            cell.metadata["nbgrader"] = _complete(own, cell, source)
        if own and own.get("grade") and cell.cell_type == "code":
            cell.metadata["tags"] = ["raises-exception"]  # a check that cannot run does not stop "Run All"
        cell["id"] = own["grade_id"] if own else f"cell-{position:02d}"
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    stamp(notebook)
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def _stamp_first_cells(notebook: NotebookNode, course: Course, lab: str) -> None:
    """Put the Colab badge under the title, and after it the cells that install effkit on Colab and begin the lab."""
    project = course.repository.removeprefix("https://github.com/")
    path = f"labs/{lab}/{lab}.ipynb"
    notebook.cells[0].source += "\n\n" + _BADGE.format(project=project, branch=course.branch, path=path)
    version = effkit.__version__
    for position, (grade_id, source) in enumerate(
        [
            ("setup", _SETUP.format(repository=course.repository, version=version)),
            ("begin", _BEGIN.format(lab=lab, version=version)),
        ],
        start=1,
    ):
        cell = nbformat.v4.new_code_cell(source, metadata={"nbgrader": {"grade_id": grade_id, "locked": True}})
        notebook.cells.insert(position, cell)


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
    """Write the generated notebooks that changed and return their paths.

    A notebook that somebody has worked in is never lost: unless git has it or a build wrote it, nothing at all is
    written and CourseError names it. With `force` it is kept beside the new one as ``NAME.ipynb.bak``.
    """
    changed = stale(course, built)
    at_risk = [path for path in changed if _holds_work(course.root / path)]
    if at_risk and not force:
        raise CourseError(
            f"these notebooks hold changes that are not committed: {', '.join(map(str, at_risk))}.\n"
            "Nothing was written. Commit them or copy them elsewhere, or run `make notebooks FORCE=1`, which keeps each "
            "as a .bak file. (To change a lab for good, edit its .py in solutions/.)"
        )
    for path in changed:
        target = course.root / path
        if path in at_risk:
            target.rename(_free_backup(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(built[path], encoding="utf-8", newline="\n")
    return changed


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
