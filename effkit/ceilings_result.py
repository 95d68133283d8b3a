"""The ceilings of a machine as they were measured: their values, their spread and how they were found."""

from dataclasses import asdict, dataclass
from typing import Any

from effkit.machine import UNKNOWN_CACHE
from effkit.roofline import Roofline
from effkit.timing_result import Timing, as_html, as_text, conditions, plural

GAIN = 1.02  # a product is faster if its rate is 2 % above the best so far
CACHES = 4  # a copy is so many times the last-level caches


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
        return flops_per_s(self.matmul_size, self.matmul)

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
        if rate > GAIN * max((earlier for _, earlier in before), default=0.0):
            found.append(f"The product of size {last} was the fastest yet: a larger one may be faster still.")
        if self.multiplies_in != self.dtype:
            found.append(
                f"torch is set to multiply {self.dtype} in {self.multiplies_in}: this is not the peak of {self.dtype}."
            )
        if self.copy_bytes < CACHES * (self.cache_bytes or UNKNOWN_CACHE):
            found.append(f"The copy is smaller than {CACHES} x the last-level cache: part of it may have stayed there.")
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


def flops_per_s(size: int, timing: Timing) -> float:
    """Return the FLOPs per second of an (n, n) x (n, n) product: 2 n³ / the median time."""
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
