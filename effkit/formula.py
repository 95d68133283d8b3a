"""A closed form that can explain itself.

A closed form is an ordinary function on numbers, written once. `explain` calls that same function with
numbers that remember how they were combined, so the symbols, the substitution and the result that it shows
can never differ from what the function computes.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from effkit.quantity import Symbol, expression_of, number_text, plain, render, symbol_latex, tag

P = ParamSpec("P")
R = TypeVar("R")

_withheld_because: str | None = None


class Withheld(RuntimeError):
    """A closed form was called while it is withheld (see `withheld`)."""


@contextmanager
def withheld(message: str) -> Iterator[None]:
    """Make every closed form raise `Withheld(message)` inside the `with` block."""
    global _withheld_because
    before, _withheld_because = _withheld_because, message
    try:
        yield
    finally:
        _withheld_because = before


def can_be_withheld(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function, or a method, refuse to answer inside a `withheld` block; every closed form does."""

    @functools.wraps(function)
    def answer(*args: P.args, **kwargs: P.kwargs) -> R:
        if _withheld_because is not None:
            raise Withheld(f"effkit's {function.__name__} does not answer here: {_withheld_because}")
        return function(*args, **kwargs)

    return answer


def formula(result: str, unit: str, **symbols: Symbol) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function as a closed form.

    `result` is the symbol of what it computes, `unit` its unit, and `symbols` gives each argument that enters the
    formula its symbol.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        closed_form = can_be_withheld(function)
        closed_form.__dict__["closed_form"] = _ClosedForm(function, result, unit, symbols)
        return closed_form

    return decorate


@dataclass(frozen=True)
class _ClosedForm:
    function: Callable[..., Any]
    result: str
    unit: str
    symbols: dict[str, Symbol]


@dataclass(frozen=True)
class Explanation:
    """A closed form with its symbols, the numbers put in, and the result.

    Shown as math in a notebook; `str()` gives the same as text.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    lines: tuple[tuple[str, str], ...]  # (text, LaTeX) of each step

    def __str__(self) -> str:
        first, *rest = [text for text, _ in self.lines]
        indent = " " * len(self.name)
        return "\n".join([f"{self.name} = {first}", *(f"{indent} = {line}" for line in rest)])

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        steps = " \\\\\n".join(f"&= {latex}" for _, latex in self.lines)
        return f"$$\\begin{{aligned}}\n{symbol_latex(self.name)} {steps}\n\\end{{aligned}}$$"


def explain(closed_form: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """Show a closed form at work: its symbols, the numbers put in, and the result.

    `closed_form` is one of effkit's own, for instance ``effkit.counts.conv_params``; the other arguments are those of
    a call to it. Raises TypeError if it is not a closed form, and ValueError for arguments the closed form refuses.

    >>> from effkit import counts
    >>> explain(counts.linear_params, 20, 10)
    params = C_out · C_in + C_out
           = 10 · 20 + 10
           = 210 parameters
    """
    form = getattr(closed_form, "closed_form", None)
    if form is None:
        raise TypeError(f"{closed_form!r} is not one of effkit's closed forms; see effkit.counts and effkit.shapes")
    if _withheld_because is not None:
        raise Withheld(f"effkit.explain does not answer here: {_withheld_because}")
    bound = inspect.signature(form.function).bind(*args, **kwargs)
    bound.apply_defaults()
    for name, symbol in form.symbols.items():
        bound.arguments[name] = tag(bound.arguments[name], symbol)
    result = form.function(*bound.args, **bound.kwargs)
    results = result if isinstance(result, tuple) else (result,)
    lines = []
    for numbers in (False, True):
        steps = [(expression_of(part), numbers) for part in results]
        lines.append(tuple(_join(render(e, latex=latex, numbers=n) for e, n in steps) for latex in (False, True)))
    values = tuple(plain(part) for part in results)
    text, latex = (_join(number_text(value, latex) for value in values) for latex in (False, True))
    lines.append((f"{text} {form.unit}", rf"{latex}\ \text{{{form.unit}}}"))
    if lines[1] == (text, latex):  # a formula of one symbol: the substitution is the result
        del lines[1]
    return Explanation(form.result, form.unit, values, tuple((line[0], line[1]) for line in lines))


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)
