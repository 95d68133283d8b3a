"""The committed notebooks and how the tests read them."""

import tomllib
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from effkit.grading.tasks import LABS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = PROJECT["project"]["urls"]["Repository"]
STUDENT_LABS = [Path("labs", lab, f"{lab}.ipynb") for lab in LABS]
SOLUTIONS = [Path("solutions", lab, f"{lab}.ipynb") for lab in LABS]
LECTURES = sorted(path.relative_to(ROOT) for path in ROOT.glob("lectures/**/*.ipynb") if ".ipynb_" not in str(path))
NOTEBOOKS = [*STUDENT_LABS, *SOLUTIONS, *LECTURES]


def read(path: Path) -> NotebookNode:
    return nbformat.read(ROOT / path, as_version=4)


def cells_of(path: Path, cell_type: str) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == cell_type]


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=str)
