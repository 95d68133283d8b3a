"""What a graded task is, how an answer is judged, and the check that students run."""

from effkit.grading.check import begin, check, progress

__all__ = ["begin", "check", "progress"]
