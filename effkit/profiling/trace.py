"""Watches a forward pass, operator by operator, below whatever a model is written with.

`Trace` is a torch dispatch mode. In inference mode torch hands it the operators as they were spelled (linear, attention,
LSTM): those with a formula are counted whole, the others taken apart. On the meta device, where tensors have shapes and no
numbers, a call is determined by the shapes, strides and dtypes of its operands: one like an earlier one is not run again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import Module, Parameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from effkit.profiling.attention import fused_attention
from effkit.profiling.figures import figures
from effkit.profiling.lifetimes import Lifetimes
from effkit.profiling.operators import Operator, look_up
from effkit.profiling.result import Layer

Signature: TypeAlias = tuple[Any, ...]

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_TENSORS = frozenset({Tensor, Parameter})
_VALUES = frozenset({int, float, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format})


@dataclass(frozen=True)
class _Known:
    """How to treat an operator: take it apart if that is possible, else pass it on if it is a view, else count it.

    `fresh` if its results are new memory, `repeatable` if their shapes follow from the operands' shapes. `writes` has the
    position and the name of each argument that it changes.
    """

    name: str
    operator: Operator | None
    view: bool
    apart: bool
    fresh: bool
    repeatable: bool
    writes: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class _Earlier:
    """What an earlier call gave: its figures, and its results' (shape, stride, dtype) if they can be set up without it."""

    layer: Layer | None
    results: tuple[tuple[Any, ...] | None, ...] | None
    single: bool


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the layers of a forward pass, its uncounted operators and the lifetimes of its tensors.

    `params` and `buffers` are the model's, `inputs` what it is called with, and `root` names the model itself.
    """

    supports_higher_order_operators = True

    def __init__(self, params: Sequence[Tensor], buffers: Sequence[Tensor], inputs: Sequence[Tensor], root: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[Layer] = []
        self.uncounted: dict[str, int] = {}
        self.lifetimes = Lifetimes()
        self.failed: tuple[str, Exception] | None = None  # the innermost module in which the last error arose
        self._path = root
        self._weights = {memory_of(tensor) for tensor in (*params, *buffers)}
        self._unread: dict[int, int] = {}  # elements of parameters that nothing has read yet, by their memory
        for param in params:
            self._unread[memory_of(param)] = self._unread.get(memory_of(param), 0) + param.numel()
        self._buffers: dict[int, int] = {}  # which lifetime a piece of memory is in now
        self._held: list[Any] = []  # what keeps the identity of a piece of memory from being given to a later one
        self._overwritten: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self.lifetimes.inputs = [self._begin(tensor) for tensor in inputs]
        self._on_meta = all(tensor.is_meta for tensor in (*params, *buffers, *inputs))
        self._known: dict[Any, _Known] = {}
        self._earlier: dict[Signature, _Earlier] = {}

    def follow(self, module: Module, path: str) -> None:
        """Give what `module` computes its path, and note it when an error arises there."""
        forward = module.forward

        def tracked(*args: Any, **kwargs: Any) -> Any:
            outer, self._path = self._path, path
            try:
                return forward(*args, **kwargs)
            except Exception as error:
                if self.failed is None or self.failed[1] is not error:
                    self.failed = path, error
                raise
            finally:
                self._path = outer

        module.__dict__["forward"] = tracked

    def keep(self, outputs: Sequence[Tensor]) -> None:
        """Say which tensors the model returned."""
        self.lifetimes.outputs = [self._buffers[m] for m in map(memory_of, outputs) if m in self._buffers]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known = self._known.get(func) or self._learn(func)
        if known.apart:
            # torch's own definition in C++, and not OpOverload.decompose: its Python twins for compilers copy more.
            with self:
                return func._op_dk(_COMPOSITE, *args, **kwargs)
        if known.view:
            return func(*args, **kwargs)
        operands: list[Tensor] = []
        signature = (func, self._signature(args, operands), tuple(kwargs), self._signature(kwargs.values(), operands))
        if self._on_meta and operands:
            on_meta = [tensor.is_meta for tensor in operands]
            if any(on_meta) and not all(on_meta):
                # A constant that the model made on the CPU keeps its numbers until it meets a tensor that has none.
                return self.__torch_dispatch__(func, types, *tree_map_only(Tensor, _to_meta, (args, kwargs)))
        return self._count(func, known, args, kwargs, operands, signature)

    def _learn(self, func: Any) -> _Known:
        if isinstance(func, torch._ops.HigherOrderOperator):  # torch.cond and the like, whose branches are not seen
            name = str(func)
            return _Known(name, None, view=False, apart=False, fresh=False, repeatable=False, writes=())
        operator, schema = look_up(func), func._schema
        aliases = any(result.alias_info is not None for result in schema.returns)
        self._known[func] = known = _Known(
            name=str(func.overloadpacket),
            operator=operator,
            view=operator is None and aliases and (not schema.is_mutable or torch.Tag.inplace_view in func.tags),
            apart=operator is None and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), _COMPOSITE),
            fresh=not aliases and not schema.is_mutable,
            repeatable=torch.Tag.dynamic_output_shape not in func.tags,
            writes=tuple((i, a.name) for i, a in enumerate(schema.arguments) if a.alias_info and a.alias_info.is_write),
        )
        return known

    def _signature(self, values: Any, operands: list[Tensor]) -> Signature:
        """Return what determines a call, as far as its arguments do; collect the tensors among them."""
        parts: list[Any] = []
        for value in values:
            kind = type(value)
            if kind in _TENSORS and value.layout is torch.strided:
                operands.append(value)
                weight = value.untyped_storage()._cdata in self._weights
                parts.append((value.shape, value.stride(), value.dtype, value.is_meta, weight))
            elif kind in _VALUES:
                parts.append((kind, value))  # 1, 1.0 and True are equal and mean different things
            elif kind is list or kind is tuple:
                parts.append(self._signature(value, operands))
            else:
                if isinstance(value, Tensor):
                    operands.append(value)
                parts.append(object())  # equals nothing else: such a call is never taken for an earlier one
        return tuple(parts)

    def _count(self, func: Any, known: _Known, args: Any, kwargs: Any, operands: list[Tensor], signature: Signature) -> Any:
        memories = [memory_of(tensor) for tensor in operands]
        earlier = self._earlier.get(signature) if known.repeatable else None
        if earlier is not None and earlier.results is not None:
            results = [
                None if r is None else torch.empty_strided(r[0], r[1], dtype=r[2], device="meta") for r in earlier.results
            ]
            result: Any = results[0] if earlier.single else tuple(results)
        else:
            if known.writes and not self._on_meta:
                self._save([args[i] if i < len(args) else kwargs.get(name) for i, name in known.writes])
            run = fused_attention if func is _ATTENTION and self._on_meta else func
            result = run(*args, **kwargs)
        if earlier is None:
            weights = [memory in self._weights for memory in memories]
            layer = figures(known.operator, known.name, args, kwargs, result, operands, weights)
            earlier = self._earlier[signature] = _Earlier(layer, *_template(result, known, memories))
        if earlier.layer is not None:
            self._record(earlier.layer, known, result, memories)
        return result

    def _record(self, layer: Layer, known: _Known, result: Any, memories: list[int]) -> None:
        results = [r for r in (result if isinstance(result, list | tuple) else [result]) if isinstance(r, Tensor)]
        reads = tuple(self._buffers[memory] for memory in memories if memory in self._buffers)
        makes = tuple(self._begin(r) for r in results if memory_of(r) not in memories)
        self.lifetimes.steps.append((self._path, layer.kind, reads, makes))
        if known.operator is None:
            self.uncounted[known.name] = self.uncounted.get(known.name, 0) + 1
        if layer.bytes_moved or layer.macs:
            params = sum(self._unread.pop(memory, 0) for memory in memories) if self._unread else 0
            self.layers.append(replace(layer, name=self._path, params=params))

    def _begin(self, tensor: Tensor) -> int:
        buffer = self.lifetimes.new(tensor.numel(), 8 * tensor.element_size())
        self._buffers[memory_of(tensor)] = buffer
        if tensor.layout is torch.strided:
            memory = tensor.untyped_storage()
            self._held.append(memory if tensor.is_meta else StorageWeakRef(memory))  # type: ignore[no-untyped-call]
        return buffer

    def _save(self, written: list[Any]) -> None:
        """Keep the numbers of weights that are about to be changed: parameters share theirs with the caller's model."""
        for tensor in tree_leaves(written):
            if (
                isinstance(tensor, Tensor)
                and memory_of(tensor) in self._weights
                and memory_of(tensor) not in self._overwritten
            ):
                memory = tensor.untyped_storage()
                self._overwritten[memory_of(tensor)] = memory, memory.clone()  # type: ignore[no-untyped-call]

    def restore(self) -> None:
        """Give the weights that the model changed the numbers that they had before."""
        for memory, before in self._overwritten.values():
            memory.copy_(before)


def _template(result: Any, known: _Known, memories: list[int]) -> tuple[tuple[tuple[Any, ...] | None, ...] | None, bool]:
    """Return what sets up a result again, and whether it is a single tensor; None where the call must be run."""
    single = isinstance(result, Tensor)
    results = [result] if single else result
    if not known.fresh or not isinstance(results, list | tuple):
        return None, single
    tensors = [r for r in results if r is not None]
    new = all(type(r) is Tensor and r.is_meta and not r.is_complex() and memory_of(r) not in memories for r in tensors)
    if not new or not tensors:
        return None, single
    return tuple(None if r is None else (r.shape, r.stride(), r.dtype) for r in results), single


def memory_of(tensor: Tensor) -> int:
    """Return what identifies the memory that a tensor and its views share, while it lasts."""
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # a sparse tensor, for example, has no storage of its own
        return id(tensor)


def _to_meta(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_meta else tensor.to("meta")
