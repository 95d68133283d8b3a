"""A small timer to trust: how long a call takes, how much that varies, and under which conditions it was measured.

Blocks of calls and the limits of the noise warnings come from `torch.utils.benchmark`. Its `Timer` itself is not used: its
statement is a string, it needs torch, it sets one thread where not told otherwise, it has no cold cache, no percentiles and
no warm-up by time, and its clock and its wait for the device are a single argument. The two agree on a matrix product
where their blocks have the same number of calls: ``python -m benchmarks.timer_agreement``.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from effkit.arguments import integer, positive
from effkit.machine import Call, device_of, emptied, nothing, threads, wait_for
from effkit.timing_result import BLOCK, FLUCTUATION, LEAST_SAMPLES, Timing, percentile

__all__ = ["Timing", "measure", "overhead"]

_STANDSTILL = 10_000  # calls of fn


def measure(
    fn: Call,
    *,
    warmup: int = 3,
    warmup_s: float = 0.05,
    min_time_s: float = 0.2,
    max_time_s: float | None = None,
    batch: int | None = None,
    cache: str | Call = "hot",
    clock: Callable[[], float] = time.perf_counter_ns,
    sync: Call | None = None,
) -> Timing:
    """Time `fn`, a function of no arguments: the same input in each call, in ``torch.no_grad()`` where that is meant.

    Warm-up: at least `warmup` calls and at least `warmup_s` seconds, all discarded. Then samples, each a block of calls long
    beside the clock's step, until there are ten, `min_time_s` has passed and IQR / median is below 0.1; or until
    `max_time_s`, which also bounds the warm-up (by default 5 s, or `min_time_s` if that is longer). A call is never
    interrupted: the slowest function still gets one warm-up call and one sample. Garbage collection is off meanwhile.

    `batch` is the number of items in one call, for the throughput. `cache` "hot" leaves the caches as the last call left
    them; "cold" overwrites a buffer of twice the last-level cache before each sample, outside the timed region, and makes
    one call a sample; a function of your own empties what it will. `clock` returns nanoseconds as an int or seconds as a
    float. `sync` waits for the device, before a block starts and before it stops, never between its calls; by default
    for torch's accelerator (CUDA, MPS, XPU) where torch is loaded and has one.

    Raises TypeError if `fn` is no function, ValueError for an impossible argument or a clock that stands still, and
    whatever `fn` raises.

    >>> now = [0]
    >>> def work():  # takes two milliseconds by this clock
    ...     now[0] += 2_000_000
    >>> timing = measure(work, batch=32, clock=lambda: now[0])
    >>> timing.median_s, timing.n, timing.throughput_per_s
    (0.002, 100, 16000.0)
    """
    max_time_s = max(5.0, min_time_s) if max_time_s is None else max_time_s
    _check_arguments(fn, warmup, batch, cache, (warmup_s, min_time_s, max_time_s))
    now = _nanoseconds(clock)
    with _garbage_collection_off():
        began = now()
        result = fn() if warmup else None  # the first call also tells where it ran
        device = device_of(result)
        dtype = getattr(result, "dtype", None)
        del result
        flush, cache_name = emptied(cache, device)
        stopwatch = _Stopwatch(now, sync or wait_for(device))
        call_ns = stopwatch.warm_up(fn, began, warmup, warmup_s * 1e9, max_time_s * 1e9)
        resolution = stopwatch.resolution_ns()
        calls = 1 if cache != "hot" else stopwatch.calls_per_block(fn, call_ns, resolution)
        samples = stopwatch.samples_s(fn, calls, flush, min_time_s * 1e9, max_time_s * 1e9)
    return Timing(
        samples_s=tuple(samples),
        inner_n=calls,
        batch=batch,
        threads=threads(),
        device=device,
        dtype=None if dtype is None else str(dtype).removeprefix("torch."),
        clock=getattr(clock, "__name__", type(clock).__name__),
        resolution_s=resolution / 1e9,
        cache=cache_name,
    )


def overhead(*, clock: Callable[[], float] = time.perf_counter_ns, sync: Call | None = None) -> Timing:
    """Time a call that does nothing: what `measure` adds to every call (the loop and Python's call), never subtracted.

    The arguments are those of `measure`. A function that takes less than ten times this median is mostly Python.
    """
    return measure(nothing, clock=clock, sync=sync)


@dataclass(frozen=True)
class _Stopwatch:
    clock: Callable[[], int]
    wait: Call

    def block_ns(self, fn: Call, calls: int) -> int:
        """Return the nanoseconds that a block of calls takes until the device has finished the last of them."""
        self.wait()
        start = self.clock()
        for _ in range(calls):
            fn()
        self.wait()
        return self.clock() - start

    def warm_up(self, fn: Call, began: int, warmup: int, least_ns: float, most_ns: float) -> int:
        """Go on after a first call made at `began`; return the nanoseconds of the fastest call.

        Each call is waited for: a device's queue takes calls faster than it works, and time would seem not to pass.
        """
        self.wait()
        calls = 1 if warmup else 0
        fastest = self.clock() - began if warmup else self.block_ns(fn, 1)
        while (spent := self.clock() - began) < most_ns and (calls < warmup or spent < least_ns):
            fastest = min(fastest, self.block_ns(fn, 1))
            calls += 1
            _check_clock(spent, calls)
        return fastest

    def resolution_ns(self) -> int:
        """Return the smallest step among 10,000 readings of the clock; 1 where it makes none (a clock in a test)."""
        readings = [self.clock() for _ in range(10_000)]
        return min((after - before for before, after in pairwise(readings) if after > before), default=1)

    def calls_per_block(self, fn: Call, call_ns: int, resolution_ns: int) -> int:
        """Return how many calls make a block long beside the clock's step and beside the wait for the device."""
        empty = min(self.block_ns(fn, 0) for _ in range(5))
        least = BLOCK * max(resolution_ns, empty)
        calls, elapsed = 1, call_ns
        while elapsed < least:
            # Twice what seems enough: later blocks may run faster.
            calls = min(10 * calls, math.ceil(2 * calls * least / max(elapsed, 1)))
            elapsed = self.block_ns(fn, calls)
            _check_clock(elapsed, calls)
        return calls

    def samples_s(self, fn: Call, calls: int, prepare: Call, least_ns: float, most_ns: float) -> list[float]:
        """Return the time of a call in each block, until they are enough and quiet or the time is up."""
        samples: list[float] = []
        began, look = self.clock(), least_ns
        while True:
            prepare()
            samples.append(self.block_ns(fn, calls) / calls / 1e9)
            spent = self.clock() - began
            _check_clock(spent, len(samples))
            if spent >= most_ns:
                return samples
            if spent >= look and len(samples) >= LEAST_SAMPLES:
                first, median, third = (percentile(sorted(samples), percent) for percent in (25, 50, 75))
                if third - first < FLUCTUATION * median or third == first:
                    return samples
                look = 2 * spent  # sorting after every block would take the caches from fn


def _check_arguments(fn: object, warmup: int, batch: int | None, cache: object, times: tuple[float, float, float]) -> None:
    if not callable(fn):
        raise TypeError(f"fn must be a function of no arguments, not {type(fn).__name__}: write measure(lambda: f(x))")
    integer("warmup", warmup, least=0)
    if batch is not None:
        positive("batch", batch)
    if cache not in ("hot", "cold") and not callable(cache):
        raise ValueError(f"cache must be 'hot', 'cold' or a function that empties it, not {cache!r}")
    warmup_s, least, most = times
    if not 0 <= least <= most < math.inf or not 0 <= warmup_s < math.inf:
        rule = "0 <= min_time_s <= max_time_s and 0 <= warmup_s, all finite"
        raise ValueError(f"times must satisfy {rule}, not {warmup_s=}, min_time_s={least}, max_time_s={most}")


def _check_clock(spent_ns: int, calls: int) -> None:
    if not spent_ns and calls >= _STANDSTILL:
        raise ValueError(f"clock must move: it stood still during {calls:,} calls of fn")


def _nanoseconds(clock: Callable[[], float]) -> Callable[[], int]:
    """Return the clock in integer nanoseconds: a float is a number of seconds, as from time.perf_counter."""
    return clock if isinstance(clock(), int) else lambda: round(clock() * 1e9)  # type: ignore[return-value]


@contextmanager
def _garbage_collection_off() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        (gc.enable if was_on else gc.disable)()
