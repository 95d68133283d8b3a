"""The graded tasks, one module for each lab; a module is loaded when one of its tasks is asked for."""

import importlib
from functools import cache

from effkit.grading.task import Task

LABS = ("lab2_parameters",)


@cache
def tasks_of(lab: str) -> tuple[Task, ...]:
    """Return the tasks of a lab in their order. Raises ValueError for an unknown lab."""
    if lab not in LABS:
        raise ValueError(f"there is no lab {lab!r}; the labs are {', '.join(LABS)}")
    module = importlib.import_module(f"{__name__}.{lab}")
    tasks: tuple[Task, ...] = module.TASKS
    return tasks


@cache
def find(name: str) -> Task | None:
    """Return the task of this name, or None. Names are unique over all labs."""
    return next((task for lab in LABS for task in tasks_of(lab) if task.name == name), None)
