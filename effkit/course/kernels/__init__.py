"""Kernels for code that nobody has read: isolated, limited, and quick to start."""

from effkit.course.kernels.limits import Limits
from effkit.course.kernels.warm import WarmProcess, start_warm

__all__ = ["Limits", "WarmProcess", "start_warm"]
