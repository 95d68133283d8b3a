"""The ceilings of the machine that runs this: its peak by a square matrix product, its bandwidth by a large copy.

``effkit.hardware.this_machine`` is the way in, and says what is measured how; this module is apart because it needs torch.
The rules of the copy are those of J. McCalpin's STREAM benchmark: each array at least four times the sum of the last-level
caches in use, each byte counted where the program reads or writes it (https://www.cs.virginia.edu/stream/ref.html).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeAlias

import torch

from effkit.arguments import positive, real
from effkit.arguments import sizes as integers
from effkit.machine import UNKNOWN_CACHE, Call, available_memory, chosen_device, described, last_level_cache, threads
from effkit.roofline import Roofline
from effkit.timing import measure
from effkit.timing_result import LEAST_SAMPLES, Timing, as_html, as_text, conditions, plural

_DTYPES = {"fp32": torch.float32, "fp64": torch.float64, "bf16": torch.bfloat16, "fp16": torch.float16}
_GAIN = 1.02  # a product is faster if its rate is 2 % above the best so far
_CALLS = LEAST_SAMPLES + 3  # the samples and the warm-up of a measurement
_CACHES, _LEAST_COPY = 4, 64 * 2**20
_SHARE = 8  # a tensor of the copy, or the three of a product, take at most an eighth of the memory
_UNKNOWN_MEMORY = 4 * 2**30  # bytes assumed where nothing tells

Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, repr=False)
class MeasuredMachine:
    """The ceilings of a machine at a dtype as they were measured, and how: `matmul` of the fastest size, `copy` of a tensor.

    `sizes_tried` has each size n of an (n, n) x (n, n) product with its FLOPs per second, `stopped` why there is no larger
    one, and `multiplies_in` the format that it multiplies in. `copy_bytes` are those of the tensor that was copied, and
    `cache_bytes` those of the last-level caches (None where unknown). A rate is work / median time, its IQR the width of
    the middle half of the rates.
    """

    dtype: str
    device: str
    multiplies_in: str
    matmul_size: int
    matmul: Timing
    sizes_tried: tuple[tuple[int, float], ...]
    stopped: str
    copy_bytes: int
    copy: Timing
    cache_bytes: int | None

    @property
    def peak_flops_per_s(self) -> float:
        """Peak FLOPs per second: 2 n³ / the median time of the product, of the size with the highest."""
        return _flops_per_s(self.matmul_size, self.matmul)

    @property
    def peak_iqr_flops_per_s(self) -> float:
        """Interquartile range of the FLOPs per second of the product."""
        return _iqr(2 * self.matmul_size**3, self.matmul)

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Bytes per second to and from memory: twice the bytes copied (read once, written once) / the median time."""
        return 2 * self.copy_bytes / self.copy.median_s

    @property
    def bandwidth_iqr_bytes_per_s(self) -> float:
        """Interquartile range of the bytes per second of the copy."""
        return _iqr(2 * self.copy_bytes, self.copy)

    def roofline(self, dtype: str | None = None) -> Roofline:
        """Return the roofline of the two medians. Raises ValueError for a dtype other than the one that was measured."""
        if dtype not in (None, self.dtype):
            raise ValueError(f"dtype must be the one that was measured, {self.dtype!r}, not {dtype!r}")
        return Roofline(self.peak_flops_per_s, self.bandwidth_bytes_per_s)

    @property
    def how(self) -> str:
        """How the two were measured, in words."""
        return " ".join(f"{name[0].upper()}{name[1:]}: {text}." for name, text in self._rows()[3:])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the ceilings less certain, in words: of the two measurements, then of what they measured."""
        found = [f"Product: {text}" for text in self.matmul.warnings] + [f"Copy: {text}" for text in self.copy.warnings]
        *before, (last, rate) = self.sizes_tried
        if rate > _GAIN * max((earlier for _, earlier in before), default=0.0):
            found.append(f"The product of size {last} was the fastest yet: a larger one may be faster still.")
        if self.multiplies_in != self.dtype:
            found.append(
                f"torch is set to multiply {self.dtype} in {self.multiplies_in}: this is not the peak of {self.dtype}."
            )
        if self.copy_bytes < _CACHES * (self.cache_bytes or UNKNOWN_CACHE):
            found.append(f"The copy is smaller than {_CACHES} x the last-level cache: part of it may have stayed there.")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the ceilings, their spread, the two timings and the conditions as plain JSON values."""
        names = ("peak_flops_per_s", "peak_iqr_flops_per_s", "bandwidth_bytes_per_s", "bandwidth_iqr_bytes_per_s", "how")
        derived = {name: getattr(self, name) for name in names}
        timings = {"matmul": self.matmul.to_dict(), "copy": self.copy.to_dict()}
        lists = {"sizes_tried": [list(pair) for pair in self.sizes_tried], "warnings": list(self.warnings)}
        return {**asdict(self), **derived, **timings, **lists}

    def _rows(self) -> list[tuple[str, str]]:
        tried = ", ".join(str(size) for size, _ in self.sizes_tried)
        product = f"matrix product of size {self.matmul_size}, {_samples(self.matmul)}; tried: {tried} ({self.stopped})"
        cache = f"last-level cache {_mib(self.cache_bytes)}" if self.cache_bytes else "last-level cache unknown"
        # An ordinary store first reads the line that it overwrites: a third stream, which the program did not ask for.
        bound = ": a lower bound, write-allocate may move up to 1.5 x as many" if self.device == "cpu" else ""
        copy = f"copy of {_mib(self.copy_bytes)} ({cache}), {_samples(self.copy)}; bytes read + bytes written count{bound}"
        peak = _rate(self.peak_flops_per_s, self.peak_iqr_flops_per_s, "FLOPs/s")
        bandwidth = _rate(self.bandwidth_bytes_per_s, self.bandwidth_iqr_bytes_per_s, "B/s")
        return [
            ("peak", peak),
            ("bandwidth", bandwidth),
            ("ridge point", f"{self.peak_flops_per_s / self.bandwidth_bytes_per_s:.4g} FLOPs/byte"),
            ("measured on", conditions(self.device, self.matmul.threads, self.dtype)),
            ("peak by", product),
            ("bandwidth by", copy),
        ]

    def __repr__(self) -> str:
        return as_text(self._rows(), self.warnings)

    def _repr_html_(self) -> str:
        return as_html(self._rows(), self.warnings, "effkit-machine")


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
    wanted = min(max(_CACHES * (cache or UNKNOWN_CACHE), _LEAST_COPY), room)
    elements = max((wanted if copy_bytes is None else positive("copy_bytes", copy_bytes)) // kind.itemsize, 1)
    copy = budget.time(_copy(elements, kind, where), max_time_s / 4)
    tried, stopped = _products(steps, kind, where, budget, room)
    size, matmul = max(tried, key=lambda one: _flops_per_s(*one))
    return MeasuredMachine(
        dtype=dtype,
        device=described(where),
        multiplies_in=_multiplies_in(dtype, where),
        matmul_size=size,
        matmul=matmul,
        sizes_tried=tuple((size, _flops_per_s(size, timing)) for size, timing in tried),
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
        rate = _flops_per_s(*tried[-1])
        no_gain = 0 if rate > _GAIN * best else no_gain + 1
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


def _flops_per_s(size: int, timing: Timing) -> float:
    return 2 * size**3 / timing.median_s


def _iqr(work: int, timing: Timing) -> float:
    """Return the interquartile range of the rates work / time: the fast quarter of the times has the high rates."""
    return work / timing.percentile(25) - work / timing.percentile(75)


def _rate(median: float, iqr: float, unit: str) -> str:
    """Write a rate and its spread, 2.5e9 FLOPs/s as "2.5 GFLOPs/s"."""
    prefix, scale = next((pair for pair in (("T", 1e12), ("G", 1e9), ("M", 1e6)) if median >= pair[1]), ("", 1.0))
    return f"{median / scale:,.4g} {prefix}{unit}, IQR {iqr / scale:.3g} {prefix}{unit} ({iqr / median:.1%} of the median)"


def _samples(timing: Timing) -> str:
    return f"median of {plural(timing.n, 'sample')}"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.4g} MiB"
