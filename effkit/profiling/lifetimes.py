"""Which tensors a forward pass has in memory at each step, from the step that makes one to the last step that reads it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

# Steps that can write over an operand of the same size that nothing reads again.
IN_PLACE = frozenset({"activation", "elementwise", "batch_norm"})


@dataclass
class Lifetimes:
    """The steps of a forward pass: the buffers that each one reads and makes.

    A buffer is an index into `sizes`, the elements and the bits of each of them. Parameters are no buffers.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    steps: list[tuple[str, str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)  # name, kind, reads, makes
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def new(self, elements: int, bits: int) -> int:
        """Return a new buffer."""
        self.sizes.append((elements, bits))
        return len(self.sizes) - 1

    def timeline(self, weigh: Callable[[int], float]) -> list[tuple[str, float]]:
        """Return the name of each step and what is in memory during it: elements, each weighed by its bits.

        Only the first result of a step counts if nothing reads the others.
        """
        last_read = self._last_reads()
        place = self._places(last_read)
        born: dict[int, int] = dict.fromkeys(self.inputs, 0)
        died: dict[int, int] = {buffer: last_read[buffer] for buffer in self.inputs if buffer in last_read}
        for step, (_, _, _, makes) in enumerate(self.steps):
            for position, buffer in enumerate(makes):
                if position == 0 or buffer in last_read:
                    home = place.get(buffer, buffer)
                    born.setdefault(home, step)
                    died[home] = max(died.get(home, step), last_read.get(buffer, step))
        change: list[float] = [0] * (len(self.steps) + 2)
        for home, begin in born.items():
            if home in died:
                elements, bits = self.sizes[home]
                change[begin] += elements * weigh(bits)
                change[died[home] + 1] -= elements * weigh(bits)
        return [(name, live) for (name, *_), live in zip(self.steps, accumulate(change), strict=False)]

    def _last_reads(self) -> dict[int, int]:
        last = {buffer: step for step, (_, _, reads, _) in enumerate(self.steps) for buffer in reads}
        return last | dict.fromkeys(self.outputs, len(self.steps))  # kept beyond the last step

    def _places(self, last_read: dict[int, int]) -> dict[int, int]:
        """Return the buffer in whose memory each buffer lies that was written over another one."""
        place: dict[int, int] = {}
        for step, (_, kind, reads, makes) in enumerate(self.steps):
            if kind in IN_PLACE and makes:
                free = [b for b in reads if last_read[b] == step and self.sizes[b] == self.sizes[makes[0]]]
                if free and makes[0] not in reads:
                    place[makes[0]] = place.get(free[0], free[0])
        return place
