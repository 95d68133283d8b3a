"""Presets of real devices: ``effkit.hardware["a100-80gb-sxm"].roofline("fp16")``.

The figures are in hardware.json beside this file, each with its source and confidence. Peaks are *dense*: data sheets since
the A100 often print twice as much, which holds only for weights with 2:4 structured sparsity. They are those of the tensor
cores where a device has them for that dtype, adding in FP32. Nobody reaches a peak: 78 to 87 % of it is a very good matrix
product. A key may be cut short where only one device begins so ("raspberry-pi-5").
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from effkit.roofline import Roofline
from effkit.table import make_table


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


make_table(__name__, devices)
