"""Builds effkit's wheel: the same package and labs always give the same bytes."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from effkit.course.errors import CourseError

MADE_AT = 1580601600  # 2020-02-02: the time of every file in a wheel and in a bundle
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*~", "*.bak*")


def build_wheel(root: Path, labs: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name and the content of the wheel of the effkit in `root`, with these files below labs/ in it.

    It is built by the build backend that pyproject.toml names, from a copy, so that nothing which lies about gets into it.
    """
    if importlib.util.find_spec("hatchling") is None:
        raise CourseError("hatchling, which builds the wheel, is not installed: pip install --editable '.[course]'")
    with tempfile.TemporaryDirectory(prefix="effkit-wheel-") as folder:
        copy, made = Path(folder, "copy"), Path(folder, "made")
        shutil.copytree(root / "effkit", copy / "effkit", ignore=_LEFT_OUT)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, copy)
        for path, content in labs.items():
            (copy / path).parent.mkdir(parents=True)
            (copy / path).write_bytes(content)
        _run_hatchling(copy, made)
        (wheel,) = made.iterdir()
        return wheel.name, wheel.read_bytes()


def _run_hatchling(source: Path, target: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(MADE_AT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CourseError(f"the wheel cannot be built: {reason[-1] if reason else 'hatchling gave no reason'}")
