"""What graders and students read: the graded notebook and the feedback page, and no file of a student beside them."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import chdir
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbformat import NotebookNode
from nbformat.v4.rwbase import strip_transient
from nbgrader.converters import Autograde, GenerateFeedback

from effkit.course.gradebook import LoadedGrades
from effkit.course.nbgrader_api import Nbgrader
from effkit.course.preprocessors import SummarizeFeedback


class Pages:
    """Writes autograded/STUDENT/LAB/ and feedback/STUDENT/LAB/. Made once: what nbconvert prepares serves every page."""

    def __init__(self, api: Nbgrader, root: Path, lab: str) -> None:
        self._root, self._lab, self._coursedir = root, lab, api.coursedir
        self._permissions = int(str(Autograde(coursedir=api.coursedir, parent=api).permissions), 8)
        converter = GenerateFeedback(coursedir=api.coursedir, parent=api)
        self._page_permissions = int(str(converter.permissions), 8)
        exporter = _PageExporter if converter.exporter_class is HTMLExporter else converter.exporter_class
        self._exporter = exporter(parent=converter, config=converter.config)
        steps = [preprocessor(parent=self._exporter) for preprocessor in converter.preprocessors]
        for step in steps:
            self._exporter.register_preprocessor(step)
        self._summaries = [step for step in steps if isinstance(step, SummarizeFeedback)]

    def graded_path(self, student: str) -> Path:
        """Return where the graded notebook is."""
        return self._root / "autograded" / student / self._lab / f"{self._lab}.ipynb"

    def stage_graded(self, student: str, notebook: NotebookNode, timestamp: datetime | None) -> tuple[Path, str]:
        """Write the graded notebook's folder beside its place; return the folder and the notebook's text."""
        folder = _empty(self.graded_path(student).parent)
        text = json.dumps(strip_transient(notebook), ensure_ascii=False, sort_keys=True) + "\n"
        _write(folder / f"{self._lab}.ipynb", text, self._permissions)
        if timestamp:  # by which nbgrader tells whether a submission is newer; it counts in UTC
            _write(folder / "timestamp.txt", f"{timestamp} UTC\n", self._permissions)
        return folder, text

    def write_feedback(self, student: str, notebook: NotebookNode, grades: LoadedGrades) -> None:
        """Write the feedback page of a graded notebook with the scores and comments of the gradebook."""
        for summary in self._summaries:
            summary.loaded = grades
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


class _PageExporter(HTMLExporter):
    """nbconvert's pages in a third of the time: what is the same for every student is made once.

    The pass over the finished page is left out: it adds a description to pictures that have none, and in a graded notebook
    all have one (see `harmless`).
    """

    def from_notebook_node(self, nb: NotebookNode, resources: Any = None, **kwargs: Any) -> tuple[str, Any]:
        """Return the page."""
        resources = self._init_resources(resources)
        widgets = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", widgets)
        return TemplateExporter.from_notebook_node(self, nb, resources, **kwargs)

    def _preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Take the steps before the page is made, in the copy that was made for it, without looking at it after each."""
        for step in self._preprocessors:
            nb, resources = step(nb, resources)
        return nb, resources

    def default_filters(self) -> Any:
        """Yield nbconvert's filters, with a memory for the two slow ones."""
        yield from super().default_filters()
        yield "highlight_code", _remembered(Highlight2HTML(pygments_lexer="python", parent=self))
        yield "markdown2html", self._markdown

    @pass_context
    def _markdown(self, context: Any, source: str) -> str:
        if context.get("cell", {}).get("attachments"):
            return self.markdown2html(context, source)
        page = self._pages.get(source)
        if page is None:
            page = self._pages[source] = self.markdown2html(context, source)
            if len(self._pages) > _REMEMBERED:
                self._pages.clear()
        return page

    @property
    def _pages(self) -> dict[str, str]:
        pages: dict[str, str] = self.__dict__.setdefault("_effkit_pages", {})
        return pages


_REMEMBERED = 500


def _remembered(highlight: Any) -> Callable[..., str]:
    @lru_cache(_REMEMBERED)
    def of(source: str) -> str:
        return str(highlight(source))

    def highlighted(source: str, language: Any = None, metadata: Any = None) -> str:
        return of(source)

    return highlighted


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
