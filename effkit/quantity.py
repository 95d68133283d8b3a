"""Numbers that remember how they were computed, and how such an expression is written as text and as LaTeX.

An expression is a leaf ``(symbol, value)`` or a node ``(operation, left, right)``, with each side a leaf or a node.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

# The symbol of an argument (``C_in`` is C with the subscript "in"), or, for an argument that is a list of tuples,
# one symbol for each position of a tuple.
Symbol: TypeAlias = str | tuple[str, ...]

_DIMENSIONS = {1: ("",), 2: ("h", "w"), 3: ("d", "h", "w")}


class Quantity(int):
    """An integer that remembers the expression it came from."""

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
    value = _VALUE[operation](plain(left), plain(right))
    if not hasattr(left, "expression") and not hasattr(right, "expression"):
        return value
    remembering = RealQuantity if isinstance(value, float) else Quantity
    return remembering(value, operation, expression_of(left), expression_of(right))


def expression_of(value: float) -> tuple[Any, ...]:
    """Return the expression that a number remembers; a plain number is a leaf without a symbol."""
    return getattr(value, "expression", (None, plain(value)))


def plain(value: float) -> float:
    """Return the same int or float without what it remembers."""
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


def render(expression: tuple[Any, ...], *, latex: bool, numbers: bool, outer: int = 0) -> str:
    """Write an expression as text or LaTeX, with its symbols or with the numbers put in."""
    if len(expression) == 2:
        symbol, value = expression
        if symbol is None or numbers:
            return number_text(value, latex)
        return symbol_latex(symbol) if latex else symbol
    operation, left, right = expression
    binding = _BINDING[operation]
    fraction = operation in ("/", "over", "//", "ceil")
    inside = 0 if fraction and latex else 2 if fraction else binding
    # The right side of a minus or of a written-out division must bind tighter than the left; a difference that is
    # added gets its parentheses because a formula reads better so.
    tighter = operation == "-" or (fraction and not latex) or (operation == "+" and right[0] == "-")
    text = (_LATEX if latex else _TEXT)[operation].format(
        render(left, latex=latex, numbers=numbers, outer=inside),
        render(right, latex=latex, numbers=numbers, outer=inside + tighter),
    )
    parenthesised = binding < outer or (operation in ("/", "over") and not latex and outer >= 2)
    return f"({text})" if parenthesised else text


def number_text(value: float, latex: bool) -> str:
    """Write an integer in full and a real number with six digits, a power of ten apart: 1,024 and 3.12e14."""
    digits, _, power = (f"{value:,.6g}" if isinstance(value, float) else f"{value:,}").partition("e")
    if latex:
        return digits.replace(",", "{,}") + (rf" \times 10^{{{int(power)}}}" if power else "")
    return f"{digits}e{int(power)}" if power else digits


def symbol_latex(symbol: str) -> str:
    """Write a symbol as LaTeX, with an upright subscript: C_in is C with the subscript "in"."""
    name, _, subscript = symbol.partition("_")
    name = name if len(name) == 1 else rf"\text{{{name}}}"
    return rf"{name}_{{\text{{{subscript}}}}}" if subscript else name


def tag(value: Any, symbol: Symbol) -> Any:
    """Give the numbers of an argument their symbols: a tuple gets one for each dimension (k_h, k_w), a list of tuples
    one for each position and place (k_1, s_1). Whatever is no number stays for the closed form to refuse."""
    if isinstance(symbol, tuple):
        rows = value if isinstance(value, list | tuple) else []
        return [_tag_row(row, symbol, str(i)) for i, row in enumerate(rows, 1)] or value
    if isinstance(value, list | tuple):
        names = _DIMENSIONS.get(len(value), tuple(str(i + 1) for i in range(len(value))))
        return tuple(tag(part, f"{symbol}_{name}" if name else symbol) for part, name in zip(value, names, strict=True))
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
    return tuple(tag(part, f"{symbol}_{place}") for part, symbol in zip(row, symbols, strict=False))
