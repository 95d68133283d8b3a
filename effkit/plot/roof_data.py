"""What a roofline figure shows: ceilings, and dots under them; and the same in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from effkit import hardware
from effkit.plot.style import plain, si
from effkit.roofline import Roofline
from effkit.table import look_up
from effkit.timing_result import plural

Ceilings: TypeAlias = Roofline | Mapping[str, Roofline] | Sequence[Any]
Points: TypeAlias = Sequence[Any] | Mapping[str, Sequence[Any]]
_NAMED = 6  # a longer list of points is told by kind
_LISTED = 2  # of the points under more ceilings only the numbers are told


@dataclass(frozen=True)
class Point:
    """A dot for a roofline: work of an arithmetic intensity (FLOPs/byte), and the FLOPs per second it reached, if known."""

    name: str
    kind: str
    arithmetic_intensity: float
    flops_per_s: float | None = None


@dataclass(frozen=True)
class Ceiling:
    """A roofline with its name and the unit of its peak."""

    name: str
    roofline: Roofline
    unit: str = "FLOP/s"

    @property
    def facts(self) -> tuple[str, str, str]:
        """Its peak, its bandwidth and its ridge point, each with its unit."""
        peak, bandwidth = self.roofline.peak_flops_per_s, self.roofline.bandwidth_bytes_per_s
        ridge = f"ridge {plain(self.roofline.ridge_point)} {per_byte(self.unit)}"
        return f"peak {si(peak, self.unit)}", f"memory {si(bandwidth, 'B/s')}", ridge


@dataclass(frozen=True)
class Dot:
    """A point under a ceiling; where nothing was measured, `y` is what the ceiling allows."""

    name: str
    kind: str
    ceiling: Ceiling
    x: float
    y: float
    measured: bool

    @property
    def bound(self) -> str:
        """Which part of its ceiling limits it."""
        return self.ceiling.roofline.bound(self.x)


def per_byte(unit: str) -> str:
    """Return the unit of arithmetic intensity where this is the unit of speed.

    >>> per_byte("FLOP/s")
    'FLOPs/byte'
    """
    return f"{unit.removesuffix('/s').removesuffix('s')}s/byte"


def read(ceilings: Ceilings, points: Points) -> tuple[list[Ceiling], list[Dot]]:
    """Return the ceilings and the dots that the arguments of `effkit.plot.roofline` mean; see there."""
    found: list[Ceiling] = []
    placed: dict[str, Sequence[Any]] = {}
    if isinstance(ceilings, Roofline):
        ceilings = {"roofline": ceilings}
    for given in ceilings.items() if isinstance(ceilings, Mapping) else ceilings:
        ceiling, layers = _ceiling(given)
        found.append(ceiling)
        placed[ceiling.name] = layers
    if not found or len(placed) < len(found):
        raise ValueError(f"ceilings must be at least one, with different names, not {[ceiling.name for ceiling in found]}")
    if not isinstance(points, Mapping):
        if len(found) > 1 and any(getattr(point, "flops_per_s", None) is None for point in points):
            raise ValueError("under several ceilings, points must say under which: {name of the ceiling: points}")
        points = {found[0].name: points}
    if unknown := points.keys() - placed.keys():
        raise ValueError(f"points are given for {sorted(unknown)}, but the ceilings are {list(placed)}")
    return found, [_dot(p, ceiling) for ceiling in found for p in (*placed[ceiling.name], *points.get(ceiling.name, ()))]


def _ceiling(given: Any) -> tuple[Ceiling, Sequence[Any]]:
    """Return the ceiling that a pair or a model placed on a machine means, and the latter's layers."""
    if hasattr(given, "layers"):
        unit = "OP/s" if str(given.dtype).startswith("int") else "FLOP/s"
        return Ceiling(_name(given.machine, given.dtype), given.roofline, unit), given.layers
    first, second = given
    if isinstance(second, Roofline):
        return Ceiling(first, second), ()
    device = look_up(hardware.devices(), first, "effkit.hardware") if isinstance(first, str) else first
    roofline = device.roofline(second)
    return Ceiling(_name(device.name, second), roofline, device.peaks[second].unit), ()


def _name(machine: str, dtype: str) -> str:
    return f"{machine.partition(' (')[0]} {dtype}"


def _dot(point: Any, ceiling: Ceiling) -> Dot:
    layer = getattr(point, "layer", point)  # a layer placed on a machine has its record inside
    intensity, reached = point.arithmetic_intensity, getattr(point, "flops_per_s", None)
    y = ceiling.roofline.attainable(intensity) if reached is None else reached
    return Dot(layer.name, layer.kind, ceiling, intensity, y, reached is not None)


def describe_roofline(ceilings: Sequence[Ceiling], dots: Sequence[Dot]) -> str:
    """Return what the figure shows in words, with its numbers."""
    words = ["Roofline with logarithmic axes: operations a second that can be reached, over arithmetic intensity."]
    in_full = len({dot.ceiling.name for dot in dots}) <= _LISTED
    for ceiling in ceilings:
        words.append(f"{ceiling.name}: {', '.join(ceiling.facts)}.")
        under = [dot for dot in dots if dot.ceiling is ceiling]
        drawn = [dot for dot in under if dot.x > 0]
        for bound in ("memory-bound", "compute-bound"):
            if chosen := [dot for dot in drawn if dot.bound == bound]:
                which = f": {_listed(chosen)}" if in_full else ""
                words.append(f"{len(chosen)} of {plural(len(drawn), 'point')} {bound}{which}.")
        if shares := [dot.y / ceiling.roofline.attainable(dot.x) for dot in drawn if dot.measured]:
            words.append(f"Measured at {min(shares):.0%} to {max(shares):.0%} of what the roofline allows.")
        if idle := len(under) - len(drawn):
            words.append(f"Not drawn, for they compute nothing: {idle}.")
    return " ".join(words)


def _listed(dots: Sequence[Dot]) -> str:
    """Return dots by name, or by kind where there are many, with their intensities."""
    if len(dots) <= _NAMED:
        return ", ".join(f"{dot.name} at {plain(dot.x)}" for dot in dots)
    kinds: dict[str, list[float]] = {}
    for dot in dots:
        kinds.setdefault(dot.kind, []).append(dot.x)
    return ", ".join(f"{len(xs)} {kind} {_range(min(xs), max(xs))}" for kind, xs in kinds.items())


def _range(low: float, high: float) -> str:
    return f"at {plain(low)}" if plain(low) == plain(high) else f"at {plain(low)} to {plain(high)}"
