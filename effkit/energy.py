"""Energy of arithmetic and of fetching data, from published tables of single operations.

Use it for ratios only: the figures leave out instructions, control, leakage and idle time, which can cost more than the
arithmetic, and they were estimated for one process each. What lasts is the order: a value from DRAM costs as much as some
hundred multiplications.

Sources: J = N. Jouppi et al., "Ten Lessons from Three Generations Shaped Google's TPUv4i", ISCA 2021, table 2 (which renews
M. Horowitz, "Computing's Energy Problem", ISSCC 2014); H = S. Han et al., "Learning both Weights and Connections for
Efficient Neural Networks", 2015, figure 1.
"""

from dataclasses import dataclass
from typing import TypeVar

from effkit.arguments import real
from effkit.formula import can_be_withheld

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """The energy of one operation, or of fetching 32 bits, in picojoules, with where the figure is from."""

    picojoules: float
    source: str


def _costs(source: str, **picojoules: float) -> dict[str, Cost]:
    return {name: Cost(value, source) for name, value in picojoules.items()}


# Energy of one addition and of one multiplication, by process and dtype.
ADD = {
    "45nm": _costs("J", int8=0.03, int32=0.1, fp16=0.4, fp32=0.9),
    "7nm": _costs("J", int8=0.007, int32=0.03, bf16=0.11, fp16=0.16, fp32=0.38),
}
MULTIPLY = {
    "45nm": _costs("J", int8=0.2, int32=3.1, fp16=1.1, fp32=3.7),
    "7nm": _costs("J", int8=0.07, int32=1.48, bf16=0.21, fp16=0.34, fp32=1.31),
}
# Energy of fetching 32 bits. J gives it for 64 bits: halved here. HBM and GDDR are the middle of a range.
FETCH = {
    "45nm": _costs("H", register=1.0, dram=640.0) | _costs("J / 2", sram_8kb=5.0, sram_32kb=10.0, sram_1mb=50.0),
    "7nm": _costs("J / 2", sram_8kb=3.75, sram_32kb=4.25, sram_1mb=7.0, dram=650.0)
    | _costs("J / 2, middle of 250 to 450", hbm=175.0)
    | _costs("J / 2, middle of 350 to 480", gddr6=207.5),
}


@dataclass(frozen=True)
class Energy:
    """An estimated energy in joules, in its two parts: computing and moving data."""

    compute_j: float
    memory_j: float

    @property
    def energy_j(self) -> float:
        """The sum of both parts, in joules."""
        return self.compute_j + self.memory_j


@can_be_withheld
def estimate(
    *,
    macs: float = 0,
    ops: float = 0,
    bytes_moved: float = 0,
    dtype: str = "fp32",
    memory: str = "dram",
    process: str = "45nm",
) -> Energy:
    """Return the energy in joules: macs (multiply + add) + ops x add, and bytes_moved / 4 x the cost of fetching 32 bits.

    `macs` and `ops` (taken as additions) are at `dtype`, all bytes come from one level of `memory`, and `process` is "45nm"
    or "7nm"; the tables ADD, MULTIPLY and FETCH of this module have the choices. For ratios only: see the module's note.

    Raises ValueError if a count is not a number of at least 0, or if the tables lack the process, dtype or memory.

    Source: the tables of this module.

    >>> one_mac, one_fetch = estimate(macs=1), estimate(bytes_moved=4)
    >>> round(one_fetch.energy_j / one_mac.energy_j)
    139
    """
    adds, multiplies, fetches = (_choose("process", process, table) for table in (ADD, MULTIPLY, FETCH))
    add = _choose("dtype", dtype, adds).picojoules
    mac = _choose("dtype", dtype, multiplies).picojoules + add
    fetch = _choose("memory", memory, fetches).picojoules
    compute = real("macs", macs, may_be_zero=True) * mac + real("ops", ops, may_be_zero=True) * add
    return Energy(compute * 1e-12, real("bytes_moved", bytes_moved, may_be_zero=True) / 4 * fetch * 1e-12)


def _choose(name: str, choice: str, table: dict[str, T]) -> T:
    if not isinstance(choice, str) or choice not in table:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, table))}, not {choice!r}")
    return table[choice]
