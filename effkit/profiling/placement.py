"""A profile on a machine: each layer's bound and least time by the roofline, and the model's."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from effkit import dtypes, hardware
from effkit.profiling.result import Layer
from effkit.roofline import Roofline
from effkit.table import look_up

if TYPE_CHECKING:
    from effkit.hardware import Device
    from effkit.profiling.result import Profile

Bound = Literal["compute-bound", "memory-bound"]


@dataclass(frozen=True)
class PlacedLayer:
    """A layer on a machine, with every floating-point element in the dtype of the run.

    `bytes_moved` in bytes, `arithmetic_intensity` in FLOPs/byte (for a layer without MACs its other operations per byte),
    `time_s` the least time in seconds, max(operations / peak, bytes / bandwidth). A layer that does no operation moves data
    alone: it is memory-bound.
    """

    layer: Layer
    bytes_moved: float
    arithmetic_intensity: float
    bound: Bound
    time_s: float


@dataclass(frozen=True)
class Placement:
    """The layers of a profile on one machine: a lower bound on time, reached if each layer runs at its roofline.

    Layers run one after another, each as a kernel of its own that reads its operands from memory: fusing layers makes a
    model faster than this, launch overhead and imperfect kernels make it slower.
    """

    machine: str
    dtype: str
    roofline: Roofline
    layers: tuple[PlacedLayer, ...]

    @cached_property
    def time_s(self) -> float:
        """The least time of the whole model in seconds: the sum over its layers."""
        return sum(placed.time_s for placed in self.layers)

    @property
    def memory_bound_share(self) -> float:
        """The part of the time that memory-bound layers take, from 0 to 1."""
        waiting = sum(placed.time_s for placed in self.layers if placed.bound == "memory-bound")
        return waiting / self.time_s if self.time_s else 0.0

    @property
    def flops_per_s(self) -> float:
        """FLOPs of the model a second, if it takes `time_s`."""
        return sum(placed.layer.flops for placed in self.layers) / self.time_s if self.time_s else 0.0

    def _by_kind(self) -> list[tuple[str, str, str, str, str]]:
        """Return a row for each kind of layer: name, calls, time, share of time, how many calls are compute-bound."""
        kinds: dict[str, list[PlacedLayer]] = {}
        for placed in self.layers:
            kinds.setdefault(placed.layer.kind, []).append(placed)
        rows = []
        for kind, group in sorted(kinds.items(), key=lambda item: -sum(p.time_s for p in item[1])):
            time = sum(placed.time_s for placed in group)
            compute = sum(placed.bound == "compute-bound" for placed in group)
            share = time / self.time_s if self.time_s else 0.0
            rows.append((kind, f"{len(group)}", f"{time * 1e6:,.3g} µs", f"{share:.1%}", f"{compute} of {len(group)}"))
        return rows

    def _headline(self) -> str:
        return (
            f"{self.machine}, {self.dtype}: at least {self.time_s * 1e3:.4g} ms, {self.memory_bound_share:.0%} of it in "
            f"memory-bound layers (ridge point {self.roofline.ridge_point:.4g} FLOPs/byte)"
        )

    def __repr__(self) -> str:
        heads = ("kind", "calls", "time", "share", "compute-bound")
        rows = [heads, *self._by_kind()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        lines = [
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([self._headline(), *lines])

    def _repr_html_(self) -> str:
        heads = ("kind", "calls", "time", "share", "compute-bound")
        head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in self._by_kind())
        return f"<table class='effkit-placement'><caption>{escape(self._headline())}</caption><tr>{head}</tr>{body}</table>"


def place(profile: "Profile", machine: "str | Device | Roofline", dtype: str) -> Placement:
    """Return a profile's layers on a machine at a dtype; see `Profile.on`."""
    bits = bits_of(dtype)
    if isinstance(machine, Roofline):
        name, roofline = "roofline", machine
    elif not isinstance(machine, str | hardware.Device):
        raise TypeError(f"hardware must be a key of effkit.hardware, one of its devices or a Roofline, not {machine!r}")
    else:
        device = look_up(hardware.devices(), machine, "effkit.hardware") if isinstance(machine, str) else machine
        name, roofline = device.name, device.roofline(dtype)
    return Placement(name, dtype, roofline, tuple(_place(layer, roofline, bits) for layer in profile.layers))


def bits_of(dtype: str) -> int:
    """Return the bits of an element: of a key of `effkit.dtypes`, or of its family ("fp8" has two layouts), or
    of one with its accumulator ("fp16_fp16acc").

    Raises ValueError, naming the keys, for another.
    """
    formats: Any = dtypes
    text = str(dtype)
    family = [formats[key] for key in formats if f"{key}_".startswith(f"{text}_") or text.startswith(f"{key}_")]
    if not family:
        raise ValueError(f"dtype must be one of {', '.join(formats)}, not {dtype!r}")
    return int(family[0].bits)


def _place(layer: Layer, roofline: Roofline, bits: int) -> PlacedLayer:
    moved = layer.elements_moved * bits / 8 + layer.other_bytes
    intensity = layer.ops / moved if moved else 0.0
    return PlacedLayer(layer, moved, intensity, roofline.bound(intensity), roofline.time(layer.ops, moved))
