"""A closed form that can explain itself.

A closed form is an ordinary function on numbers, written once. `explain` calls that same function with
numbers that remember how they were combined, so the symbols, the substitution and the result that it shows
can never differ from what the function computes.
"""

import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_DIMENSIONS = {1: ("",), 2: ("h", "w"), 3: ("d", "h", "w")}
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


# The symbol of an argument (``C_in`` is C with the subscript "in"), or, for an argument that is a list of tuples,
# one symbol for each position of a tuple.
Symbol: TypeAlias = str | tuple[str, ...]


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


class Quantity(int):
    """An integer that remembers the expression it came from.

    An expression is a leaf ``(symbol, value)`` or a node ``(operator, left, right)``, with each side a leaf or a node.
    """

    expression: tuple[Any, ...]

    def __new__(cls, value: int, *expression: Any) -> "Quantity":
        self = super().__new__(cls, value)
        self.expression = expression
        return self

    def __add__(self, other: int) -> int:
        return self if _is_number(other, 0) else _combine("+", self, other)

    def __radd__(self, other: int) -> int:
        return self if _is_number(other, 0) else _combine("+", other, self)

    def __sub__(self, other: int) -> int:
        return _combine("-", self, other)

    def __rsub__(self, other: int) -> int:
        return _combine("-", other, self)

    def __mul__(self, other: int) -> int:
        return self if _is_number(other, 1) else _combine("*", self, other)

    def __rmul__(self, other: int) -> int:
        return self if _is_number(other, 1) else _combine("*", other, self)

    def __floordiv__(self, other: int) -> int:
        return _combine("//", self, other)

    def __rfloordiv__(self, other: int) -> int:
        return _combine("//", other, self)

    def __truediv__(self, other: float) -> float:
        return _combine("over", self, other)

    def __rtruediv__(self, other: float) -> float:
        return _combine("over", other, self)


class RealQuantity(float):
    """A real number that remembers the expression it came from, as a `Quantity` does; it multiplies and divides."""

    expression: tuple[Any, ...]

    def __new__(cls, value: float, *expression: Any) -> "RealQuantity":
        self = super().__new__(cls, value)
        self.expression = expression
        return self

    def __mul__(self, other: float) -> float:
        return _combine("*", self, other)

    def __rmul__(self, other: float) -> float:
        return _combine("*", other, self)

    def __truediv__(self, other: float) -> float:
        return _combine("over", self, other)

    def __rtruediv__(self, other: float) -> float:
        return _combine("over", other, self)


def exact_divide(left: int, right: int) -> int:
    """Return left / right where right is known to divide left; explained as a plain fraction."""
    return _combine("/", left, right)


def ceil_divide(left: int, right: int) -> int:
    """Return left / right rounded up to an integer."""
    return _combine("ceil", left, right)


_VALUE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "/": lambda a, b: a // b,
    "ceil": lambda a, b: -(-a // b),
    "over": lambda a, b: a / b,
}


def _is_number(value: int, number: int) -> bool:
    """Whether `value` is the literal `number`, and not a symbol that happens to have that value."""
    return value == number and not isinstance(value, Quantity)


def _combine(operation: str, left: float, right: float) -> Any:
    value = _VALUE[operation](_plain(left), _plain(right))
    if not hasattr(left, "expression") and not hasattr(right, "expression"):
        return value
    remembering = RealQuantity if isinstance(value, float) else Quantity
    return remembering(value, operation, _expression(left), _expression(right))


def _expression(value: float) -> tuple[Any, ...]:
    return getattr(value, "expression", (None, _plain(value)))


def _plain(value: float) -> float:
    return float(value) if isinstance(value, float) else int(value)


_BINDING = {"+": 1, "-": 1, "*": 2, "/": 3, "over": 3, "//": 4, "ceil": 4}
_TEXT = {"+": "{} + {}", "-": "{} - {}", "*": "{} · {}", "/": "{} / {}", "//": "⌊{} / {}⌋", "ceil": "⌈{} / {}⌉"}
_TEXT["over"] = _TEXT["/"]
_LATEX = {
    "+": "{} + {}",
    "-": "{} - {}",
    "*": r"{} \cdot {}",
    "/": r"\frac{{{}}}{{{}}}",
    "//": r"\left\lfloor \frac{{{}}}{{{}}} \right\rfloor",
    "ceil": r"\left\lceil \frac{{{}}}{{{}}} \right\rceil",
}
_LATEX["over"] = _LATEX["/"]


