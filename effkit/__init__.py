"""Exact counts for neural-network efficiency, each with the convention it follows.

The parts that need torch, and tables, load on first use, so ``import effkit`` stays light.
"""

import importlib
from typing import Any

from effkit import counts
from effkit.formula import explain
from effkit.roofline import Roofline, arithmetic_intensity, bandwidth_utilisation
from effkit.shapes import conv_output_size, receptive_field, same_padding

__version__ = "0.1.0"

__all__ = [
    "Explore",
    "ForwardError",
    "Roofline",
    "arithmetic_intensity",
    "bandwidth_utilisation",
    "conv_output_size",
    "counts",
    "dtypes",
    "energy",
    "explain",
    "hardware",
    "measure",
    "plot",
    "profile",
    "profile_training",
    "receptive_field",
    "register",
    "same_padding",
    "show",
    "timing",
    "zoo",
]

_LAZY_MODULES = ("dtypes", "energy", "hardware", "plot", "timing", "zoo")
_LAZY_NAMES = {
    "Explore": "explore",
    "ForwardError": "profiling.profile",
    "measure": "timing",
    "profile": "profiling.profile",
    "profile_training": "profiling.training",
    "register": "profiling.operators",
    "show": "explore",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"effkit.{name}")
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(f"effkit.{_LAZY_NAMES[name]}"), name)
    raise AttributeError(f"module 'effkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY_MODULES, *_LAZY_NAMES])
