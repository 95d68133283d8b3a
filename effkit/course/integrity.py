"""Looks through a student's code for ways round the work: evidence for a person to read. It never costs a point."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from nbformat import NotebookNode

from effkit.course.records import Record

_COUNTERS = ("effkit.counts", "effkit.profiling", "effkit.grading", "torch.utils.flop_counter")
_COUNTING_NAMES = {"counts", "profile", "profiling", "explain", "grading"}
_HOOKS = {
    "sys": {"settrace", "setprofile", "excepthook", "displayhook", "meta_path", "path_hooks", "modules", "_getframe"},
    "threading": {"settrace", "setprofile"},
    "gc": {"get_objects", "get_referrers"},
    "ctypes": {"pythonapi", "memmove", "cast"},
    "builtins": {"__import__", "print", "len", "sum", "isinstance", "float", "int", "compile", "exec"},
}
_HOOK_MODULES = {"ctypes", "ptrace", "sqlite3", "socket", "subprocess", "IPython.core", "ipykernel", "inspect", "dis"}
_SHELL_INTERNALS = re.compile(
    r"ast_transformers|input_transformers\w*|display_pub|displayhook|run_cell\w*|user_ns|events|kernel|session|iopub_socket"
    r"|set_custom_exc|showtraceback|register_magic\w*|compile"
)
_ODD_METHODS = {
    "__eq__",
    "__ne__",
    "__index__",
    "__float__",
    "__int__",
    "__hash__",
    "__instancecheck__",
    "tolist",
    "__del__",
}
_MAX_FLAGS = 20
_COMMAND = re.compile(r"^\s*[%!]", re.MULTILINE)


def scan(notebook: NotebookNode, ours: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the flags of a submission; `ours` are sources that the lab has itself and that are not looked at."""
    known = set(ours)
    flags = []
    for number, cell in enumerate(notebook.cells):
        own = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or cell.source in known or (own.get("locked") and not own.get("solution")):
            continue
        name = str(own.get("grade_id") or cell.get("id") or f"cell {number}")
        flags += [{"kind": kind, "cell": name, "line": line, "text": text} for kind, line, text in _found(cell.source)]
    return flags[:_MAX_FLAGS]


def _found(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield (kind, line number, line) for each suspicious line of a cell, once."""
    try:
        tree = ast.parse(_COMMAND.sub(lambda m: "#" * len(m[0].lstrip("\n")), source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # it cannot have run either, but for a magic in the middle of a line
    lines, seen = source.splitlines(), set()
    try:
        for node in ast.walk(tree):
            kind, line = _kind(node), getattr(node, "lineno", 0)
            if kind and (kind, line) not in seen:
                seen.add((kind, line))
                yield kind, line, lines[line - 1].strip()[:160] if line <= len(lines) else ""
    except RecursionError:
        return


def _kind(node: ast.AST) -> str:
    """Return what is suspicious about one node, or an empty string."""
    if isinstance(node, ast.Import):
        return next(filter(None, (_module_kind(alias.name) for alias in node.names)), "")
    if isinstance(node, ast.ImportFrom):
        return _import_from_kind(node)
    if isinstance(node, ast.Attribute):
        return _attribute_kind(node)
    if isinstance(node, ast.FunctionDef) and node.name in _ODD_METHODS:
        return "operator of its own"
    if isinstance(node, ast.Name) and node.id == "__builtins__":
        return "interpreter hook"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "vnd.effkit" in node.value:
        return "forged result"
    return ""


def _module_kind(name: str) -> str:
    if any(name == module or name.startswith(f"{module}.") for module in _COUNTERS):
        return "reference used"
    if any(name == module or name.startswith(f"{module}.") for module in _HOOK_MODULES):
        return "system access"
    return ""


def _import_from_kind(node: ast.ImportFrom) -> str:
    module = node.module or ""
    names = {alias.name for alias in node.names}
    if module == "effkit" and names & _COUNTING_NAMES:
        return "reference used"
    if module == "effkit.grading" and names <= {"begin", "check", "progress"}:
        return ""
    if names & _HOOKS.get(module, set()):
        return "interpreter hook"
    return _module_kind(module)


def _attribute_kind(node: ast.Attribute) -> str:
    dotted = _dotted(node)
    first, _, rest = dotted.partition(".")
    if first == "effkit" and rest.split(".")[0] in _COUNTING_NAMES:
        return "reference used"
    if rest and rest.split(".")[0] in _HOOKS.get(first, ()):
        return "interpreter hook"
    of_shell = isinstance(node.value, ast.Call) and _dotted(node.value.func).endswith("get_ipython")
    if (of_shell or first in ("ip", "shell")) and _SHELL_INTERNALS.fullmatch(node.attr):
        return "interpreter hook"
    if node.attr in ("ast_transformers", "input_transformers_cleanup", "input_transformers_post", "display_pub"):
        return "interpreter hook"
    if isinstance(node.ctx, ast.Store) and first == "builtins":
        return "interpreter hook"
    if isinstance(node.ctx, ast.Store) and first in ("torch", "numpy", "np", "effkit", "math", "json"):
        return "library changed"
    if node.attr in ("__globals__", "__code__", "__subclasses__", "f_back", "f_locals", "f_globals", "__closure__"):
        return "interpreter hook"
    return ""


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def flag_identical(records: Iterable[Record]) -> None:
    """Flag wrong answers of a kind of their own that a few students share, in place of earlier such flags."""
    records = list(records)
    shared: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        record.flags = [flag for flag in record.flags if flag["kind"] != "identical wrong answers"]
        if record.misconceptions:
            continue  # one task builds on another, and a mistake that many make shows again in the next
        for task, digest in record.wrong.items():
            shared[task, digest].append(record)
    for (task, _), group in sorted(shared.items()):
        # What a tenth of the class answers is a common mistake that no task names yet, and nothing to accuse anybody of.
        if not 2 <= len(group) <= max(3, len(records) // 10):
            continue
        names = sorted(record.student for record in group)
        for record in group:
            others = ", ".join(name for name in names if name != record.student)
            text = f"the same wrong answers as {others}"
            record.flags.append({"kind": "identical wrong answers", "cell": task, "line": 0, "text": text})
