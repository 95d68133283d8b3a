"""Presets of real devices, ``effkit.hardware["a100-80gb-sxm"].roofline("fp16")``, and the machine at hand, `this_machine`.

The figures are in hardware.json beside this file, each with its source and confidence. Peaks are *dense*: data sheets since
the A100 often print twice as much, which holds only for weights with 2:4 structured sparsity. They are those of the tensor
cores where a device has them for that dtype, adding in FP32. Nobody reaches a peak: 78 to 87 % of it is a very good matrix
product. A key may be cut short where only one device begins so ("raspberry-pi-5").
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from effkit.roofline import Roofline
from effkit.table import make_table

if TYPE_CHECKING:
    from effkit.ceilings_result import MeasuredMachine


@dataclass(frozen=True)
class Figure:
    """One number of a device, never without its unit, its confidence (high, medium or low) and its source."""

    value: float
    unit: str
    confidence: str
    source: str
    unit_used: str = ""


@dataclass(frozen=True, eq=False)
class Device:
    """A device: its peaks by dtype, its memory and the way to it, and what is doubtful about the figures (`note`).

    `bandwidth` is in bytes/s, `memory` in bytes (None where it is not fixed), `peaks` in FLOPs or integer operations a
    second, `on_chip` a text.

    >>> from effkit import hardware
    >>> t4 = hardware["t4"]
    >>> t4.bandwidth.value, t4.bandwidth.confidence
    (320000000000.0, 'medium')
    """

    key: str
    name: str
    bandwidth: Figure
    memory: Figure | None
    on_chip: str
    peaks: Mapping[str, Figure]
    note: str

    def roofline(self, dtype: str) -> Roofline:
        """Return the roofline of this device at a dtype, one of `peaks`, from its dense peak and its bandwidth.

        Raises ValueError, naming the dtypes that it has, for another.

        >>> from effkit import hardware
        >>> hardware["v100-sxm2"].roofline("fp16").ridge_point
        138.88888888888889
        """
        if dtype not in self.peaks:
            raise ValueError(f"dtype must be one that {self.name} has a peak for ({', '.join(self.peaks)}), not {dtype!r}")
        return Roofline(self.peaks[dtype].value, self.bandwidth.value)

    def __repr__(self) -> str:
        peaks = ", ".join(f"{dtype} {figure.value / 1e12:.4g}" for dtype, figure in self.peaks.items())
        memory = f" to {self.memory.value / 1e9:g} GB" if self.memory else ""
        return f"{self.name}: {self.bandwidth.value / 1e9:,g} GB/s{memory}; dense peaks in 10^12 a second: {peaks}"


@cache
def devices() -> Mapping[str, Device]:
    """Return every device by its key, the slug of its name: lower-case letters and digits, all else a hyphen."""
    records = json.loads(Path(__file__).with_name("hardware.json").read_text(encoding="utf-8"))
    return MappingProxyType({device.key: device for device in map(_device, records)})


def _device(record: dict[str, Any]) -> Device:
    def figure(row: dict[str, Any], unit: str) -> Figure:
        return Figure(unit=unit, **{"source": record["source"], **row})

    peaks = {dtype: figure(row, "OP/s" if dtype.startswith("int") else "FLOP/s") for dtype, row in record["peaks"].items()}
    return Device(
        key=re.sub(r"[^a-z0-9]+", "-", record["name"].lower()).strip("-"),
        name=record["name"],
        bandwidth=figure(record["bandwidth"], "bytes/s"),
        memory=figure(record["memory"], "bytes") if "memory" in record else None,
        on_chip=record["on_chip"]["value"] if "on_chip" in record else "",
        peaks=MappingProxyType(peaks),
        note=record["note"],
    )


def this_machine(
    dtype: str = "fp32",
    *,
    device: object = None,
    sizes: int | Sequence[int] = (256, 512, 1024, 2048, 4096, 8192, 16384),
    copy_bytes: int | None = None,
    max_time_s: float = 3.0,
    clock: Callable[[], float] = time.perf_counter_ns,
    sync: Callable[[], object] | None = None,
) -> "MeasuredMachine":
    """Measure the two ceilings of the machine that runs this, in about `max_time_s` seconds: ``this_machine().roofline()``.

    Peak FLOPs/s: an (n, n) x (n, n) matrix product, 2 n³ FLOPs, at each n of `sizes` until two in a row gain nothing (2 %),
    or the next would take too long or too much memory; the highest median rate counts. It is what torch reaches at this
    dtype: data sheets promise more.

    Bandwidth in bytes/s: a copy of `copy_bytes`, by default at least four times the last-level caches that the threads
    reach, at most an eighth of the free memory. Each byte counts twice, read once and written once. Ordinary stores of a
    CPU also read each line that they overwrite (write-allocate), so that 1.5 times as much may really move: it is a
    lower bound.

    Let nothing else run meanwhile: where a core is taken, all threads wait for the one that lost it, and a rate can be far
    too low although its spread is small.

    `dtype` is fp32, fp64, bf16 or fp16 where torch multiplies it. `device` is one that torch has, by default the
    accelerator (CUDA, MPS) or else the CPU, with the threads that torch is set to. `clock` and `sync` are those of
    `effkit.measure`, which does the timing. The result says how it was measured and what makes it uncertain.

    Raises ValueError, naming the argument and the rule, for a dtype or device that is not there, an impossible size or time.

    >>> from effkit import hardware
    >>> hardware.this_machine("int8", device="cpu")
    Traceback (most recent call last):
    ValueError: dtype must be one that torch multiplies matrices of on cpu (fp32, fp64, bf16, fp16), not 'int8'
    """
    from effkit.ceilings import measure_ceilings  # needs torch, which the presets do not

    return measure_ceilings(
        dtype, device=device, sizes=sizes, copy_bytes=copy_bytes, max_time_s=max_time_s, clock=clock, sync=sync
    )


make_table(__name__, devices)
