"""A graded task is data: a reference, groups of cases, and the mistakes that students are known to make."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

# One call's arguments, in the order of `Task.arguments`: plain JSON values only.
Case: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Misconception:
    """A wrong formula that students are known to use, and the hint that helps."""

    name: str
    formula: Callable[..., Any]
    hint: str


@dataclass(frozen=True)
class Group:
    """Cases that earn their points together: every one of them must be right."""

    name: str
    points: int
    cases: tuple[Case, ...] = ()
    sample: Callable[[Random], Case] | None = None
    random_cases: int = 4
    entries: tuple[str, ...] = ()  # where the answer is a dict: the entries that count here; () means all


@dataclass(frozen=True)
class Task:
    """What a student's function must do, and what it is worth.

    A case is plain JSON. Where the function needs live arguments, `build` makes them from the case, the same way
    wherever the function runs, and `describe` says in words what they are.
    """

    name: str
    arguments: tuple[str, ...]
    reference: Callable[..., Any]
    groups: tuple[Group, ...]
    misconceptions: tuple[Misconception, ...] = ()
    build: Callable[..., tuple[Any, ...]] | None = None
    describe: Callable[..., str] | None = None
    cpu_budget_s: float = 5.0

    @property
    def points(self) -> int:
        """Return the points that a full solution earns."""
        return sum(group.points for group in self.groups)

    def cases(self, seed: int) -> list[tuple[Group, Case]]:
        """Return every case of a run with its group; `seed` decides the random ones and nothing else does."""
        return [(group, case) for group in self.groups for case in self._group_cases(group, seed)]

    def _group_cases(self, group: Group, seed: int) -> Iterator[Case]:
        yield from group.cases
        if group.sample:
            random = Random(f"{seed}/{self.name}/{group.name}")
            for _ in range(group.random_cases):
                yield group.sample(random)

    def call_arguments(self, case: Case) -> tuple[Any, ...]:
        """Return fresh arguments for one call. Lists become tuples, so that no call can change a case."""
        return self.build(*case) if self.build else tuple(_frozen(value) for value in case)

    def call_text(self, case: Case) -> str:
        """Return the call as a student would write it."""
        if self.describe:
            return f"{self.name}({self.describe(*case)})"
        values = (f"{name}={_frozen(value)!r}" for name, value in zip(self.arguments, case, strict=True))
        return f"{self.name}({', '.join(values)})"


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list | tuple) else value
