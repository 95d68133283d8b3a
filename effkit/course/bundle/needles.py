"""What of a solution must not be read in a bundle, in a form in which spaces, quotes, brackets and line ends do not matter.

A formula is not a solution: a lecture may hold ``params * bits // 8``, but not the statement that returns it. So there are
three sizes of needle, and each kind of text is searched for some of them:

- an *expression* (what a statement returns or assigns, an entry of a dict, a sentence) gives a task away in a lab, where its
  hints are, and in what is written for students;
- a *statement* gives it away in a lecture too;
- a *whole* answer, the function with its first line or a body of several statements, gives it away anywhere, also within
  effkit. Less than that is found there by design: effkit counts what the labs ask for.
"""

import ast
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import dedent

from effkit.course.bundle.texts import LAB, LECTURE, PACKAGE, PROSE, Text, cells_of, source_of

EXPRESSION, STATEMENT, WHOLE = "expression", "statement", "whole"
_SEARCHED = {
    LAB: (EXPRESSION, STATEMENT, WHOLE),
    PROSE: (EXPRESSION, STATEMENT, WHOLE),
    LECTURE: (STATEMENT, WHOLE),
    PACKAGE: (WHOLE,),
}
# How many words, numbers and operators make a needle: fewer stand anywhere by chance.
_LEAST = {EXPRESSION: 5, STATEMENT: 6, WHOLE: 10}
_TOKEN = re.compile(r"[A-Za-z_][\w.]*\w|[A-Za-z_]|\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?|\*\*|//|[-+*/%=<&^~@!?]")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_REGION = re.compile(r"(?ms)^[ \t]*### BEGIN (SOLUTION|HIDDEN TESTS)\b.*?$\n(.*?)^[ \t]*### END \1\b")
_MARK = re.compile(r"(?m)^[ \t]*### (?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS)\b.*\n?")


@dataclass(frozen=True)
class Needle:
    """Tokens that must not stand in a text one after another, and the cell that they come from."""

    tokens: str
    size: str
    lab: str
    cell: str


def tokens(text: str) -> str:
    """Return the words, numbers and operators of a text, separated by blanks."""
    return f" {' '.join(token.replace('_', '') if token[0].isdigit() else token for token in _TOKEN.findall(text))} "


def haystack(text: Text) -> str:
    """Return the tokens of a text as it stands, as it is shown where it is HTML, and as Python without its comments."""
    forms = [text.content]
    if "&" in text.content or _TAG.search(text.content):
        forms.append(html.unescape(_TAG.sub(" ", text.content)))
    if text.code and (tree := parsed(text.content)):
        forms.append(ast.unparse(tree))
    return "|".join(tokens(form) for form in forms)


def found_in(text: Text, needles: list[Needle]) -> set[tuple[str, str]]:
    """Return the solution cells, each with its lab, of which a text gives something away."""
    hay = haystack(text)
    return {(n.lab, n.cell) for n in needles if n.size in _SEARCHED[text.kind] and n.tokens in hay}


def needles_of(lab: str, solution: str, handed_out: str) -> list[Needle]:
    """Return the needles of a lab from the text of its two notebooks. What a stub hands out is none."""
    own = cells_of(solution) or []
    answers = {name for name, cell in own if _nbgrader(cell).get("solution")}
    given = "|".join(tokens(source_of(cell)) for name, cell in cells_of(handed_out) or [] if name in answers)
    found = [
        Needle(needle, size, lab, name)
        for name, cell in own
        for piece, whole in _pieces(source_of(cell), answer=name in answers)
        for size, needle in _cut(piece, whole=whole, code=cell.get("cell_type") == "code")
    ]
    return [n for n in dict.fromkeys(found) if len(n.tokens.split()) >= _LEAST[n.size] and n.tokens not in given]


def _nbgrader(cell: Mapping[str, object]) -> Mapping[str, object]:
    metadata = cell.get("metadata")
    own = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return own if isinstance(own, dict) else {}


def _pieces(source: str, *, answer: bool) -> Iterator[tuple[str, bool]]:
    """Yield what a cell hides, its marked regions and the whole of an answer's cell, and whether it is the whole."""
    regions = [match[2] for match in _REGION.finditer(source)]
    for region in regions:
        yield dedent(region), False
    if answer:
        yield _MARK.sub("", source), True
        if not regions:
            yield source, False


def _cut(piece: str, *, whole: bool, code: bool) -> Iterator[tuple[str, str]]:
    """Yield the needles in a piece of a solution, each with its size."""
    tree = parsed(piece) if code else None
    if whole:
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)] if tree else []
        yield from ((WHOLE, tokens(ast.unparse(function))) for function in functions)
    elif tree is None:
        yield from ((EXPRESSION, tokens(part)) for part in re.split(r"(?<=[.!?:;])\s+|\n\s*\n", piece))
        yield from ((EXPRESSION, tokens(line)) for line in piece.splitlines() if code)
    else:
        if len(tree.body) > 1:
            yield WHOLE, tokens(ast.unparse(tree))
        yield from _statements(tree)


def _statements(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the simple statements of some code, and what they return or assign. Headers and imports give nothing away."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Return | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr | ast.Assert | ast.Raise):
            yield STATEMENT, tokens(ast.unparse(node))
            value = getattr(node, "value", None) or getattr(node, "test", None)
            if value is not None:
                yield EXPRESSION, tokens(ast.unparse(value))
        elif isinstance(node, ast.Dict):
            pairs = ((key, value) for key, value in zip(node.keys, node.values, strict=True) if key)
            yield from ((EXPRESSION, tokens(f"{ast.unparse(key)} {ast.unparse(value)}")) for key, value in pairs)


def parsed(code: str) -> ast.Module | None:
    """Return code as Python's syntax tree; None if it is not Python alone."""
    try:
        return ast.parse(dedent(code))
    except (SyntaxError, ValueError, RecursionError):
        return None
