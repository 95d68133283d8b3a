"""Exact counts for neural-network efficiency, each with the convention it follows.

The parts that need torch, and tables, load on first use, so ``import effkit`` stays light.
"""

import importlib
from typing import Any

from effkit import counts
from effkit.formula import explain
from effkit.roofline import Roofline, arithmetic_intensity
from effkit.shapes import conv_output_size, receptive_field, same_padding

__version__ = "0.1.0"

__all__ = [
    "Roofline",
    "arithmetic_intensity",
    "conv_output_size",
    "counts",
    "dtypes",
    "energy",
    "explain",
    "hardware",
    "measure",
    "receptive_field",
    "same_padding",
    "timing",
    "zoo",
]

_LAZY_MODULES = ("dtypes", "energy", "hardware", "timing", "zoo")
_LAZY_FUNCTIONS = {"measure": "timing"}


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f"effkit.{name}")
    if name in _LAZY_FUNCTIONS:
        return getattr(importlib.import_module(f"effkit.{_LAZY_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'effkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY_MODULES, *_LAZY_FUNCTIONS])
