"""Checks on the arguments of closed forms: each error names the argument and the rule it breaks."""

import operator
from collections.abc import Sequence
from math import isfinite
from numbers import Real
from typing import TypeAlias

# An int means the same size in each of two dimensions; a sequence says its dimensions.
Size: TypeAlias = int | Sequence[int]


def integer(name: str, value: object, *, least: int) -> int:
    """Return `value` as an int, or raise ValueError if it is not an integer of at least `least`."""
    try:
        # An int stays the object it is: effkit.explain passes ints that remember where they came from.
        number = value if isinstance(value, int) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, not {value!r}")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number


def positive(name: str, value: object) -> int:
    """Return `value` as an int, or raise ValueError if it is not an integer of at least 1."""
    return integer(name, value, least=1)


def real(name: str, value: object, *, may_be_zero: bool = False) -> float:
    """Return `value` as a number, or raise ValueError if it is not a finite real number above (or at) zero."""
    if not isinstance(value, Real) or isinstance(value, bool) or (not isinstance(value, int) and not isfinite(value)):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    if value < 0 or (value == 0 and not may_be_zero):
        raise ValueError(f"{name} must be {'at least' if may_be_zero else 'more than'} 0, not {value}")
    # Integers stay exact, and numbers that remember where they came from (effkit.quantity) stay themselves.
    if isinstance(value, int) or (isinstance(value, float) and hasattr(value, "expression")):
        return value
    return float(value)


def sizes(name: str, value: Size, *, dimensions: int = 2, least: int = 1) -> tuple[int, ...]:
    """Return one integer per dimension: an int is repeated `dimensions` times, a sequence is checked."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return (integer(name, value, least=least),) * dimensions
    if not value:
        raise ValueError(f"{name} must have at least one dimension, not {value!r}")
    return tuple(integer(f"{name}[{i}]", part, least=least) for i, part in enumerate(value))


def divides(divisor_name: str, divisor: int, name: str, value: int) -> None:
    """Raise ValueError unless `divisor` divides `value`."""
    if value % divisor:
        raise ValueError(f"{divisor_name} must divide {name}: {divisor} does not divide {value}")
