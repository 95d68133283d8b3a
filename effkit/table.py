"""A module that is also a table: ``effkit.hardware["t4"]`` while `effkit.hardware` stays an ordinary module.

Python lets a module's class be replaced by a subclass of `types.ModuleType` ("Customizing module attribute access" in the
language reference). So ``import effkit.hardware``, ``from effkit import hardware`` and ``effkit.hardware["t4"]`` all mean
the same one object. A mapping in the place of a module of the same name would mean another thing after each import.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any


class Table(ModuleType):
    """A module with read-only rows: ``module[key]``, ``key in module``, ``len(module)``, iteration over its keys."""

    _rows: Callable[[], Mapping[str, Any]]

    def __getitem__(self, key: str) -> Any:
        return look_up(self._rows(), key, self.__name__)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    def __contains__(self, key: object) -> bool:
        return key in self._rows()

    def keys(self) -> list[str]:
        """Return the keys of all rows."""
        return list(self._rows())

    def __repr__(self) -> str:
        return "\n".join(f"{self.__name__}[{key!r}]  {row}" for key, row in self._rows().items())


def make_table(module_name: str, rows: Callable[[], Mapping[str, Any]]) -> None:
    """Make the module of this name a table; `rows` is called when a row is first asked for."""
    module = sys.modules[module_name]
    module.__class__ = Table
    module.__dict__["_rows"] = rows


def look_up(rows: Mapping[str, Any], key: str, where: str) -> Any:
    """Return the row of this key, or the only row whose key begins with it and a "-" or "_".

    Raises KeyError, naming the nearest keys, if there is none or more than one.

    >>> look_up({"x1-small": 1, "x2-small": 2, "x2-large": 3}, "x1", "shop")
    1
    """
    if key in rows:
        return rows[key]
    longer = [name for name in rows if name.startswith((f"{key}-", f"{key}_"))]
    if len(longer) == 1:
        return rows[longer[0]]
    raise KeyError(f"{where} has no {key!r}; " + (did_you_mean(longer) if longer else did_you_mean(nearest(rows, str(key)))))


def nearest(names: Iterable[str], key: str) -> list[str]:
    """Return the names that are spelled most like `key`, or all of them where none is near.

    >>> nearest(["fp32", "fp16", "int8"], "float16")
    ['fp16']
    """
    from difflib import get_close_matches  # only an error needs it

    every = list(names)
    return get_close_matches(key.lower(), every, n=4, cutoff=0.4) or every


def did_you_mean(names: Iterable[str]) -> str:
    """Return the question that ends an error about an unknown name."""
    return f"did you mean {' or '.join(map(repr, names))}?"
