"""What each torch operator is: its kind of layer, its formulas and what it moves. A registry.

Convolutions, matrix products and the fused attention of GPUs use the formulas of `torch.utils.flop_counter` (a FLOP count,
halved); those of `effkit.profiling.formulas` close its gaps. An operator that is found nowhere here is not counted, and
`Profile.uncounted` says so.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from effkit.profiling import formulas
from effkit.profiling.formulas import Formula, halved


@dataclass(frozen=True)
class Operator:
    """A kind of work: the MACs and the other operations of a call (None: it has none), and what it moves.

    `moves` is "all" (each operand read, the result written), "selected" (a look-up reads what it returns), "scattered" (an
    update writes what it is given), "overwritten" (the first operand is not read) or "nothing" (memory is only set aside).
    """

    kind: str
    macs: Formula | None = None
    other_ops: Formula | None = None
    moves: str = "all"


def register(operator: Any, formula: Formula, *, kind: str = "custom", other_ops: Formula | None = None) -> None:
    """Teach `effkit.profile` an operator of your own: `formula` returns the MACs of a call as an integer.

    `operator` is ``torch.ops.mylib.my_op``, one of its overloads, what ``torch.library.custom_op`` returned, or a name,
    "mylib::my_op". `formula` is called with the operator's arguments (tensors may be on the meta device: use their shapes)
    and, if it has an argument `out`, with the result as ``out=``. `other_ops` counts operations that are no MACs in the same
    way. `kind` names the kind of layer. A second call replaces the first, and torch's operators can be given other formulas.

    Raises TypeError if `operator` is no torch operator or a formula cannot be called; the profile raises `ForwardError` if
    a formula returns no integer.

    >>> register("mylib::gram", lambda x: x.shape[0] ** 2 * x.shape[1])
    """
    for argument, function in (("formula", formula), ("other_ops", other_ops)):
        if not callable(function) and (function is not None or argument == "formula"):
            raise TypeError(f"{argument} must be a function that returns an integer, not {function!r}")
    name = _name(operator)
    REGISTERED[name] = Operator(kind, _checked(formula, name), other_ops and _checked(other_ops, name))


def look_up(func: Any) -> Operator | None:
    """Return what is known of an operator (an OpOverload), or None."""
    name = _name(func)
    if name in REGISTERED:
        return REGISTERED[name]
    base = name if name in OPERATORS else name.removesuffix("_")  # relu_ is relu in place
    if base in OPERATORS:
        return OPERATORS[base]
    if func.overloadpacket in flop_registry:
        kind = next((kind for kind in ("conv", "attention") if kind in base), "matmul")
        return Operator(kind, halved(flop_registry[func.overloadpacket]))
    if torch.Tag.pointwise in func.tags:
        return ELEMENTWISE
    stem = base.removesuffix("_backward")
    forward = OPERATORS.get(stem) or OPERATORS.get(f"{stem}_forward")
    return ELEMENTWISE if base.endswith("_backward") and forward and not forward.macs else None


def _name(operator: Any) -> str:
    """Return an operator's name without its overload: "aten.relu_"."""
    operator = getattr(operator, "_opoverload", operator)  # what torch.library.custom_op returns holds it
    if isinstance(operator, str):
        return operator.replace("::", ".")
    if isinstance(operator, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return str(getattr(operator, "overloadpacket", operator))
    raise TypeError(f"operator must be a torch operator such as torch.ops.aten.mm, or its name, not {operator!r}")


def _checked(formula: Formula, name: str) -> Formula:
    """Return a formula of somebody else's that may be given ``out=``, and that says so when its result is no integer."""
    parameters = inspect.signature(formula).parameters.values()
    accepts_out = any(parameter.name == "out" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)

    def checked(*args: Any, out: Any, **kwargs: Any) -> int:
        count = formula(*args, out=out, **kwargs) if accepts_out else formula(*args, **kwargs)
        try:
            return index(count)
        except TypeError:
            raise TypeError(f"the formula of {name} must return an integer, not {count!r}") from None

    return checked


ELEMENTWISE = Operator("elementwise", other_ops=formulas.each_output)
GLOBAL_POOL = Operator("pool", other_ops=formulas.each_input)
_AT_REST = Operator("copy", moves="nothing")
_REDUCTION, _COPY = Operator("reduction", other_ops=formulas.each_input), Operator("copy")
_NORM, _BATCH_NORM = (Operator(kind, other_ops=formulas.per_output("norm")) for kind in ("norm", "batch_norm"))
_SOFTMAX = Operator("softmax", other_ops=formulas.per_output("softmax"))
_POOL, _ACTIVATION = Operator("pool", other_ops=formulas.window), Operator("activation", other_ops=formulas.each_output)
_CONVOLUTION = Operator("conv", halved(flop_registry[torch.ops.aten.convolution]), formulas.bias)
# The operators of torch that are alike, by their names without "aten." and, in place, without the last "_".
_GROUPS: list[tuple[Operator, str]] = [
    (Operator("linear", formulas.rows, formulas.bias), "linear"),
    (
        Operator("matmul", formulas.rows),
        "mm bmm mv dot vdot linalg_vecdot _sparse_mm _int_mm _weight_int8pack_mm _weight_int4pack_mm",
    ),
    (Operator("matmul", formulas.rows_added, formulas.each_output), "addmm baddbmm addmv _sparse_addmm"),
    (Operator("matmul", formulas.grouped), "_grouped_mm _scaled_grouped_mm"),
    (Operator("matmul", formulas.batches_added, formulas.each_output), "addbmm"),
    (Operator("matmul", formulas.each_product), "outer ger"),
    (Operator("matmul", formulas.each_product, formulas.each_output), "addr"),
    (Operator("matmul", formulas.bilinear, formulas.each_output), "bilinear"),
    (Operator("matmul", formulas.trilinear), "_trilinear"),
    (Operator("matmul", formulas.distance), "cdist _cdist_forward _euclidean_dist"),
    (Operator("matmul", formulas.distance_backward), "_cdist_backward"),
    (_CONVOLUTION, "convolution _convolution"),
    (Operator("conv", formulas.convolution_backward), "convolution_backward"),
    (Operator("attention", formulas.attention, formulas.scores), "scaled_dot_product_attention"),
    (Operator("attention", formulas.attention, formulas.scores), "_scaled_dot_product_flash_attention_for_cpu"),
    (Operator("attention", formulas.attention_backward), "_scaled_dot_product_flash_attention_for_cpu_backward"),
    (Operator("recurrent", formulas.recurrent), "lstm gru rnn_tanh rnn_relu _cudnn_rnn"),
    (Operator("recurrent", formulas.recurrent_onednn), "mkldnn_rnn_layer"),
    (Operator("recurrent", formulas.recurrent_onednn_backward), "mkldnn_rnn_layer_backward"),
    (Operator("embedding", moves="selected"), "embedding"),
    (
        Operator("embedding", formulas.bag, formulas.each_output, "selected"),
        "_embedding_bag _embedding_bag_forward_only",
    ),
    (_NORM, "layer_norm native_layer_norm group_norm native_group_norm instance_norm rms_norm _fused_rms_norm"),
    (_BATCH_NORM, "batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training"),
    (_BATCH_NORM, "_batch_norm_with_update _batch_norm_no_update cudnn_batch_norm miopen_batch_norm"),
    (_SOFTMAX, "_softmax _log_softmax _safe_softmax _softmax_backward_data _log_softmax_backward_data"),
    (_POOL, "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d"),
    (_POOL, "max_pool2d_with_indices max_pool3d_with_indices"),
    (GLOBAL_POOL, "adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d"),
    (GLOBAL_POOL, "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"),
    (_ACTIVATION, "relu relu6 gelu silu mish elu celu selu sigmoid tanh hardswish hardsigmoid hardtanh leaky_relu"),
    (
        _ACTIVATION,
        "softplus softshrink hardshrink threshold rrelu_with_noise glu prelu _prelu_kernel log_sigmoid_forward",
    ),
    (Operator("resample", other_ops=formulas.taps(2)), "upsample_linear1d"),
    (Operator("resample", other_ops=formulas.taps(4)), "upsample_bilinear2d _upsample_bilinear2d_aa grid_sampler_2d"),
    (Operator("resample", other_ops=formulas.taps(8)), "upsample_trilinear3d grid_sampler_3d"),
    (Operator("resample", other_ops=formulas.taps(16)), "upsample_bicubic2d _upsample_bicubic2d_aa"),
    (
        ELEMENTWISE,
        "floor_divide native_dropout bernoulli polar complex scatter_add scatter_reduce index_add index_reduce",
    ),
    (_REDUCTION, "sum mean prod amax amin argmax argmin max min any all var std var_mean std_mean logsumexp"),
    (
        _REDUCTION,
        "linalg_vector_norm norm cumsum cumprod logcumsumexp nansum count_nonzero aminmax _weight_norm_interface",
    ),
    (_REDUCTION, "nll_loss_forward nll_loss2d_forward mse_loss smooth_l1_loss huber_loss soft_margin_loss"),
    (_REDUCTION, "binary_cross_entropy binary_cross_entropy_with_logits"),
    (_COPY, "clone _to_copy cat stack constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d col2im im2col"),
    (_COPY, "replication_pad1d replication_pad2d replication_pad3d roll flip repeat tril triu masked_fill where"),
    (_COPY, "pixel_shuffle pixel_unshuffle channel_shuffle upsample_nearest1d upsample_nearest2d upsample_nearest3d"),
    (_COPY, "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d slice_scatter"),
    (_COPY, "select_scatter scatter index_fill slice_backward select_backward unfold_backward _to_sparse"),
    (_COPY, "_pack_padded_sequence _pad_packed_sequence"),
    (Operator("copy", moves="selected"), "index _unsafe_index index_select gather take embedding_dense_backward"),
    (Operator("copy", moves="scattered"), "index_put _unsafe_index_put index_copy"),
    (Operator("copy", moves="overwritten"), "copy fill zero arange zeros ones full zeros_like ones_like full_like eye"),
    (Operator("copy", moves="overwritten"), "new_zeros new_ones new_full linspace scalar_tensor rand randn rand_like"),
    (Operator("copy", moves="overwritten"), "randn_like randint randint_like randperm uniform normal exponential"),
    (_AT_REST, "empty empty_strided empty_like new_empty new_empty_strided resize"),
    (_AT_REST, "_unsafe_view unsafe_split unsafe_split_with_sizes _sparse_coo_tensor_with_dims_and_tensors"),
]

OPERATORS: Mapping[str, Operator] = {f"aten.{name}": operator for operator, names in _GROUPS for name in names.split()}
REGISTERED: dict[str, Operator] = {}
