"""Keeps the reference from answering: a reminder to the student, not a lock."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

from effkit.formula import Withheld, withheld

MESSAGE = "implement this yourself"


@contextmanager
def implement_yourself() -> Iterator[None]:
    """Make effkit's own counters and torch's flop counter raise `Withheld` inside the `with` block."""
    with withheld(MESSAGE):
        if "torch" not in sys.modules:
            yield
            return
        from torch.utils.flop_counter import FlopCounterMode

        with patch.object(FlopCounterMode, "__enter__", _refuse):
            yield


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise Withheld(f"torch's flop counter does not answer here: {MESSAGE}")
