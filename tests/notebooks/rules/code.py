"""Rules for what code cells say."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator

from nbformat import NotebookNode

_PACKAGES = {"torch", "numpy", "matplotlib"}
_OF_GRADING = {"begin", "check", "progress"}
_MAKERS = {
    *("arange", "array", "as_tensor", "asarray", "bernoulli", "cat", "concatenate", "empty", "eye", "from_numpy", "full"),
    *("linspace", "logspace", "meshgrid", "normal", "ones", "rand", "randint", "randn", "randperm", "stack", "tensor"),
    *("tril", "triu", "zeros", "empty_like", "full_like", "ones_like", "rand_like", "randn_like", "zeros_like"),
}
_RESHAPERS = {"flatten", "permute", "reshape", "transpose", "unflatten", "unsqueeze", "view"}
# A shape in a comment: (), (n,), [B, C, H, W] and the like. A dimension is a name, a number or a product of them.
_SHAPE = re.compile(r"\(\)|[(\[]\w+,?[)\]]|[(\[][^()\[\]]+(,[^()\[\]]+)+[)\]]")


def short_code_cells(notebook: NotebookNode) -> list[str]:
    """A code cell has fewer than 15 lines."""
    lengths = {cell.id: len(cell.source.splitlines()) for cell in _code_cells(notebook)}
    return [f"{cell_id}: {lines} lines" for cell_id, lines in lengths.items() if lines >= 15]


def no_pyplot(notebook: NotebookNode) -> list[str]:
    """No pyplot, whose figures bring state and no alt text, and no %matplotlib, which changes how all others are shown."""
    found = ((cell.id, re.search(r"pyplot|pylab|\bplt\b|%matplotlib", cell.source)) for cell in _code_cells(notebook))
    return [f"{cell_id}: {match.group()}" for cell_id, match in found if match]


def known_imports(notebook: NotebookNode) -> list[str]:
    """Only effkit without its course tools and the inside of the judge, torch, numpy, matplotlib, and Python's own."""
    return [
        f"{cell.id}: imports {name}"
        for cell in _code_cells(notebook)
        for node in ast.walk(parse(cell.source))
        for name in _imported(node)
        if not _may_be_imported(name)
    ]


def shapes_in_comments(notebook: NotebookNode) -> list[str]:
    """A line that makes a tensor tells its shape in a comment, such as ``# (B, C, H, W)``.

    What makes a tensor: torch's and numpy's functions that create or join arrays, the methods that reshape one, and ``@``.
    A statement over several lines has the comment on any of them.
    """
    findings = []
    for cell in _code_cells(notebook):
        comments = _comments(cell.source)
        for first, last in sorted({_lines(path) for path in _paths(parse(cell.source)) if _makes_a_tensor(path[-1])}):
            if not any(_SHAPE.search(comments.get(line, "")) for line in range(first, last + 1)):
                findings.append(f"{cell.id}: no shape comment: {cell.source.splitlines()[first - 1].strip()}")
    return findings


def parse(source: str) -> ast.Module:
    """Parse a cell."""
    return ast.parse(_python(source))


def _python(source: str) -> str:
    """Return a cell in plain Python: a line of %magic or !command counts as `pass`."""
    return re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", source)


def _code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def _may_be_imported(name: str) -> bool:
    package, *inside = name.split(".")
    if package != "effkit":
        return package in _PACKAGES | sys.stdlib_module_names
    if inside[:1] == ["grading"]:
        return inside[1:] in [[public] for public in _OF_GRADING] + [["check", "check"]]
    return inside[:1] != ["course"]


def _paths(node: ast.AST, above: tuple[ast.AST, ...] = ()) -> Iterator[tuple[ast.AST, ...]]:
    """Yield each node of a tree with all nodes above it."""
    yield (*above, node)
    for child in ast.iter_child_nodes(node):
        yield from _paths(child, (*above, node))


def _makes_a_tensor(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    root = node.func.value
    while isinstance(root, ast.Attribute):
        root = root.value
    of_a_library = isinstance(root, ast.Name) and root.id in {"torch", "np", "numpy"}
    return node.func.attr in _RESHAPERS or (of_a_library and node.func.attr in _MAKERS)


def _lines(path: tuple[ast.AST, ...]) -> tuple[int, int]:
    """Return the first and last line where the comment of a node may stand."""
    node = path[-1]
    statement = next(above for above in reversed(path) if isinstance(above, ast.stmt))
    around = node if hasattr(statement, "body") else statement  # of a loop or a function, its head only
    return node.lineno, around.end_lineno  # type: ignore[attr-defined]


def _comments(source: str) -> dict[int, str]:
    lines = io.StringIO(_python(source))
    return {
        token.start[0]: token.string for token in tokenize.generate_tokens(lines.readline) if token.type == tokenize.COMMENT
    }
