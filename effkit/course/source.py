"""What all notebooks have in common on the way from source to file: the title, the badge, the first cell, the ids.

A source is jupytext percent. The same source always gives the same bytes.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

import effkit
from effkit.course.nbgrader_api import CourseError
from effkit.course.stamp import stamp

_HEADER = re.compile(r"# %%( \[markdown\])?( \w+=(\{.*\}|\[.*\]|\"[^\"]*\"))*")
_SETUP = """\
import sys

if "google.colab" in sys.modules:  # on Colab: add effkit and leave Colab's own packages as they are
    %pip install -q --no-deps "effkit @ git+{repository}@v{version}"
    print("effkit is ready, no restart is needed. To keep your work, choose File > Save a copy in Drive.")"""
_BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{project}/blob/{branch}/{path})"
)


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

    def lectures(self) -> list[str]:
        """Return the names of all lectures that have a source."""
        return sorted(path.stem for path in self.root.glob("lectures/[0-9][0-9]_*.py"))


def read_source(source: Path) -> NotebookNode:
    """Return the notebook that a source describes. Raises CourseError, with the place, for a mistake in the source."""
    text = source.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%") and not _HEADER.fullmatch(line):
            raise CourseError(f"{source}:{number}: not a cell header, and no other line may begin with '# %%': {line}")
    notebook = jupytext.reads(text, fmt="py:percent")
    if not notebook.cells or not notebook.cells[0].source.startswith("# "):
        raise CourseError(f"{source}: the first cell must be markdown with the title, '# ...'")
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's own note
    return notebook


def add_badge_and_setup(notebook: NotebookNode, course: Course, path: Path, metadata: Mapping[str, Any]) -> None:
    """Put the badge that opens `path` on Colab under the title, and after it the cell that installs effkit there."""
    project = course.repository.removeprefix("https://github.com/")
    notebook.cells[0].source += "\n\n" + _BADGE.format(project=project, branch=course.branch, path=path.as_posix())
    setup = _SETUP.format(repository=course.repository, version=effkit.__version__)
    notebook.cells.insert(1, nbformat.v4.new_code_cell(setup, metadata=dict(metadata)))


def finish(notebook: NotebookNode) -> None:
    """Give a notebook its ids, those of nbgrader or else by position, its metadata and its stamp."""
    for position, cell in enumerate(notebook.cells):
        cell["id"] = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell-{position:02d}")
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    stamp(notebook)
    nbformat.validate(notebook)


def as_text(notebook: NotebookNode) -> str:
    """Return the text of a notebook's file."""
    return nbformat.writes(notebook) + "\n"
