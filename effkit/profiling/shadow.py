"""A copy of a model and its inputs to count on, so that the caller's own are not touched.

On the meta device the copy has shapes and no numbers and takes no memory. Elsewhere it shares the parameters' numbers, which
a forward pass does not change, and has everything else for itself.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves


class Call(NamedTuple):
    """A model and what it is called with."""

    model: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self) -> Any:
        """Call the model."""
        return self.model(*self.args, **self.kwargs)

    def modules(self) -> list[tuple[str, Module]]:
        """Return the path and the module of each module of the model, once; a function has none."""
        return list(self.model.named_modules()) if isinstance(self.model, Module) else []

    def tensors(self) -> list[Tensor]:
        """Return the distinct tensors among the arguments."""
        return list({id(tensor): tensor for tensor in tensors_in((self.args, self.kwargs))}.values())

    def weights(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the distinct parameters that have a shape and the distinct buffers of the model."""
        if not isinstance(self.model, Module):
            return [], []
        return [param for param in self.model.parameters() if not is_lazy(param)], list(self.model.buffers())

    def name(self) -> str:
        """Return the module's class or the function's name."""
        kind = type(self.model).__name__
        return kind if isinstance(self.model, Module) else getattr(self.model, "__name__", kind)


def shadow(call: Call, *, meta: bool) -> Call:
    """Return a copy of a call, on the meta device or where it is; a tensor that is used twice stays one.

    An argument or an attribute of a module that cannot be copied, a lock or an open file, is shared with the caller. Raises
    TypeError if the model or a tensor cannot be copied even so.
    """
    stand_ins: dict[int, Any] = {}  # by the identity of what they stand for, as copy.deepcopy keeps them
    for tensor in tensors_of(call):
        if tensor.is_nested or tensor.is_mkldnn:
            raise TypeError("effkit counts dense and sparse tensors, not nested or MKL-DNN ones: pad or convert them")
        if id(tensor) not in stand_ins:
            stand_ins[id(tensor)] = _on_meta(tensor) if meta else _in_place(tensor)
    try:
        return copy.deepcopy(call, dict(stand_ins))
    except Exception:  # noqa: BLE001  whatever an attribute raises
        stand_ins |= _that_cannot_be_copied(call, stand_ins)
    try:
        return copy.deepcopy(call, stand_ins)
    except Exception as error:
        raise TypeError(
            f"effkit counts on a copy of the model, and this one cannot be copied: {type(error).__name__}: {error}"
        ) from error


def _that_cannot_be_copied(call: Call, stand_ins: Mapping[int, Any]) -> dict[int, Any]:
    values = [*call.args, *call.kwargs.values()] if call.modules() else [*call.args, *call.kwargs.values(), call.model]
    for _, module in call.modules():
        values += [value for name, value in vars(module).items() if name != "_modules"]
    shared: dict[int, Any] = {}
    for value in values:
        try:
            copy.deepcopy(value, dict(stand_ins))
        except Exception:  # noqa: BLE001  whatever it raises
            shared[id(value)] = value
    return shared


def tensors_of(call: Call) -> Iterator[Tensor]:
    """Go through the parameters, buffers and other tensors of a model's modules, and the tensors it is called with."""
    for _, module in call.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor):
                yield value
            elif isinstance(value, list | tuple | dict) and value:
                yield from tensors_in(value)
    yield from call.tensors()


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Go through the tensors of a value: in lists, dictionaries, other containers and dataclasses too."""
    waiting, seen = [value], set[int]()
    while waiting:
        for leaf in tree_leaves(waiting.pop(0)):
            if isinstance(leaf, Tensor):
                yield leaf
            elif id(leaf) not in seen and isinstance(leaf, Mapping):
                waiting.append(list(leaf.values()))
            elif id(leaf) not in seen and is_dataclass(leaf):
                waiting.append([getattr(leaf, field.name, None) for field in fields(leaf)])
            seen.add(id(leaf))


def _on_meta(tensor: Tensor) -> Tensor:
    if is_lazy(tensor):  # a lazy module's, which gets its shape in the forward pass
        kind: Any = type(tensor)
        return kind(requires_grad=tensor.requires_grad, device="meta", dtype=tensor.dtype)
    if tensor.layout is not torch.strided:
        return tensor.detach().to("meta")
    empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return _like(tensor, empty)


def _in_place(tensor: Tensor) -> Tensor:
    if is_lazy(tensor):
        return copy.deepcopy(tensor)
    if not isinstance(tensor, Parameter) or tensor.is_inference():
        return _like(tensor, tensor.detach().clone())
    # Not detach(), whose result would tell the caller's own autograd of changes: `Trace` takes them back.
    return _like(tensor, tensor.data)


def _like(tensor: Tensor, data: Tensor) -> Tensor:
    """Return `data` as the kind of tensor that another one is: a parameter, a buffer, one that wants a gradient."""
    if isinstance(tensor, Parameter):
        return Parameter(data, requires_grad=tensor.requires_grad)
    return data.requires_grad_(tensor.requires_grad)
