"""The doctor's repair as a step of nbgrader's chain, so that plain `nbgrader autograde` grades the same notebook."""

from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor

from effkit.course.lab import of_gradebook, with_surroundings
from effkit.course.repair import put_right


class RestoreCells(NbGraderPreprocessor):
    """Rebuilds nbgrader's metadata of every cell from the gradebook, whatever the submission says.

    It takes the place of nbgrader's DeduplicateIds; OverwriteCells, after it, restores the sources of locked cells.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Put one notebook right."""
        own = resources["nbgrader"]
        with Gradebook(own["db_url"]) as gradebook:
            lab = of_gradebook(gradebook.find_notebook(own["notebook"], own["assignment"]), own["notebook"])
        lab = with_surroundings(lab, Path(CourseDirectory(config=self.config).root))
        notebook, findings = put_right(dict(nb), lab, f"{own['notebook']}.ipynb")
        for finding in findings:
            self.log.warning("%s: %s", own["notebook"], finding.sentence)
        return notebook, resources
