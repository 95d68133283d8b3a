"""Builds the lectures: jupytext source -> notebook, run by the build and committed with the outputs that every run gives.

A lecture is run again only when its source changed; what it shows may also change with effkit, and then the tests, which run
every lecture, say so.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from effkit.course.lecture_outputs import clean
from effkit.course.run_notebook import execute
from effkit.course.source import Course, add_badge_and_setup, as_text, finish, read_source
from effkit.course.stamp import has_run, stamp_outputs


def build_lecture(course: Course, lecture: str, *, rerun: bool = False) -> str:
    """Return the notebook of a lecture, generated from its source. Runs nothing.

    It has the outputs of the notebook that is there, if a build gave them and from the same source; else, or with `rerun`,
    it has none and waits for `run_lecture`.
    """
    notebook = read_source(course.root / "lectures" / f"{lecture}.py")
    path = Path("lectures", f"{lecture}.ipynb")
    add_badge_and_setup(notebook, course, path, {})
    finish(notebook)
    if not rerun:
        _take_outputs(notebook, course.root / path)
    return as_text(notebook)


def needs_run(text: str) -> bool:
    """Whether a lecture that was built has still to be run."""
    return not has_run(nbformat.reads(text, as_version=4))


def run_lecture(course: Course, path: Path, text: str) -> str:
    """Run a lecture and return it with its outputs. Raises CourseError, naming the cell, for an error or a warning."""
    notebook, ran = (nbformat.reads(text, as_version=4) for _ in range(2))
    execute(ran, path.stem, course.root.resolve())
    clean(ran)
    _copy_outputs(ran, notebook)
    nbformat.validate(notebook)
    return as_text(notebook)


def _take_outputs(notebook: NotebookNode, path: Path) -> None:
    """Take over the outputs in a file, unless they belong to another source or are not a build's."""
    try:
        there = nbformat.read(path, as_version=4)
        fits = has_run(there) and there.metadata["effkit"]["digest"] == notebook.metadata["effkit"]["digest"]
    except Exception:  # noqa: BLE001  no file, or not a notebook at all
        return
    if fits and len(there.cells) == len(notebook.cells):
        _copy_outputs(there, notebook)


def _copy_outputs(source: NotebookNode, target: NotebookNode) -> None:
    """Copy all outputs and nothing else: a kernel and JupyterLab leave notes of their own in a notebook."""
    for before, after in zip(source.cells, target.cells, strict=True):
        if after.cell_type == "code":
            after.outputs = before.outputs
    stamp_outputs(target)
