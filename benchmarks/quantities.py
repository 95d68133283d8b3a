"""What a network does beside its MACs, counted on two roads: from effkit's records, and from the calls of torch's functions.

Other counters differ from effkit by some of these numbers, so that a difference can be explained to the last unit. The first
road reads the layers of an `effkit.Profile`: shapes, MACs, other operations and parameters that effkit found below the
model, operator by operator. The second watches what the model calls (``F.linear``, ``F.layer_norm``) with which tensors.
"""

from collections import Counter
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import activation
from torch.overrides import TorchFunctionMode

from effkit.counts.pointwise import OPS_PER_OUTPUT
from effkit.profiling.result import Layer, Profile

WORDS = {
    "attention": "MACs of attention (q kᵀ, and its product with v)",
    "bias": "additions of a bias",
    "biased_linear": "MACs of the linear layers that have a bias",
    "later_positions": "MACs and bias additions of linear layers at all positions of a sequence but the first",
    "batch_norm": "batch-normalized elements",
    "layer_norm": "layer-normalized elements",
    "rms_norm": "RMS-normalized elements",
    "activation": "results of activation modules",
    "relu6": "results of ReLU6 modules among them",
    "activation_function": "results of activation functions called without a module",
    "pool_in": "inputs of pooling",
    "avg_in": "inputs of average pooling",
    "avg_out": "results of average pooling",
    "norm_params": "parameters of normalization layers, once for each item of the batch",
    "tables": "elements of each embedding table, once for each row of its result",
    "tied": "parameters that a second layer uses again",
}


def from_profile(profile: Profile, model: nn.Module) -> Counter[str]:
    """Return each quantity by the records of an `effkit.Profile` of this model."""
    tally: Counter[str] = Counter(dict.fromkeys(WORDS, 0))
    for layer in profile.layers:
        read = _READ.get(layer.kind)
        if read:
            read(tally, layer, model)
    return tally


def _read_convolution(tally: Counter[str], layer: Layer, model: nn.Module) -> None:
    tally["bias"] += layer.other_ops


def _read_linear(tally: Counter[str], layer: Layer, model: nn.Module) -> None:
    batch, *positions, _ = layer.output_shape
    work = layer.macs + layer.other_ops
    tally["bias"] += layer.other_ops
    tally["biased_linear"] += layer.macs if layer.other_ops else 0
    tally["later_positions"] += work - work // prod(positions)
    tally["tied"] += work // (batch * prod(positions)) - layer.params


def _read_norm(tally: Counter[str], layer: Layer, model: nn.Module) -> None:
    name = layer.kind if layer.kind == "batch_norm" else "rms_norm" if "rms" in layer.operator else "layer_norm"
    tally[name] += layer.other_ops // OPS_PER_OUTPUT["norm"]
    tally["norm_params"] += layer.output_shape[0] * layer.params


def _read_activation(tally: Counter[str], layer: Layer, model: nn.Module) -> None:
    in_module = isinstance(model.get_submodule(layer.name), _ACTIVATIONS)
    tally["activation" if in_module else "activation_function"] += layer.other_ops
    tally["relu6"] += layer.other_ops if "hardtanh" in layer.operator else 0


def _read_pool(tally: Counter[str], layer: Layer, model: nn.Module) -> None:
    tally["pool_in"] += prod(layer.input_shapes[0])
    if "max" not in layer.operator:
        tally["avg_in"] += prod(layer.input_shapes[0])
        tally["avg_out"] += prod(layer.output_shape)


def _read_embedding(tally: Counter[str], layer: Layer, model: nn.Module) -> None:
    tally["tables"] += layer.output_shape[0] * layer.params


def _read_attention(tally: Counter[str], layer: Layer, model: nn.Module) -> None:
    tally["attention"] += layer.macs


