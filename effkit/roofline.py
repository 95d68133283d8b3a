"""The roofline: what speed a piece of work can reach on a machine, from its arithmetic intensity.

Source: S. Williams, A. Waterman and D. Patterson, "Roofline: An Insightful Visual Performance Model for Multicore
Architectures", CACM 52(4), 2009. All results are upper bounds on speed: they are reached when computing and moving data
overlap perfectly and each operand crosses the memory bus once.
"""

from dataclasses import dataclass
from typing import Literal

from effkit.arguments import positive, real
from effkit.formula import can_be_withheld, formula


@formula("I", "FLOPs/byte", flops="FLOPs", bytes="bytes")
def arithmetic_intensity(flops: float, bytes: float) -> float:
    """Return the arithmetic intensity in FLOPs/byte: operations done for each byte moved, I = FLOPs / bytes.

    Raises ValueError unless `flops` is a number of at least 0 and `bytes` a number above 0.

    >>> arithmetic_intensity(600, 400)
    1.5
    """
    return real("flops", flops, may_be_zero=True) / real("bytes", bytes)


@formula("utilisation", "of peak bandwidth", bytes="bytes", time_s="t", bandwidth_bytes_per_s="β")
def bandwidth_utilisation(bytes: float, time_s: float, bandwidth_bytes_per_s: float) -> float:
    """Return the fraction of the peak bandwidth that was used: (bytes / t) / β, for `bytes` moved in `time_s` seconds.

    More than 1 means that part of the data came from a cache, or that the bytes were not counted as they moved.

    Raises ValueError unless `bytes` is a number of at least 0 and the others are numbers above 0.

    >>> bandwidth_utilisation(6e9, 0.004, 2e12)
    0.75
    """
    achieved = real("bytes", bytes, may_be_zero=True) / real("time_s", time_s)
    return achieved / real("bandwidth_bytes_per_s", bandwidth_bytes_per_s)


@dataclass(frozen=True)
class Roofline:
    """A machine by its two ceilings: peak FLOPs per second (π) and bytes per second to its memory (β).

    Raises ValueError unless both are finite numbers above 0.

    >>> machine = Roofline(peak_flops_per_s=100e12, bandwidth_bytes_per_s=2e12)
    >>> machine.ridge_point
    50.0
    >>> machine.bound(10), machine.attainable(10)
    ('memory-bound', 20000000000000.0)
    """

    peak_flops_per_s: float
    bandwidth_bytes_per_s: float

    def __post_init__(self) -> None:
        real("peak_flops_per_s", self.peak_flops_per_s)
        real("bandwidth_bytes_per_s", self.bandwidth_bytes_per_s)

    @property
    @can_be_withheld
    def ridge_point(self) -> float:
        """The arithmetic intensity (FLOPs/byte) at which the two ceilings meet: π / β."""
        return self.peak_flops_per_s / self.bandwidth_bytes_per_s

    @can_be_withheld
    def attainable(self, intensity: float) -> float:
        """Return the FLOPs per second that work of this arithmetic intensity (FLOPs/byte) can reach: min(π, I β).

        Raises ValueError unless `intensity` is a number of at least 0.
        """
        slope = real("intensity", intensity, may_be_zero=True) * self.bandwidth_bytes_per_s
        return float(min(self.peak_flops_per_s, slope))

    @can_be_withheld
    def bound(self, intensity: float) -> Literal["compute-bound", "memory-bound"]:
        """Return which ceiling limits work of this arithmetic intensity (FLOPs/byte); at the ridge point, the compute one.

        Raises ValueError unless `intensity` is a number of at least 0.
        """
        below = real("intensity", intensity, may_be_zero=True) < self.peak_flops_per_s / self.bandwidth_bytes_per_s
        return "memory-bound" if below else "compute-bound"

    @can_be_withheld
    def time(self, flops: float, bytes: float, *, overlap: bool = True) -> float:
        """Return the least time in seconds for `flops` FLOPs that move `bytes` bytes: max(FLOPs / π, bytes / β).

        Without overlap of computing and moving data it is the sum of the two, at most twice as long.

        Raises ValueError unless both are numbers of at least 0.

        >>> Roofline(100e12, 2e12).time(flops=300e12, bytes=1e12)
        3.0
        """
        computing = real("flops", flops, may_be_zero=True) / self.peak_flops_per_s
        moving = real("bytes", bytes, may_be_zero=True) / self.bandwidth_bytes_per_s
        return max(computing, moving) if overlap else computing + moving

    @can_be_withheld
    def critical_batch(self, in_features: int, out_features: int, dtype_bytes: float) -> float | None:
        """Return the batch at which a linear layer without bias reaches the ridge point, or None where none does.

        The intensity of an (m, n) layer at batch B is 2 B m n / (b (B n + m n + B m)). It equals the ridge point r at
        B = r b m n / (2 m n - r b (m + n)), a real number: the first compute-bound batch is the next integer. As B grows the
        intensity approaches 2 m n / (b (m + n)); where the ridge point is not below that, no batch is compute-bound.

        Raises ValueError unless the sizes are integers of at least 1 and `dtype_bytes` (bytes an element; 0.5 for int4) is
        a number above 0.

        >>> Roofline(100e12, 2e12).critical_batch(200, 200, dtype_bytes=2)
        100.0
        """
        m, n = positive("in_features", in_features), positive("out_features", out_features)
        bytes_at_ridge = real("dtype_bytes", dtype_bytes) * self.peak_flops_per_s / self.bandwidth_bytes_per_s
        left = 2 * m * n - bytes_at_ridge * (m + n)
        return bytes_at_ridge * m * n / left if left > 0 else None
