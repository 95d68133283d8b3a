"""Number formats by their bits: range and precision follow from how many bits are exponent and how many mantissa.

``effkit.dtypes["bf16"]`` is a format, ``list(effkit.dtypes)`` the names. Nothing here is typed in from a table but the bit
counts. Sources: IEEE 754-2019 (fp64, fp32, fp16); the TensorFloat-32 and bfloat16 layouts; P. Micikevicius et al., "FP8
Formats for Deep Learning" (arXiv 2209.05433); OCP Microscaling Formats 1.0 (fp4).
"""

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Literal, TypeAlias

from effkit.table import make_table


@dataclass(frozen=True)
class FloatFormat:
    """A floating-point format: one sign bit, `exponent_bits` and `mantissa_bits` (the stored ones, without the leading 1).

    A normal value is ±1.mantissa x 2^(exponent - bias) with bias = 2^(exponent_bits - 1) - 1. `reserved` says which codes
    are no numbers: by IEEE 754 those with the largest exponent (infinity and NaN); in E4M3 only the one code of the largest
    exponent and the largest mantissa (NaN, no infinity), which is why it reaches 448 where IEEE's rule would end at 240; in
    E2M1 none.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    reserved: Literal["exponent", "code", "nothing"] = "exponent"
    storage_bits: int | None = None

    @property
    def bits(self) -> int:
        """The bits that one element takes in memory: 1 + exponent + mantissa bits; tf32 is kept in 32."""
        return self.storage_bits or 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent's code: 2^(exponent_bits - 1) - 1."""
        return int(2 ** (self.exponent_bits - 1)) - 1

    @property
    def max(self) -> float:
        """The largest finite value: its largest mantissa times two to its largest exponent."""
        unused_exponents = 1 if self.reserved == "exponent" else 0
        unused_mantissas = 1 if self.reserved == "code" else 0
        exponent = 2**self.exponent_bits - 1 - unused_exponents - self.bias
        return float((2 - (1 + unused_mantissas) * self.eps) * 2.0**exponent)

    @property
    def min(self) -> float:
        """The lowest finite value, -max."""
        return -self.max

    @property
    def min_normal(self) -> float:
        """The smallest positive value of full precision: 2^(1 - bias)."""
        return float(2.0 ** (1 - self.bias))

    @property
    def min_subnormal(self) -> float:
        """The smallest positive value: 2^(1 - bias - mantissa_bits)."""
        return float(2.0 ** (1 - self.bias - self.mantissa_bits))

    @property
    def eps(self) -> float:
        """The gap between 1 and the next larger value: 2^-mantissa_bits."""
        return float(2.0**-self.mantissa_bits)

    @property
    def digits(self) -> float:
        """The precision in decimal digits, a real number: (mantissa_bits + 1) x log10(2)."""
        return (self.mantissa_bits + 1) * log10(2)

    @property
    def guaranteed_digits(self) -> int:
        """The decimal digits that survive from text to this format and back: floor(mantissa_bits x log10(2))."""
        return floor(self.mantissa_bits * log10(2))

    @property
    def round_trip_digits(self) -> int:
        """The decimal digits that a text needs to give back the same value: ceil(1 + (mantissa_bits + 1) x log10(2))."""
        return ceil(1 + self.digits)

    def __str__(self) -> str:
        span = f"max {self.max:.5g}, min normal {self.min_normal:.4g}"
        return f"{self.bits} bits, {span}, eps {self.eps:.3g}, {self.digits:.2f} digits"


@dataclass(frozen=True)
class IntegerFormat:
    """A signed integer in two's complement: -2^(bits - 1) to 2^(bits - 1) - 1.

    Integers are exact; as codes of a quantized real number they carry an error of up to half a step of its scale. Symmetric
    quantization leaves the lowest code out and uses -max to max.
    """

    name: str
    bits: int

    @property
    def max(self) -> int:
        """The largest value, 2^(bits - 1) - 1."""
        return int(2 ** (self.bits - 1)) - 1

    @property
    def min(self) -> int:
        """The lowest value, -2^(bits - 1)."""
        return -int(2 ** (self.bits - 1))

    @property
    def min_normal(self) -> int:
        """The smallest positive value, 1."""
        return 1

    @property
    def eps(self) -> int:
        """The gap between 1 and the next larger value: 1, as everywhere in the range."""
        return 1

    @property
    def digits(self) -> float:
        """The precision in decimal digits, a real number: (bits - 1) x log10(2)."""
        return (self.bits - 1) * log10(2)

    def __str__(self) -> str:
        return f"{self.bits} bits, {self.min} to {self.max}, {self.digits:.2f} digits"


Format: TypeAlias = FloatFormat | IntegerFormat

_FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        FloatFormat("fp64", exponent_bits=11, mantissa_bits=52),
        FloatFormat("fp32", exponent_bits=8, mantissa_bits=23),
        FloatFormat("tf32", exponent_bits=8, mantissa_bits=10, storage_bits=32),
        FloatFormat("bf16", exponent_bits=8, mantissa_bits=7),
        FloatFormat("fp16", exponent_bits=5, mantissa_bits=10),
        FloatFormat("fp8_e5m2", exponent_bits=5, mantissa_bits=2),
        FloatFormat("fp8_e4m3", exponent_bits=4, mantissa_bits=3, reserved="code"),
        FloatFormat("fp4_e2m1", exponent_bits=2, mantissa_bits=1, reserved="nothing"),
        IntegerFormat("int32", 32),
        IntegerFormat("int8", 8),
        IntegerFormat("int4", 4),
    )
}

make_table(__name__, lambda: _FORMATS)
