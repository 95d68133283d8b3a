"""What each torch operator computes: its kind, its MACs, its other operations. A registry of plain functions.

A formula is called with the operator's own arguments and its result, ``formula(*args, out=result, **kwargs)``, and returns
an integer. Convolutions, matrix products and the fused attention of GPUs use the formulas of `torch.utils.flop_counter` (a
FLOP count, halved); the rest closes its gaps and names the operators that multiply nothing. An operator that is found
nowhere here is not counted, and `Profile.uncounted` says so.

Sources: the operators' definitions in torch (native_functions.yaml); the convention is that of `effkit.counts`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from operator import index
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from effkit.counts.pointwise import OPS_PER_OUTPUT

Formula: TypeAlias = Callable[..., int]


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
        return Operator(kind, _halved(flop_registry[func.overloadpacket]))
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


def _halved(flops: Formula) -> Formula:
    return lambda *args, out, **kwargs: flops(*args, **kwargs, out_val=out) // 2


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Run `scaled_dot_product_attention` as the one kernel it is on CPUs and GPUs, where its operands allow that.

    The meta device has no such kernel: left alone, it would write the scores to memory and copy the result.
    """
    alike = query.dim() == 4 and query.shape[0] == key.shape[0] and query.shape[-1] == value.shape[-1]
    # A bias that is learned takes attention apart: the kernel has no gradient for it.
    learned = attn_mask is not None and attn_mask.requires_grad
    if learned or not (query.is_meta and alike):  # with real numbers torch itself takes the kernel that is best
        return SPELLED_ATTENTION(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    mask = attn_mask if attn_mask is None or attn_mask.is_floating_point() else attn_mask.to(query.dtype)
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    output: Tensor = kernel(query, key, value, dropout_p, is_causal, attn_mask=mask, scale=scale)[0]
    return output


SPELLED_ATTENTION = torch.nn.functional.scaled_dot_product_attention


# MACs


def _rows(x: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Each output element is a sum over the last dimension of the first operand."""
    return out.numel() * x.shape[-1]


def _rows_added(_: Tensor, x: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    return _rows(x, out=out)


def _batches_added(_: Tensor, x: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    return out.numel() * x.shape[0] * x.shape[2]


def _grouped(x: Tensor, y: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Each row meets the weights of its own group alone; where the groups divide the summed dimension, each its own part."""
    return x.shape[0] * x.shape[1] * y.shape[1] if x.dim() == y.dim() == 2 else _rows(x, out=out)


def _each_product(*_: Any, out: Tensor, **__: Any) -> int:
    return out.numel()


def _trilinear(x1: Tensor, x2: Tensor, x3: Tensor, *expanded: Any, out: Tensor, **__: Any) -> int:
    """What nn.Bilinear and its gradients are made of: a sum of products over the dimensions that the operands share."""
    shapes = []
    for x, missing in zip((x1, x2, x3), expanded, strict=False):
        sizes = iter(x.shape)
        shapes.append([1 if dim in missing else next(sizes) for dim in range(x.dim() + len(missing))])
    return prod(max(sizes) for sizes in zip(*shapes, strict=True))


def _bilinear(x1: Tensor, x2: Tensor, weight: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Each weight meets one product x1_i x2_j of each row; forming those products accumulates nothing."""
    return prod(x1.shape[:-1]) * weight.numel()


def _distance(x1: Tensor, x2: Tensor, p: float = 2.0, *_: Any, out: Tensor, **__: Any) -> int:
    """A Euclidean distance accumulates a square for each coordinate; other norms multiply nothing."""
    return out.numel() * x1.shape[-1] if p == 2 else 0


def _distance_backward(grad: Tensor, x1: Tensor, x2: Tensor, p: float, *_: Any, out: Tensor, **__: Any) -> int:
    return _distance(x1, x2, p, out=grad)


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """Q K^T and A V: each query of each head meets all keys and all values."""
    return _queries(value, out) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _attention_backward(_: Tensor, query: Tensor, key: Tensor, value: Tensor, *__: Any, out: Any, **___: Any) -> int:
    """Five products: the scores are computed again, and each of the forward pass's two products has two gradients."""
    return prod(query.shape[:-1]) * key.shape[-2] * (3 * query.shape[-1] + 2 * value.shape[-1])


def _queries(value: Tensor, out: Any) -> int:
    return _first(out).numel() // max(value.shape[-1], 1)


def _convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *args: Any, out: Any, **__: Any) -> int:
    """As many MACs as the forward pass for each of the two gradients that is wanted; torch's own formula forgets groups."""
    transposed, wanted = args[4], args[7]
    positions = (x if transposed else grad).shape[2:]
    return sum(wanted[:2]) * x.shape[0] * prod(positions) * weight.numel()


def _recurrent(x: Tensor, *args: Any, out: Any, **__: Any) -> int:
    """Every weight matrix meets every token once; the weights are the last list of tensors among the arguments."""
    weights = [value for value in args if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor)][-1]
    return prod(x.shape[:-1]) * sum(weight.numel() for weight in weights if weight.dim() == 2)


def _recurrent_onednn(x: Tensor, input_weight: Tensor, hidden_weight: Tensor, *_: Any, out: Any, **__: Any) -> int:
    return prod(x.shape[:-1]) * (input_weight.numel() + hidden_weight.numel())


def _recurrent_onednn_backward(*args: Any, out: Any, **kwargs: Any) -> int:
    """The gradients of the input, the state before and the weights, whether they are wanted or not."""
    return 2 * _recurrent_onednn(*args, out=out, **kwargs)


def _bag(weight: Tensor, indices: Tensor, *args: Any, out: Any, **kwargs: Any) -> int:
    """Only a weighted sum of rows multiplies."""
    weighted = kwargs.get("per_sample_weights", args[4] if len(args) > 4 else None) is not None
    return indices.numel() * weight.shape[-1] if weighted else 0


# Other operations


def _each_output(*_: Any, out: Any, **__: Any) -> int:
    return _first(out).numel()


def _each_input(x: Tensor, *_: Any, out: Any, **__: Any) -> int:
    return x.numel()


def _per_output(kind: str) -> Formula:
    return lambda *_, out, **__: OPS_PER_OUTPUT[kind] * _first(out).numel()


def _bias(*args: Any, out: Tensor, **kwargs: Any) -> int:
    """One addition for each output element where there is a bias, the third operand."""
    bias = kwargs.get("bias", args[2] if len(args) > 2 else None)
    return OPS_PER_OUTPUT["bias"] * out.numel() if isinstance(bias, Tensor) else 0


def _scores(query: Tensor, key: Tensor, value: Tensor, *_: Any, out: Any, **__: Any) -> int:
    return OPS_PER_OUTPUT["softmax"] * _queries(value, out) * key.shape[-2]


def _window(x: Tensor, kernel_size: Any, *_: Any, out: Any, **__: Any) -> int:
    """Pooling looks at k x k elements for each output; the schema's length tells over how many dimensions."""
    return prod(kernel_size) * _first(out).numel()


def _first(out: Any) -> Tensor:
    """Return the result, or the first tensor among several: a gradient that nobody wants is None."""
    return out if isinstance(out, Tensor) else next(value for value in out if isinstance(value, Tensor))


ELEMENTWISE = Operator("elementwise", other_ops=_each_output)
GLOBAL_POOL = Operator("pool", other_ops=_each_input)
_AT_REST = Operator("copy", moves="nothing")


def _taps(taps: int) -> Operator:
    """Return an interpolation, which weighs so many input elements for each output element."""
    return Operator("resample", other_ops=lambda *_, out, **__: taps * out.numel())


def _table() -> dict[str, Operator]:
    reduction, copy = Operator("reduction", other_ops=_each_input), Operator("copy")
    norm, batch_norm = (Operator(kind, other_ops=_per_output("norm")) for kind in ("norm", "batch_norm"))
    softmax = Operator("softmax", other_ops=_per_output("softmax"))
    pool, activation = Operator("pool", other_ops=_window), Operator("activation", other_ops=_each_output)
    convolution = Operator("conv", _halved(flop_registry[torch.ops.aten.convolution]), _bias)
    groups: list[tuple[Operator, str]] = [
        (Operator("linear", _rows, _bias), "linear"),
        (Operator("matmul", _rows), "mm bmm mv dot vdot linalg_vecdot _int_mm _weight_int8pack_mm _weight_int4pack_mm"),
        (Operator("matmul", _rows), "_sparse_mm"),
        (Operator("matmul", _rows_added, _each_output), "addmm baddbmm addmv _sparse_addmm"),
        (Operator("matmul", _grouped), "_grouped_mm _scaled_grouped_mm"),
        (Operator("matmul", _batches_added, _each_output), "addbmm"),
        (Operator("matmul", _each_product), "outer ger"),
        (Operator("matmul", _each_product, _each_output), "addr"),
        (Operator("matmul", _bilinear, _each_output), "bilinear"),
        (Operator("matmul", _trilinear), "_trilinear"),
        (Operator("matmul", _distance), "cdist _cdist_forward _euclidean_dist"),
        (Operator("matmul", _distance_backward), "_cdist_backward"),
        (convolution, "convolution _convolution"),
        (Operator("conv", _convolution_backward), "convolution_backward"),
        (Operator("attention", _attention, _scores), "scaled_dot_product_attention"),
        (Operator("attention", _attention, _scores), "_scaled_dot_product_flash_attention_for_cpu"),
        (Operator("attention", _attention_backward), "_scaled_dot_product_flash_attention_for_cpu_backward"),
        (Operator("recurrent", _recurrent), "lstm gru rnn_tanh rnn_relu _cudnn_rnn"),
        (Operator("recurrent", _recurrent_onednn), "mkldnn_rnn_layer"),
        (Operator("recurrent", _recurrent_onednn_backward), "mkldnn_rnn_layer_backward"),
        (Operator("embedding", moves="selected"), "embedding"),
        (Operator("embedding", _bag, _each_output, "selected"), "_embedding_bag _embedding_bag_forward_only"),
        (norm, "layer_norm native_layer_norm group_norm native_group_norm instance_norm rms_norm _fused_rms_norm"),
        (batch_norm, "batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training"),
        (batch_norm, "_batch_norm_with_update _batch_norm_no_update cudnn_batch_norm miopen_batch_norm"),
        (softmax, "_softmax _log_softmax _safe_softmax _softmax_backward_data _log_softmax_backward_data"),
        (pool, "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d"),
        (pool, "max_pool2d_with_indices max_pool3d_with_indices"),
        (GLOBAL_POOL, "adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d"),
        (GLOBAL_POOL, "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"),
        (activation, "relu relu6 gelu silu mish elu celu selu sigmoid tanh hardswish hardsigmoid hardtanh leaky_relu"),
        (
            activation,
            "softplus softshrink hardshrink threshold rrelu_with_noise glu prelu _prelu_kernel log_sigmoid_forward",
        ),
        (_taps(2), "upsample_linear1d"),
        (_taps(4), "upsample_bilinear2d _upsample_bilinear2d_aa grid_sampler_2d"),
        (_taps(8), "upsample_trilinear3d grid_sampler_3d"),
        (_taps(16), "upsample_bicubic2d _upsample_bicubic2d_aa"),
        (
            ELEMENTWISE,
            "floor_divide native_dropout bernoulli polar complex scatter_add scatter_reduce index_add index_reduce",
        ),
        (reduction, "sum mean prod amax amin argmax argmin max min any all var std var_mean std_mean logsumexp"),
        (
            reduction,
            "linalg_vector_norm norm cumsum cumprod logcumsumexp nansum count_nonzero aminmax _weight_norm_interface",
        ),
        (reduction, "nll_loss_forward nll_loss2d_forward mse_loss smooth_l1_loss huber_loss soft_margin_loss"),
        (reduction, "binary_cross_entropy binary_cross_entropy_with_logits"),
        (copy, "clone _to_copy cat stack constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d col2im im2col"),
        (copy, "replication_pad1d replication_pad2d replication_pad3d roll flip repeat tril triu masked_fill where"),
        (copy, "pixel_shuffle pixel_unshuffle channel_shuffle upsample_nearest1d upsample_nearest2d upsample_nearest3d"),
        (copy, "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d slice_scatter"),
        (copy, "select_scatter scatter index_fill slice_backward select_backward unfold_backward _to_sparse"),
        (copy, "_pack_padded_sequence _pad_packed_sequence"),
        (Operator("copy", moves="selected"), "index _unsafe_index index_select gather take embedding_dense_backward"),
        (Operator("copy", moves="scattered"), "index_put _unsafe_index_put index_copy"),
        (Operator("copy", moves="overwritten"), "copy fill zero arange zeros ones full zeros_like ones_like full_like eye"),
        (Operator("copy", moves="overwritten"), "new_zeros new_ones new_full linspace scalar_tensor rand randn rand_like"),
        (Operator("copy", moves="overwritten"), "randn_like randint randint_like randperm uniform normal exponential"),
        (_AT_REST, "empty empty_strided empty_like new_empty new_empty_strided resize"),
        (_AT_REST, "_unsafe_view unsafe_split unsafe_split_with_sizes _sparse_coo_tensor_with_dims_and_tensors"),
    ]
    return {f"aten.{name}": operator for operator, names in groups for name in names.split()}


OPERATORS: Mapping[str, Operator] = _table()
REGISTERED: dict[str, Operator] = {}