def _render(expression: tuple[Any, ...], *, latex: bool, numbers: bool, outer: int = 0) -> str:
    """Write an expression as text or LaTeX, with its symbols or with the numbers put in."""
    if len(expression) == 2:
        symbol, value = expression
        if symbol is None or numbers:
            return _number(value, latex)
        return _symbol_latex(symbol) if latex else symbol
    operation, left, right = expression
    binding = _BINDING[operation]
    fraction = operation in ("/", "over", "//", "ceil")
    inside = 0 if fraction and latex else 2 if fraction else binding
    # The right side of a minus or of a written-out division must bind tighter than the left; a difference that is
    # added gets its parentheses because a formula reads better so.
    tighter = operation == "-" or (fraction and not latex) or (operation == "+" and right[0] == "-")
    text = (_LATEX if latex else _TEXT)[operation].format(
        _render(left, latex=latex, numbers=numbers, outer=inside),
        _render(right, latex=latex, numbers=numbers, outer=inside + tighter),
    )
    parenthesised = binding < outer or (operation in ("/", "over") and not latex and outer >= 2)
    return f"({text})" if parenthesised else text


def _number(value: float, latex: bool) -> str:
    """Write an integer in full and a real number with six digits, a power of ten apart: 1,024 and 3.12e14."""
    digits, _, power = (f"{value:,.6g}" if isinstance(value, float) else f"{value:,}").partition("e")
    if latex:
        return digits.replace(",", "{,}") + (rf" \times 10^{{{int(power)}}}" if power else "")
    return f"{digits}e{int(power)}" if power else digits


def _symbol_latex(symbol: str) -> str:
    name, _, subscript = symbol.partition("_")
    name = name if len(name) == 1 else rf"\text{{{name}}}"
    return rf"{name}_{{\text{{{subscript}}}}}" if subscript else name


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
        return f"$$\\begin{{aligned}}\n{_symbol_latex(self.name)} {steps}\n\\end{{aligned}}$$"


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
        bound.arguments[name] = _tag(bound.arguments[name], symbol)
    result = form.function(*bound.args, **bound.kwargs)
    results = result if isinstance(result, tuple) else (result,)
    lines = []
    for numbers in (False, True):
        steps = [(_expression(part), numbers) for part in results]
        lines.append(tuple(_join(_render(e, latex=latex, numbers=n) for e, n in steps) for latex in (False, True)))
    values = tuple(_plain(part) for part in results)
    text, latex = (_join(_number(value, latex) for value in values) for latex in (False, True))
    lines.append((f"{text} {form.unit}", rf"{latex}\ \text{{{form.unit}}}"))
    if lines[1] == (text, latex):  # a formula of one symbol: the substitution is the result
        del lines[1]
    return Explanation(form.result, form.unit, values, tuple((line[0], line[1]) for line in lines))


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _tag(value: Any, symbol: Symbol) -> Any:
    """Give the numbers of an argument their symbols: a tuple gets one for each dimension (k_h, k_w), a list of tuples
    one for each position and place (k_1, s_1). Whatever is no number stays for the closed form to refuse."""
    if isinstance(symbol, tuple):
        rows = value if isinstance(value, list | tuple) else []
        return [_tag_row(row, symbol, str(i)) for i, row in enumerate(rows, 1)] or value
    if isinstance(value, list | tuple):
        names = _DIMENSIONS.get(len(value), tuple(str(i + 1) for i in range(len(value))))
        return tuple(_tag(part, f"{symbol}_{name}" if name else symbol) for part, name in zip(value, names, strict=True))
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return RealQuantity(value, symbol, float(value))
    try:
        return Quantity(operator.index(value), symbol, operator.index(value))
    except TypeError:
        return value


def _tag_row(row: Any, symbols: tuple[str, ...], place: str) -> Any:
    if not isinstance(row, list | tuple) or len(row) > len(symbols):
        return row
    return tuple(_tag(part, f"{symbol}_{place}") for part, symbol in zip(row, symbols, strict=False))
