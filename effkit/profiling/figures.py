"""The figures of one operator call: its kind of layer, its work, and the elements and bytes that it moves."""

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from effkit.profiling.operators import GLOBAL_POOL, Operator
from effkit.profiling.result import Layer

# Layers by the convention of activations; everything else is folded into one of them or works in place.
LAYERS = frozenset({"conv", "depthwise_conv", "linear", "matmul", "attention", "recurrent", "pool", "norm", "custom"})
_PRODUCTS_IN_A_COMPLEX_ONE = 4


def figures(
    operator: Operator | None,
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    result: Any,
    operands: list[Tensor],
    is_weight: list[bool],
) -> Layer | None:
    """Return the record of a call, yet without the layer's name and parameters; None if its result is no tensor.

    `operands` are all tensors among the arguments, in order, and `is_weight` tells those that belong to the model.
    """
    out = first_tensor(result)
    if out is None:
        return None
    inputs = [tensor for tensor, weight in zip(operands, is_weight, strict=True) if not weight]
    if operator is not None:
        operator = GLOBAL_POOL if name == "aten.mean" and _is_global_pool(*args) else operator
    kind = _kind(operator, args, out, any(is_weight))
    options = {key: value for key, value in kwargs.items() if key != "out"}
    products = _PRODUCTS_IN_A_COMPLEX_ONE if out.is_complex() else 1
    macs = products * operator.macs(*args, out=result, **options) if operator and operator.macs else 0
    other_ops = operator.other_ops(*args, out=result, **options) if operator and operator.other_ops else 0
    moved = _moved(operator.moves if operator else "all", operands, out)
    elements = sum(count for count, tensor in moved if tensor.is_floating_point())
    other_bytes = sum(count * tensor.element_size() for count, tensor in moved if not tensor.is_floating_point())
    floating_bytes = sum(count * tensor.element_size() for count, tensor in moved if tensor.is_floating_point())
    return Layer(
        name="",
        kind=kind,
        operator=name,
        input_shapes=tuple(tuple(tensor.shape) for tensor in inputs),
        output_shape=tuple(out.shape),
        params=0,
        macs=macs,
        other_ops=other_ops,
        input_activations=sum(map(_elements, _activations(kind, inputs))),
        activations=out.numel() if kind in LAYERS else 0,
        bytes_moved=floating_bytes + other_bytes,
        elements_moved=elements,
        other_bytes=other_bytes,
        bits=8 * out.element_size(),
    )


def first_tensor(result: Any) -> Tensor | None:
    """Return a call's result, or the first tensor among several: the others serve a later backward pass."""
    results = result if isinstance(result, list | tuple) else [result]
    return next((value for value in results if isinstance(value, Tensor)), None)


def _kind(operator: Operator | None, args: Sequence[Any], out: Tensor, has_weight: bool) -> str:
    if operator is None:
        return "uncounted"
    if operator.kind == "matmul" and has_weight:
        return "linear"
    if operator.kind == "conv" and len(args) > 1:
        channels, weight = args[0].shape[1], args[1]
        if channels > 1 and weight.shape[1] == 1 and out.shape[1] % channels == 0:
            return "depthwise_conv"
    return operator.kind


def _is_global_pool(x: Tensor, dim: Any = None, *_: Any) -> bool:
    """A mean over two or more trailing dimensions that leaves batch and channels is a pooling layer, however spelled."""
    dimensions = sorted(d % x.dim() for d in dim) if isinstance(dim, list | tuple) else []
    return 2 <= len(dimensions) <= x.dim() - 2 and dimensions == list(range(x.dim() - len(dimensions), x.dim()))


def _activations(kind: str, inputs: list[Tensor]) -> list[Tensor]:
    """Return the operands that are a layer's input: not masks, initial states or the like."""
    if kind == "attention":
        return inputs[:3]
    return inputs if kind in ("matmul", "linear", "custom") else inputs[:1]


def _moved(moves: str, operands: list[Tensor], out: Tensor) -> list[tuple[int, Tensor]]:
    """Return how many elements of which tensors a call reads and writes (see `Operator.moves`)."""
    rest = [(_elements(tensor), tensor) for tensor in operands[1:]]
    written = (_elements(out), out)
    if moves == "nothing":
        return []
    if moves == "overwritten":
        return [*rest, written]
    if moves == "selected":
        return [*rest, written, written]
    if moves == "scattered":
        return [*rest, *rest[-1:]]
    return [*((_elements(tensor), tensor) for tensor in operands[:1]), *rest, written]


def _elements(tensor: Tensor) -> int:
    """Return the elements that a tensor has in memory: a dimension that was expanded repeats the same ones."""
    if tensor.is_sparse:
        return int(tensor._nnz()) * (tensor.sparse_dim() + 1)
    return prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)
