"""nbgrader, called from Python with the course's own configuration."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from effkit.course.errors import CourseError

__all__ = ["CourseError", "Nbgrader", "nbgrader_api"]

_ERROR = re.compile(r"\[ERROR\] |[\w.]+(Error|Exception|Missing\w*): ")
_SAYS_NOTHING = re.compile(r"above (log|traceback)|Traceback|error processing assignment", re.IGNORECASE)


class Nbgrader(NbGraderAPI):
    """nbgrader's own API for one course folder; a step that fails raises CourseError."""

    def run(self, doing: str, step: str, *args: Any, **kwargs: Any) -> None:
        """Run one step of the API, for example ``run("grading ann", "autograde", "lab1", "ann")``."""
        result = getattr(self, step)(*args, **kwargs)
        if "KeyboardInterrupt" in result.get("error", ""):  # nbgrader catches that too
            raise KeyboardInterrupt
        if not result["success"]:
            raise CourseError(f"{doing} failed: {_last_error(result)}")


def _last_error(result: dict[str, Any]) -> str:
    """Return the line of nbgrader's log or traceback that says most about what went wrong."""
    lines = [*result.get("error", "").splitlines(), *result.get("log", "").splitlines()]
    errors = [line.strip() for line in lines if _ERROR.match(line.strip())]
    useful = [line.removeprefix("[ERROR] ") for line in errors if not _SAYS_NOTHING.search(line)]
    return useful[-1] if useful else "nbgrader gave no reason"


def nbgrader_api(root: Path, **overrides: dict[str, Any]) -> Nbgrader:
    """Return nbgrader for the course in `root`; `overrides` maps a class name to the options to change."""
    # nbgrader runs `alembic` as a command: it must be found even where the virtual environment is not activated.
    programs = str(Path(sys.executable).parent)
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])
    try:
        config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    except Exception as problem:  # whatever its Python raises
        raise CourseError(f"{root / 'nbgrader_config.py'} cannot be read: {type(problem).__name__}: {problem}") from problem
    config.merge(Config({"CourseDirectory": {"root": str(root.resolve())}}))
    config.merge(Config(overrides))
    coursedir = CourseDirectory(config=config)
    api = Nbgrader(coursedir, config=config)
    api.log.setLevel("WARNING")
    return api
