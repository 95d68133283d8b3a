"""Keeps the files that a student put beside a notebook out of what graders run and students get back."""

import shutil
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor

from effkit.course.prepare import bad_name, is_plain_file


class RemoveStrays(NbGraderPreprocessor):
    """Removes what nbgrader copied into autograded/STUDENT/LAB/ besides the lab's notebook, before anything runs.

    nbgrader follows links when it copies, and later copies all of it into the feedback: a link to the gradebook would be
    handed to the student. Data for a lab ships in effkit, so nothing is missing.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Remove the files. Raises RuntimeError if the submission cannot be taken as it lies there."""
        own = resources["nbgrader"]
        where = CourseDirectory(config=self.config)
        submitted, copied = (
            Path(where.format_path(step, own["student"], own["assignment"]))
            for step in (where.submitted_directory, where.autograded_directory)
        )
        if problem := bad_name(own["student"]):
            raise RuntimeError(problem)
        notebook = submitted / f"{own['notebook']}.ipynb"
        if not is_plain_file(notebook) or submitted.is_symlink() or submitted.parent.is_symlink():
            raise RuntimeError(f"{notebook.name} or its folder is a link to another: ask the student to submit it again")
        for path in copied.iterdir() if copied.is_dir() else ():
            if (path.suffix == ".ipynb" and is_plain_file(path)) or (
                path.name == "timestamp.txt" and is_plain_file(submitted / path.name)
            ):
                continue
            self.log.warning("Not kept beside the notebook: %s", path.name)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return nb, resources
