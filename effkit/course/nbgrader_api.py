"""nbgrader, called from Python with the course's own configuration."""

import os
import sys
from pathlib import Path
from typing import Any

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader


class CourseError(Exception):
    """Something about the course or a submission that a person has to put right; the message says what to do."""


class Nbgrader(NbGraderAPI):  # type: ignore[misc]
    """nbgrader's own API for one course folder; a step that fails raises CourseError."""

    def run(self, doing: str, step: str, *args: Any, **kwargs: Any) -> None:
        """Run one step of the API, for example ``run("grading ann", "autograde", "lab1", "ann")``."""
        result = getattr(self, step)(*args, **kwargs)
        if not result["success"]:
            raise CourseError(f"{doing} failed: {_last_error(result)}")


def _last_error(result: dict[str, Any]) -> str:
    """Return the line of nbgrader's log or traceback that says most about what went wrong."""
    errors = [line for line in result.get("log", "").splitlines() if line.startswith("[ERROR]")]
    sentences = [line.removeprefix("[ERROR]").strip() for line in errors]
    trace = result.get("error", "").strip().splitlines()
    generic = "please see the above log"
    useful = [line for line in [*sentences, *trace[-1:]] if line and generic not in line.lower()]
    return useful[-1] if useful else "nbgrader gave no reason"


def nbgrader_api(root: Path, **overrides: dict[str, Any]) -> Nbgrader:
    """Return nbgrader for the course in `root`; `overrides` maps a class name to the options to change."""
    # nbgrader runs `alembic` as a command: it must be found even where the virtual environment is not activated.
    programs = str(Path(sys.executable).parent)
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.merge(Config({"CourseDirectory": {"root": str(root.resolve())}}))
    config.merge(Config(overrides))
    coursedir = CourseDirectory(config=config)
    api = Nbgrader(coursedir, config=config)
    api.log.setLevel("WARNING")
    return api
