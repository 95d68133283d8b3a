"""A course folder of its own for tests that grade: the real configuration, solutions and tools, nobody's submissions."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make_course(folder: Path) -> Path:
    """Copy what grading needs of the course into `folder`."""
    shutil.copytree(ROOT / "solutions", folder / "solutions")
    for name in ("nbgrader_config.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def run(course: Path, *command: str, timeout_s: int = 600) -> subprocess.CompletedProcess[str]:
    """Run one of the environment's programs in the course folder, without waiting for input."""
    programs = Path(sys.executable).parent
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd=course,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def read_grades(course: Path, lab: str) -> dict[str, dict[str, str]]:
    """Return the rows of the CSV that grading leaves, by student."""
    with (course / "grades" / f"{lab}.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A fresh course folder with no submissions."""
    return make_course(tmp_path)
