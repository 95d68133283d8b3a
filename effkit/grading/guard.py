"""Keeps the reference from answering: a reminder to the student, not a lock."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

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

        enter = FlopCounterMode.__enter__
        setattr(FlopCounterMode, "__enter__", _refuse)  # noqa: B010  mypy refuses the plain assignment
        try:
            yield
        finally:
            setattr(FlopCounterMode, "__enter__", enter)  # noqa: B010


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise Withheld(f"torch's flop counter does not answer here: {MESSAGE}")