_READ = {
    "conv": _read_convolution,
    "depthwise_conv": _read_convolution,
    "linear": _read_linear,
    "norm": _read_norm,
    "batch_norm": _read_norm,
    "activation": _read_activation,
    "pool": _read_pool,
    "embedding": _read_embedding,
    "attention": _read_attention,
}
_ACTIVATIONS = tuple(getattr(activation, name) for name in activation.__all__)
_ACTIVATION_FUNCTIONS = ("relu", "gelu", "silu", "hardtanh")


def from_calls(model: nn.Module, *args: Any) -> Counter[str]:
    """Return each quantity by the functions that the model calls."""
    with torch.no_grad(), _Calls() as calls:
        hooks = [m.register_forward_hook(calls.leave) for m in model.modules() if isinstance(m, _ACTIVATIONS)]
        try:
            model(*args)
        finally:
            for hook in hooks:
                hook.remove()
    calls.tally["activation_function"] -= calls.tally["activation"]
    everywhere = sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False))
    calls.tally["tied"] = everywhere - sum(p.numel() for p in model.parameters())
    return calls.tally


class _Calls(TorchFunctionMode):
    """Adds up what each function call of a forward pass has beside its MACs."""

    def __init__(self) -> None:
        super().__init__()
        self.tally: Counter[str] = Counter(dict.fromkeys(WORDS, 0))

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        see = getattr(self, f"_see_{func.__name__.lstrip('_')}", None)
        if see:
            see(out, *args, **(kwargs or {}))
        elif func.__name__ in _ACTIVATION_FUNCTIONS:
            self.tally["activation_function"] += out.numel()
        return out

    def leave(self, module: nn.Module, inputs: Any, out: Tensor) -> None:
        """Count what an activation module gives."""
        self.tally["activation"] += out.numel()
        self.tally["relu6"] += out.numel() if isinstance(module, nn.ReLU6) else 0

    def _see_linear(self, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
        additions = 0 if bias is None else out.numel()
        of_one_position = weight.numel() + (0 if bias is None else bias.numel())
        self.tally["bias"] += additions
        self.tally["biased_linear"] += x.numel() * len(weight) if additions else 0
        self.tally["later_positions"] += x.numel() * len(weight) + additions - len(out) * of_one_position

    def _see_conv2d(self, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None, *_: Any) -> None:
        self.tally["bias"] += 0 if bias is None else out.numel()

    def _see_scaled_dot_product_attention(self, out: Tensor, q: Tensor, k: Tensor, v: Tensor, **_: Any) -> None:
        n, heads, t, head_dim = q.shape
        self.tally["attention"] += n * heads * t * k.shape[2] * (head_dim + v.shape[3])

    def _see_batch_norm(self, out: Tensor, x: Tensor, mean: Tensor, var: Tensor, *affine: Any, **options: Any) -> None:
        self._see_norm("batch_norm", out, *affine, *options.values())

    def _see_layer_norm(self, out: Tensor, x: Tensor, shape: Any, *affine: Any, **options: Any) -> None:
        self._see_norm("layer_norm", out, *affine, *options.values())

    def _see_rms_norm(self, out: Tensor, x: Tensor, shape: Any, *affine: Any, **options: Any) -> None:
        self._see_norm("rms_norm", out, *affine, *options.values())

    def _see_norm(self, name: str, out: Tensor, *options: Any) -> None:
        self.tally[name] += out.numel()
        self.tally["norm_params"] += len(out) * sum(p.numel() for p in options if isinstance(p, Tensor))

    def _see_max_pool2d(self, out: Tensor, x: Tensor, *_: Any, **__: Any) -> None:
        self.tally["pool_in"] += x.numel()

    def _see_adaptive_avg_pool2d(self, out: Tensor, x: Tensor, *_: Any) -> None:
        self.tally.update(pool_in=x.numel(), avg_in=x.numel(), avg_out=out.numel())

    def _see_embedding(self, out: Tensor, indices: Tensor, table: Tensor, *_: Any, **__: Any) -> None:
        self.tally["tables"] += len(out) * table.numel()
