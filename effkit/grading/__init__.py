"""What a graded task is, how an answer is judged, and the check that students run."""

from effkit.grading.check import begin, check, progress
from effkit.grading.task import Group, Misconception, Task

__all__ = ["Group", "Misconception", "Task", "begin", "check", "progress"]
