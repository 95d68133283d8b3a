"""Counts one forward pass of a real model: `effkit.profile`.

The pass runs on a copy of the model, so the caller's stays as it is, and on the meta device, so that it takes no memory and
no arithmetic. A model that looks at its numbers cannot run there; it is run where its tensors are, and the profile says so.
"""

import random
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch.nn import Module, functional
from torch.nn.parameter import is_lazy

from effkit.formula import can_be_withheld
from effkit.profiling.attention import fused_attention
from effkit.profiling.result import Profile
from effkit.profiling.shadow import Call, shadow, tensors_in, tensors_of
from effkit.profiling.trace import Trace

T = TypeVar("T")
_ONE_AT_A_TIME = threading.RLock()


class ForwardError(RuntimeError):
    """The model's pass failed; the message names the layer, and ``__cause__`` is the error itself."""


@can_be_withheld
def profile(model: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Profile:
    """Count the work of ``model(*args, **kwargs)``: parameters, MACs, activations and bytes moved, in all and by layer.

    `model` is a torch module on any device, "meta" included, or another function of tensors. It is called as it is, in
    training or evaluation mode, without gradients; the caller's model, inputs and random state stay as they are. (What a
    function takes from around it, or a hook, is not copied: give the module itself.) The convention is that of
    `effkit.counts`, and it is printed with the result: 1 MAC = 2 FLOPs, bias additions are no MACs.

    Raises `ForwardError`, which names the layer, if the forward pass fails, and TypeError for a model that cannot be copied
    or whose weights are packed (torch.ao.quantization).

    >>> import torch
    >>> found = profile(torch.nn.Linear(20, 10), torch.zeros(3, 20))
    >>> found.params, found.macs, found.flops
    (210, 600, 1200)
    """
    call = Call(plain_module(model), args, kwargs)
    # Without gradients first; with them for a model that differentiates in its forward pass.
    copied, trace, outputs, notes = first_that_runs(call, (False, True), lambda copied, _: copied.run())
    trace.keep(list(tensors_in(outputs)))
    params, buffers = copied.weights()
    inputs = copied.tensors()
    return Profile(
        model=call.name(),
        layers=tuple(trace.layers),
        params=sum(tensor.numel() for tensor in params),
        buffers=sum(tensor.numel() for tensor in buffers),
        param_bytes=sum(tensor.numel() * tensor.element_size() for tensor in params),
        input_elements=sum(tensor.numel() for tensor in inputs),
        input_bits=max((8 * tensor.element_size() for tensor in inputs), default=32),
        uncounted=trace.uncounted,
        device=next((str(tensor.device) for tensor in (*params, *buffers, *inputs)), "cpu"),
        notes=notes,
        lifetimes=trace.lifetimes,
    )


@torch.inference_mode(False)  # a caller's inference mode would reach into the copy
def first_that_runs(
    call: Call, gradients: tuple[bool, ...], run: Callable[[Call, Trace], T]
) -> tuple[Call, Trace, T, tuple[str, ...]]:
    """Run a copy of a model on the meta device, or else where it is; return the copy, its trace, the result and notes.

    On each device it is tried with every choice of `gradients` in turn. Raises `ForwardError` for the error of the last try.
    """
    tensors = list(tensors_of(call))
    real = not all(tensor.is_meta for tensor in tensors)
    cards = {tensor.device for tensor in tensors if tensor.is_cuda}
    reason: Exception | None = None
    where = ""
    for meta in (True, False) if real else (True,):
        for wanted in gradients:
            copied, trace = shadow(call, meta=meta), None
            try:
                copied = _initialized(copied, meta, cards)
                trace = _follow(copied)
                with _untouched(wanted, cards), trace:
                    result = run(copied, trace)
            except Exception as error:  # noqa: BLE001  whatever a model raises
                where = trace.failed[0] if trace and trace.failed else call.name()
                failure, reason = error, reason or error
            else:
                why = f"{type(reason).__name__}: {reason}".splitlines()[0]
                note = f"Run with real numbers, because on the meta device it fails: {textwrap.shorten(why, 150)}"
                return copied, trace, result, () if meta else (note,)
            finally:
                if trace:
                    trace.restore()
    raise ForwardError(f"the pass failed in {where}: {type(failure).__name__}: {failure}") from failure


def plain_module(model: Any) -> Any:
    """Return the module that torch.compile was given, or the model itself.

    Raises TypeError if the model cannot be called or has packed weights.
    """
    model = getattr(model, "_orig_mod", model)
    if isinstance(model, type):
        raise TypeError(f"model must be a module, not the class {model.__name__}: make one first, {model.__name__}(...)")
    if not callable(model):
        raise TypeError(f"model must be a torch module or another function of tensors, not {type(model).__name__}")
    for name, module in model.named_modules() if isinstance(model, Module) else ():
        if hasattr(module, "_packed_params"):
            raise TypeError(
                f"{name or type(module).__name__} is a quantized module with packed weights, which effkit cannot count: "
                "profile the model before quantization, and take model_size(bits=8) for its size"
            )
    return model


def _follow(call: Call) -> Trace:
    """Return a trace that knows the weights, inputs and modules of a model."""
    trace = Trace(*call.weights(), call.tensors(), call.name())
    for path, module in call.modules():
        if not isinstance(module, torch.jit.ScriptModule):  # its forward is not Python's to replace
            trace.follow(module, path or call.name())
    return trace


def _initialized(call: Call, meta: bool, cards: set[torch.device]) -> Call:
    """Return the copy with the weights that its lazy modules get from a first pass."""
    if not isinstance(call.model, Module) or not any(map(is_lazy, call.model.parameters())):
        return call
    with _untouched(True, cards), torch.no_grad():
        call.run()
    return shadow(call, meta=meta)


@contextmanager
def _untouched(gradients: bool, cards: set[torch.device]) -> Iterator[None]:
    """Run with or without gradients, and leave that, the random states and how attention is computed as they were.

    The random states are Python's and torch's on the CPU and on `cards`.

    The fast path of nn.MultiheadAttention is one operator for the whole layer, which would hide its products.
    """
    with _ONE_AT_A_TIME:
        fast_path, drawn = torch.backends.mha.get_fastpath_enabled(), random.getstate()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with torch.random.fork_rng(cards), _with_gradients() if gradients else torch.inference_mode():
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            random.setstate(drawn)


@contextmanager
def _with_gradients() -> Iterator[None]:
    """Run with gradients, and with attention as one operator: torch would take it apart before a trace could see it."""
    spelled = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = fused_attention
    try:
        with torch.enable_grad():
            yield
    finally:
        functional.scaled_dot_product_attention = spelled
