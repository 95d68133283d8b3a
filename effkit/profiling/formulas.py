"""The formulas of torch's operators: the MACs and the other operations of one call, from its arguments and its result.

A formula is called with the operator's own arguments and its result, ``formula(*args, out=result, **kwargs)``, and returns
an integer. They are on tensors, so that they hold for every spelling of an operator; `effkit.counts` has the same formulas
on sizes, and the tests hold the two against each other.

Sources: the operators' definitions in torch (native_functions.yaml); the convention is that of `effkit.counts`.
"""

from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

from torch import Tensor

from effkit.counts.pointwise import OPS_PER_OUTPUT

Formula: TypeAlias = Callable[..., int]


def first_tensor(result: Any) -> Tensor | None:
    """Return a call's result, or the first tensor among several: the others serve a later backward pass."""
    results = result if isinstance(result, list | tuple) else [result]
    return next((value for value in results if isinstance(value, Tensor)), None)


def _size(result: Any) -> int:
    first = first_tensor(result)
    return 0 if first is None else first.numel()


def halved(flops: Formula) -> Formula:
    """Return the MACs of a formula of `torch.utils.flop_counter`, which counts two FLOPs for each."""
    return lambda *args, out, **kwargs: flops(*args, **kwargs, out_val=out) // 2


# MACs


def rows(x: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Each output element is a sum over the last dimension of the first operand."""
    return out.numel() * x.shape[-1]


def rows_added(_: Tensor, x: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    """Return the same for a product that is added to the first operand."""
    return rows(x, out=out)


def batches_added(_: Tensor, x: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    """Each output element is a sum over the batch too: `addbmm` adds its products up."""
    return out.numel() * x.shape[0] * x.shape[2]


def grouped(x: Tensor, y: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Each row meets the weights of its own group alone; where the groups divide the summed dimension, each its own part."""
    return x.shape[0] * x.shape[1] * y.shape[1] if x.dim() == y.dim() == 2 else rows(x, out=out)


def each_product(*_: Any, out: Tensor, **__: Any) -> int:
    """Each output element is one product: an outer product."""
    return out.numel()


def trilinear(x1: Tensor, x2: Tensor, x3: Tensor, *expanded: Any, out: Tensor, **__: Any) -> int:
    """What nn.Bilinear and its gradients are made of: a sum of products over the dimensions that the operands share."""
    shapes = []
    for x, missing in zip((x1, x2, x3), expanded, strict=False):
        sizes = iter(x.shape)
        shapes.append([1 if dim in missing else next(sizes) for dim in range(x.dim() + len(missing))])
    return prod(max(sizes) for sizes in zip(*shapes, strict=True))


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Each weight meets one product x1_i x2_j of each row; forming those products accumulates nothing."""
    return prod(x1.shape[:-1]) * weight.numel()


def distance(x1: Tensor, x2: Tensor, p: float = 2.0, *_: Any, out: Tensor, **__: Any) -> int:
    """A Euclidean distance accumulates a square for each coordinate; other norms multiply nothing."""
    return out.numel() * x1.shape[-1] if p == 2 else 0


def distance_backward(grad: Tensor, x1: Tensor, x2: Tensor, p: float, *_: Any, out: Tensor, **__: Any) -> int:
    """As many squares as in the forward pass, whose result has the size of its gradient."""
    return distance(x1, x2, p, out=grad)


def attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """Q K^T and A V: each query of each head meets all keys and all values."""
    return _queries(value, out) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def attention_backward(_: Tensor, query: Tensor, key: Tensor, value: Tensor, *__: Any, out: Any, **___: Any) -> int:
    """Five products: the scores are computed again, and each of the forward pass's two products has two gradients."""
    return prod(query.shape[:-1]) * key.shape[-2] * (3 * query.shape[-1] + 2 * value.shape[-1])


def _queries(value: Tensor, out: Any) -> int:
    return _size(out) // max(value.shape[-1], 1)


def convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *args: Any, out: Any, **__: Any) -> int:
    """As many MACs as the forward pass for each of the two gradients that is wanted; torch's own formula forgets groups."""
    transposed, wanted = args[4], args[7]
    positions = (x if transposed else grad).shape[2:]
    return sum(wanted[:2]) * x.shape[0] * prod(positions) * weight.numel()


def recurrent(x: Tensor, *args: Any, out: Any, **__: Any) -> int:
    """Every weight matrix meets every token once; the weights are the last list of tensors among the arguments."""
    weights = [value for value in args if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor)][-1]
    return prod(x.shape[:-1]) * sum(weight.numel() for weight in weights if weight.dim() == 2)


def recurrent_onednn(x: Tensor, input_weight: Tensor, hidden_weight: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """The two weight matrices of one layer in one direction meet every token once."""
    return prod(x.shape[:-1]) * (input_weight.numel() + hidden_weight.numel())


def recurrent_onednn_backward(*args: Any, out: Any, **kwargs: Any) -> int:
    """The gradients of the input, the state before and the weights, whether they are wanted or not."""
    return 2 * recurrent_onednn(*args, out=out, **kwargs)


def bag(weight: Tensor, indices: Tensor, *args: Any, out: Any, **kwargs: Any) -> int:
    """Only a weighted sum of rows multiplies."""
    weighted = kwargs.get("per_sample_weights", args[4] if len(args) > 4 else None) is not None
    return indices.numel() * weight.shape[-1] if weighted else 0


# Other operations


def each_output(*_: Any, out: Any, **__: Any) -> int:
    """One operation for each output element."""
    return _size(out)


def each_input(x: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """One operation for each input element."""
    return x.numel()


def per_output(kind: str) -> Formula:
    """Return the formula of a kind of layer: so many operations for each output element."""
    return lambda *_, out, **__: OPS_PER_OUTPUT[kind] * _size(out)


def bias(*args: Any, out: Tensor, **kwargs: Any) -> int:
    """One addition for each output element where there is a bias, the third operand."""
    bias = kwargs.get("bias", args[2] if len(args) > 2 else None)
    return OPS_PER_OUTPUT["bias"] * out.numel() if isinstance(bias, Tensor) else 0


def scores(query: Tensor, key: Tensor, value: Tensor, *_: Any, out: Any, **__: Any) -> int:
    """The softmax over the scores of attention, which nobody sees."""
    return OPS_PER_OUTPUT["softmax"] * _queries(value, out) * key.shape[-2]


def window(x: Tensor, kernel_size: Any, *_: Any, out: Any, **__: Any) -> int:
    """Pooling looks at k x k elements for each output; the schema's length tells over how many dimensions."""
    return prod(kernel_size) * _size(out)


def taps(count: int) -> Formula:
    """Interpolation weighs so many input elements for each output element."""
    return lambda *_, out, **__: count * out.numel()
