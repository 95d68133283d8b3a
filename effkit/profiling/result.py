"""What `effkit.profile` found: a record for each operator call, and the model's totals, each by its convention."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from effkit.arguments import positive
from effkit.profiling.lifetimes import Lifetimes
from effkit.roofline import Roofline

if TYPE_CHECKING:
    from effkit.hardware import Device
    from effkit.profiling.placement import Placement

Rule: TypeAlias = Literal["layer", "live"]

CONVENTION = (
    "1 MAC = 2 FLOPs; biases, normalization, activation functions, pooling and softmax are other operations, not MACs",
    "padding taps count, causal attention is not halved; a parameter is counted once, MACs at each call",
    "activations: the input and the output of each convolution, linear, matmul, attention, recurrent, pooling and "
    "normalization layer; batch normalization is folded and activation functions work in place",
    "bytes: each operand read once, each result written once, at its dtype",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator call of a forward pass.

    `name` is the path of the module that made it (the model's class for the model itself), `operator` torch's name. Shapes
    are those of the operands that are no weights, and of the first result. `params` are the parameter elements read here for
    the first time. `activations` is the number of output elements if the call is a layer by the convention, else 0, and
    `input_activations` that of its input. `bytes_moved` is at the tensors' own dtypes: `elements_moved` floating-point
    numbers, and `other_bytes` of integers and booleans. `bits` is the size of an output element.
    """

    name: str
    kind: str
    operator: str
    input_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    params: int
    macs: int
    other_ops: int
    input_activations: int
    activations: int
    bytes_moved: int
    elements_moved: int
    other_bytes: int
    bits: int

    @property
    def flops(self) -> int:
        """Floating-point operations of the MACs: 2 each."""
        return 2 * self.macs

    @property
    def ops(self) -> int:
        """What the roofline takes as work: the FLOPs, or the other operations of a layer that has no MACs."""
        return self.flops or self.other_ops

    @property
    def arithmetic_intensity(self) -> float:
        """FLOPs/byte; for a layer without MACs its other operations per byte (ReLU at 16 bits: 0.25). 0 if no byte moves."""
        return self.ops / self.bytes_moved if self.bytes_moved else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain JSON values."""
        derived = {"flops": self.flops, "arithmetic_intensity": self.arithmetic_intensity}
        shapes = {"input_shapes": [list(s) for s in self.input_shapes], "output_shape": list(self.output_shape)}
        return {**asdict(self), **shapes, **derived}


@dataclass(frozen=True, repr=False)
class Profile:
    """The counts of one forward pass. See `effkit.profile`.

    `params` are the elements of the distinct parameters, `buffers` those of the buffers, `param_bytes` the bytes of the
    parameters at their own dtypes. `input_elements` are those of all tensors it was called with, `input_bits` the widest's.
    `layers` has the operator calls in order; views, which compute and move nothing, are left out. `uncounted` has the
    operators without a formula and how often they were met: their work is missing from the totals. `device` is where the
    pass ran, and `notes` say what a reader should know of it.
    """

    model: str
    layers: tuple[Layer, ...]
    params: int
    buffers: int
    param_bytes: int
    input_elements: int
    input_bits: int
    uncounted: Mapping[str, int]
    device: str
    notes: tuple[str, ...]
    lifetimes: Lifetimes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def flops(self) -> int:
        """Floating-point operations of the MACs: 2 each. The other operations are apart, in `other_ops`."""
        return 2 * self.macs

    @property
    def other_ops(self) -> int:
        """Operations that are no MACs; for each output element bias 1, activation 1, softmax 5, norm 7, pooling k x k."""
        return sum(layer.other_ops for layer in self.layers)

    @property
    def bytes_moved(self) -> int:
        """Bytes that all layers move, each operand read once and each result written once, at the tensors' dtypes."""
        return sum(layer.bytes_moved for layer in self.layers)

    @property
    def activations(self) -> int:
        """Elements of the input and of each layer's output (the convention of MIT 6.5940, lecture 2)."""
        return self.input_elements + sum(layer.activations for layer in self.layers)

    @property
    def matmul_activations(self) -> int:
        """Elements of the outputs of convolutions, linear layers, matrix products and attention alone, without the input.

        This is what fvcore calls activations and timm publishes as macts; they miss the output of fused attention.
        """
        kinds = ("conv", "depthwise_conv", "linear", "matmul", "attention")
        return sum(layer.activations for layer in self.layers if layer.kind in kinds)

    @property
    def peak_activations(self) -> int:
        """Elements of the largest (input + output) of one layer: ``peak()``."""
        return self.peak()

    def peak(self, rule: Rule = "layer", inplace_depthwise: bool = False) -> int:
        """Return the most activation elements in memory at once.

        "layer": the largest (input + output) of one layer, as if nothing else had to be kept; `inplace_depthwise` lets a
        depthwise convolution write over its input, channel by channel, and so need the larger of the two only. "live": every
        tensor from the step that makes it to the last step that reads it, skip connections and attention scores included;
        the input is dropped after its last use, the output kept, and activation functions, batch normalization and
        element-wise steps write over an operand that nothing reads again.

        Raises ValueError for another rule, and for `inplace_depthwise` with "live".

        Sources: MIT 6.5940, lecture 2 ("layer"); J. Lin et al., "MCUNet" (arXiv 2007.10319) for depthwise in place.
        """
        return int(self._peak(rule, inplace_depthwise, lambda bits: 1))

    def peak_size(self, rule: Rule = "layer", inplace_depthwise: bool = False, bits: int | None = None) -> int:
        """Return the peak in bytes, rounded up: at the tensors' own dtypes, or with `bits` for each element.

        The arguments and errors are those of `peak`, and ValueError unless `bits` is an integer of at least 1.
        """
        if bits is not None:
            positive("bits", bits)
        return -int(-self._peak(rule, inplace_depthwise, lambda own: (bits or own) / 8) // 1)

    def _peak(self, rule: str, inplace_depthwise: bool, weigh: Any) -> float:
        alone = self.input_elements * weigh(self.input_bits)  # where nothing else happens
        if rule == "live":
            if inplace_depthwise:
                raise ValueError("inplace_depthwise goes with the rule 'layer': 'live' follows the tensors that were made")
            return max((live for _, live in self.lifetimes.timeline(weigh)), default=alone)
        if rule != "layer":
            raise ValueError(f"rule must be 'layer' or 'live', not {rule!r}")
        peak = alone if not any(layer.activations for layer in self.layers) else 0
        for layer in self.layers:
            if layer.activations:
                both = layer.input_activations, layer.activations
                in_place = inplace_depthwise and layer.kind == "depthwise_conv"
                peak = max(peak, (max(both) if in_place else sum(both)) * weigh(layer.bits))
        return peak

    def timeline(self) -> list[tuple[str, int]]:
        """Return (layer name, live activation elements) of each step, by the rule "live" of `peak`."""
        return [(name, int(live)) for name, live in self.lifetimes.timeline(lambda bits: 1)]

    def model_size(self, bits: int | None = None) -> int:
        """Return the parameters' size in bytes: at their own dtypes, or at `bits` each, rounded up; buffers left out.

        Raises ValueError unless `bits` is None or an integer of at least 1.
        """
        return self.param_bytes if bits is None else -(-self.params * positive("bits", bits) // 8)

    def on(self, hardware: "str | Device | Roofline", dtype: str) -> "Placement":
        """Return each layer's bound and least time on a machine, and the model's (a `Placement`).

        `hardware` is a key of `effkit.hardware` ("a100-80gb-sxm"), one of its devices, or a `Roofline` for that dtype;
        `dtype` (a key of `effkit.dtypes`) sets the size of every floating-point element and chooses the device's peak.

        Raises KeyError for an unknown device, TypeError for what is none, ValueError for a dtype that it has no peak for.
        """
        from effkit.profiling.placement import place

        return place(self, hardware, dtype)

    def compare(self, other: "Profile") -> "Any":
        """Return the totals of this profile beside those of another, with their ratios: see `effkit.profiling.view`."""
        from effkit.profiling.view import Comparison

        return Comparison(self, other)

    def to_dict(self) -> dict[str, Any]:
        """Return totals, layers, convention and notes as plain JSON values."""
        names = ("model", "params", "buffers", "macs", "flops", "other_ops", "activations", "matmul_activations")
        more = ("peak_activations", "bytes_moved", "device")
        return {
            **{name: getattr(self, name) for name in (*names, *more)},
            "peak_live_activations": self.peak("live"),
            "model_size": self.model_size(),
            "uncounted": dict(self.uncounted),
            "notes": list(self.notes),
            "convention": list(CONVENTION),
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def to_json(self, indent: int | None = None) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame with a row for each layer and a column for each figure.

        Raises ImportError, saying what to install, where there is no pandas.
        """
        try:
            import pandas
        except ImportError as missing:
            raise ImportError("to_dataframe needs pandas: pip install pandas") from missing
        return pandas.DataFrame([layer.to_dict() for layer in self.layers])

    def __repr__(self) -> str:
        from effkit.profiling.view import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from effkit.profiling.view import as_html

        return as_html(self)
