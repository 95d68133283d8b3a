"""What graders and students read: the graded notebook and the feedback page, and no file of a student beside them."""

import os
import shutil
from contextlib import chdir
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.converters import Autograde, GenerateFeedback

from effkit.course.nbgrader_api import Nbgrader


class Pages:
    """Writes autograded/STUDENT/LAB/ and feedback/STUDENT/LAB/. Made once: what nbconvert prepares serves every page."""

    def __init__(self, api: Nbgrader, root: Path, lab: str) -> None:
        self._root, self._lab, self._coursedir = root, lab, api.coursedir
        self._permissions = int(str(Autograde(coursedir=api.coursedir, parent=api).permissions), 8)
        converter = GenerateFeedback(coursedir=api.coursedir, parent=api)
        self._page_permissions = int(str(converter.permissions), 8)
        self._exporter = converter.exporter_class(parent=converter, config=converter.config)
        for preprocessor in converter.preprocessors:
            self._exporter.register_preprocessor(preprocessor)

    def graded_path(self, student: str) -> Path:
        """Return where the graded notebook is."""
        return self._root / "autograded" / student / self._lab / f"{self._lab}.ipynb"

    def stage_graded(self, student: str, notebook: NotebookNode, timestamp: datetime | None) -> tuple[Path, str]:
        """Write the graded notebook's folder beside its place; return the folder and the notebook's text."""
        folder = _empty(self.graded_path(student).parent)
        text = nbformat.writes(notebook) + "\n"
        _write(folder / f"{self._lab}.ipynb", text, self._permissions)
        if timestamp:  # by which nbgrader tells whether a submission is newer; it counts in UTC
            _write(folder / "timestamp.txt", f"{timestamp} UTC\n", self._permissions)
        return folder, text

    def write_feedback(self, student: str, notebook: NotebookNode) -> None:
        """Write the feedback page of a graded notebook with the scores and comments of the gradebook."""
        resources = {
            "unique_key": self._lab,
            "output_files_dir": f"{self._lab}_files",
            "metadata": {"name": self._lab, "path": ""},
            "nbgrader": {
                "student": student,
                "assignment": self._lab,
                "notebook": self._lab,
                "db_url": self._coursedir.db_url,
            },
        }
        with chdir(self._root):
            page, _ = self._exporter.from_notebook_node(notebook, resources=resources)
        folder = _empty(self._root / "feedback" / student / self._lab)
        _write(folder / f"{self._lab}.html", page, self._page_permissions)
        put_in_place(folder)


def _empty(place: Path) -> Path:
    """Return a new, empty folder beside `place`, to take its place when it is whole."""
    new = place.with_name(f".{place.name}.new")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    return new


def put_in_place(new: Path) -> None:
    """Let a folder made by `_empty` take its place; what was there goes."""
    place = new.with_name(new.name.removeprefix(".").removesuffix(".new"))
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, text: str, permissions: int) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.chmod(path, permissions)
