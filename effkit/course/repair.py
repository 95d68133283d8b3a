"""One repair of a notebook for everyone: the doctor, the batch and nbgrader's own chain."""

from typing import Any

from nbformat import NotebookNode

from effkit.course.findings import Finding
from effkit.course.lab import ReleasedLab
from effkit.course.mend import mend
from effkit.course.shape import shaped, unique_ids


def put_right(data: dict[str, Any], lab: ReleasedLab, name: str) -> tuple[NotebookNode, list[Finding]]:
    """Return the notebook that a file's JSON object is meant to be, its graded cells as released, and what was found.

    Raises Unreadable if it is no notebook at all.
    """
    notebook, findings = shaped(data, name)
    findings += mend(notebook, lab)
    unique_ids(notebook.cells)
    return notebook, findings
