"""The ceilings of the machine that runs this: its peak by a square matrix product, its bandwidth by a large copy.

``effkit.hardware.this_machine`` is the way in, and says what is measured how; this module is apart because it needs torch.
The rules of the copy are those of J. McCalpin's STREAM benchmark: each array at least four times the sum of the last-level
caches in use, each byte counted where the program reads or writes it (https://www.cs.virginia.edu/stream/ref.html).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch

from effkit.arguments import positive, real
from effkit.arguments import sizes as integers
from effkit.ceilings_result import CACHES, GAIN, MeasuredMachine, flops_per_s
from effkit.machine import UNKNOWN_CACHE, Call, available_memory, chosen_device, described, last_level_cache, threads
from effkit.timing import measure
from effkit.timing_result import LEAST_SAMPLES, Timing

_DTYPES = {"fp32": torch.float32, "fp64": torch.float64, "bf16": torch.bfloat16, "fp16": torch.float16}
_CALLS = LEAST_SAMPLES + 3  # the samples and the warm-up of a measurement
_LEAST_COPY = 64 * 2**20
_SHARE = 8  # a tensor of the copy, or the three of a product, take at most an eighth of the memory
_UNKNOWN_MEMORY = 4 * 2**30  # bytes assumed where nothing tells

Clock: TypeAlias = Callable[[], float]


def measure_ceilings(
    dtype: str,
    *,
    device: object,
    sizes: int | Sequence[int],
    copy_bytes: int | None,
    max_time_s: float,
    clock: Clock,
    sync: Call | None,
) -> MeasuredMachine:
    """Measure what `effkit.hardware.this_machine` describes; its arguments, its errors."""
    steps = integers("sizes", sizes, dimensions=1, least=1)
    real("max_time_s", max_time_s)
    where = chosen_device(device)
    kind = _torch_dtype(dtype, where)
    budget = _Budget(max_time_s, clock, sync, _reading_s(clock))  # from here on, when the device has woken up
    memory = available_memory(where)
    room = (_UNKNOWN_MEMORY if memory is None else memory) // _SHARE
    cache = last_level_cache(where, threads() or 1)
    wanted = min(max(CACHES * (cache or UNKNOWN_CACHE), _LEAST_COPY), room)
    elements = max((wanted if copy_bytes is None else positive("copy_bytes", copy_bytes)) // kind.itemsize, 1)
    copy = budget.time(_copy(elements, kind, where), max_time_s / 4)
    tried, stopped = _products(steps, kind, where, budget, room)
    size, matmul = max(tried, key=lambda one: flops_per_s(*one))
    return MeasuredMachine(
        dtype=dtype,
        device=described(where),
        multiplies_in=_multiplies_in(dtype, where),
        matmul_size=size,
        matmul=matmul,
        sizes_tried=tuple((size, flops_per_s(size, timing)) for size, timing in tried),
        stopped=stopped,
        copy_bytes=elements * kind.itemsize,
        copy=copy,
        cache_bytes=cache,
    )


@dataclass(frozen=True)
class _Budget:
    """The time of all measurements together, by the clock that times each."""

    max_time_s: float
    clock: Clock
    sync: Call | None
    began_s: float

    def left_s(self) -> float:
        return self.began_s + self.max_time_s - _reading_s(self.clock)

    def time(self, fn: Call, least_s: float) -> Timing:
        """Time `fn` for at most an eighth of the budget, or `least_s` if that is longer."""
        most_s = max(least_s, self.max_time_s / 8)
        return measure(fn, min_time_s=min(0.2, most_s), max_time_s=most_s, clock=self.clock, sync=self.sync)


def _products(
    sizes: Iterable[int], dtype: torch.dtype, device: str, budget: _Budget, room: int
) -> tuple[list[tuple[int, Timing]], str]:
    """Return the timing of a product of each size until larger ones gain nothing, and why there is no larger one."""
    tried: list[tuple[int, Timing]] = []
    best, no_gain = 0.0, 0
    for size in sizes:
        # As if it ran at the best rate so far: the work grows eightfold with each doubling.
        least_s = _CALLS * 2 * size**3 / best if tried else 0.0
        if tried and least_s > budget.left_s():
            return tried, f"{size} would have taken too long"
        if tried and 3 * size**2 * dtype.itemsize > room:
            return tried, f"{size} would have taken too much memory"
        tried.append((size, budget.time(_product(size, dtype, device), least_s)))
        rate = flops_per_s(*tried[-1])
        no_gain = 0 if rate > GAIN * best else no_gain + 1
        best = max(best, rate)
        if no_gain == 2:  # one may be a size that suits the device badly, or a moment when something else ran
            return tried, "two in a row gained nothing"
    return tried, "all that were to be tried"


def _product(size: int, dtype: torch.dtype, device: str) -> Call:
    """Return a product of two random matrices: of constant ones a GPU multiplies faster, because it takes less power.

    See https://www.thonking.ai/p/strangely-matrix-multiplications.
    """
    dice = torch.Generator(device).manual_seed(0)  # its own: torch's stay where the caller has them
    left, right = (torch.randn(size, size, dtype=dtype, device=device, generator=dice) for _ in range(2))  # (size, size)
    return partial(torch.mm, left, right, out=torch.empty_like(left))


def _copy(elements: int, dtype: torch.dtype, device: str) -> Call:
    """Return a copy of a tensor that was written: pages of memory never written are one page of zeros, in the cache."""
    source = torch.ones(elements, dtype=dtype, device=device)  # (elements,)
    return partial(torch.empty_like(source).copy_, source)


def _torch_dtype(dtype: str, device: str) -> torch.dtype:
    """Return torch's object for a dtype that it multiplies matrices of on the device; it tells only when tried."""

    def works(name: str) -> bool:
        try:
            _product(1, _DTYPES[name], device)()
        except (RuntimeError, TypeError):
            return False
        return True

    if dtype not in _DTYPES or not works(dtype):
        names = ", ".join(filter(works, _DTYPES))
        raise ValueError(f"dtype must be one that torch multiplies matrices of on {device} ({names}), not {dtype!r}")
    return _DTYPES[dtype]


def _multiplies_in(dtype: str, device: str) -> str:
    """Return the format that torch is set to multiply in: of fp32, tf32 or bf16 where the caller allowed it."""
    backends: dict[str, Any] = {"cpu": torch.backends.mkldnn, "cuda": torch.backends.cuda}
    backend = backends.get(device.partition(":")[0])
    precision = backend.matmul.fp32_precision if backend and dtype == "fp32" else dtype
    return precision if precision in ("tf32", "bf16") else dtype


def _reading_s(clock: Clock) -> float:
    reading = clock()
    return reading / 1e9 if isinstance(reading, int) else reading
