"""The figures of one operator call: its kind of layer, its work, and the elements and bytes that it moves."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from effkit.profiling.formulas import first_tensor
from effkit.profiling.operators import GLOBAL_POOL, Operator
from effkit.profiling.result import Layer

# Kinds that are folded into a layer, work in place or only move data. Every other kind is a layer with activations.
_FOLDED = frozenset(
    {"activation", "batch_norm", "copy", "elementwise", "embedding", "reduction", "resample", "softmax", "uncounted"}
)
_WITH_ONE_INPUT = _FOLDED | {"conv", "depthwise_conv", "recurrent", "pool", "norm"}
_PRODUCTS_IN_A_COMPLEX_ONE = 4
_COMPRESSED = frozenset({torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc})


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
    kind = _kind(operator, args, any(is_weight))
    options = {key: value for key, value in kwargs.items() if key != "out"}
    macs = _macs(operator.macs(*args, out=result, **options), operands, out) if operator and operator.macs else 0
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
        activations=0 if kind in _FOLDED else out.numel(),
        bytes_moved=floating_bytes + other_bytes,
        elements_moved=elements,
        other_bytes=other_bytes,
        bits=8 * out.element_size(),
    )


def _macs(macs: int, operands: list[Tensor], out: Tensor) -> int:
    """Return the MACs of a call from those of dense, real operands: zeros that are not stored are not multiplied."""
    sparse = next((tensor for tensor in operands if tensor.is_sparse or tensor.layout in _COMPRESSED), None)
    if sparse is not None:
        macs = macs * _stored(sparse) // max(sparse.numel(), 1)
    return _PRODUCTS_IN_A_COMPLEX_ONE * macs if out.is_complex() else macs


def _stored(tensor: Tensor) -> int:
    """Return the elements that a sparse tensor stores."""
    return (tensor._values() if tensor.is_sparse else tensor.values()).numel()


def _kind(operator: Operator | None, args: Sequence[Any], has_weight: bool) -> str:
    if operator is None:
        return "uncounted"
    if operator.kind == "matmul" and has_weight:
        return "linear"
    if operator.kind == "conv" and len(args) > 8 and args[8] == args[0].shape[1] > 1:  # as many groups as channels
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
    return inputs[:1] if kind in _WITH_ONE_INPUT else inputs


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
        return _stored(tensor) + tensor.sparse_dim() * int(tensor._nnz())
    if tensor.layout in _COMPRESSED:  # each value has an index, and each row says where it ends
        return _stored(tensor) + int(tensor._nnz()) + tensor.shape[-2] + 1
    if tensor.layout is not torch.strided:
        return tensor.numel()
    return prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)
