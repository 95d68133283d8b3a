"""The part of grading that touches a student's code: one job in, one outcome out, both plain data.

It runs in a worker process on this machine or on another one. The notebook crosses as JSON text, both ways.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from nbformat import NotebookNode, v4

from effkit.course.errors import CourseError
from effkit.course.execute import execute
from effkit.course.kernels import Limits, WarmProcess
from effkit.course.kernels.provisioner import KernelStartError

_MAX_DEPTH = 40
_MAX_INTEGER_BITS = 4000  # Python itself refuses to write much longer ones


@dataclass(frozen=True)
class Job:
    """One submission to execute."""

    student: str
    notebook: str
    seed: int
    cell_seconds: float = 60
    unsafe: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a job. Without a notebook, `problem` says why."""

    student: str
    notebook: str = ""
    level: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    problem: str = ""
    refused: bool = False  # the problem is the machine's, not the submission's: no other submission would run either


def encode(message: Job | Outcome) -> bytes:
    """Return a job or an outcome as JSON: what comes from a worker is read, never unpickled."""
    return json.dumps(asdict(message)).encode()


def decode_job(data: bytes) -> Job:
    """Return the job that `encode` wrote."""
    return Job(**json.loads(data))


def decode_outcome(data: bytes) -> Outcome:
    """Return the outcome that `encode` wrote."""
    read = json.loads(data)
    return Outcome(**{**read, "notes": tuple(read["notes"])})


def run_job(job: Job, warm: WarmProcess | None = None) -> Outcome:
    """Execute one submission. Never raises but on an interrupt."""
    try:
        notebook = v4.reads(job.notebook)
        limits = Limits(cell_seconds=job.cell_seconds)
        done = execute(notebook, seed=job.seed, limits=limits, warm=warm, unsafe=job.unsafe)
        text = json.dumps(_plain(done.notebook), allow_nan=False)
        return Outcome(job.student, text, done.level, done.seconds, done.notes)
    except CourseError as problem:
        return Outcome(job.student, problem=str(problem), refused=True)
    except KernelStartError as problem:
        return Outcome(job.student, problem=f"no kernel could be started for it ({problem}): grade it again")
    except Exception as problem:  # noqa: BLE001  one submission must never stop the others
        return Outcome(job.student, problem=f"execution failed ({type(problem).__name__}: {problem}); please report this")


def read_outcome(outcome: Outcome) -> NotebookNode:
    """Return the executed notebook."""
    return v4.reads(outcome.notebook)


def _plain(value: Any, depth: int = 0) -> Any:
    """Return data that every reader of JSON can read: what cannot be is replaced by the words for it."""
    if depth > _MAX_DEPTH:
        return "data nested too deeply"
    if isinstance(value, dict):
        return {str(key): _plain(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, depth + 1) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}, which is not a finite number"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > _MAX_INTEGER_BITS:
        return "an integer of more than a thousand digits"
    return value if isinstance(value, str | int | float | bool | None) else str(type(value).__name__)
