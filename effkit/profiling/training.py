"""Counts a training step: the work of the forward and the backward pass, and what must be kept between them.

The backward pass is torch's own, run on the meta device; nothing is assumed of how a layer is differentiated.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from effkit.formula import can_be_withheld
from effkit.profiling.profile import first_that_runs, plain_module
from effkit.profiling.shadow import Call, tensors_in
from effkit.profiling.trace import Trace, memory_of


@dataclass(frozen=True)
class Training:
    """The counts of a forward and a backward pass. Bytes are at the tensors' own dtypes.

    `saved_bytes` is what the forward pass keeps for the backward pass, parameters and buffers left out: the activations of
    training. `param_bytes` is the size of all parameters, `gradient_bytes` that of the gradients of the trainable ones.
    """

    model: str
    params: int
    trainable_params: int
    forward_macs: int
    backward_macs: int
    saved_bytes: int
    param_bytes: int
    gradient_bytes: int
    uncounted: dict[str, int]
    notes: tuple[str, ...]

    @property
    def macs(self) -> int:
        """MACs of both passes."""
        return self.forward_macs + self.backward_macs

    @property
    def forward_flops(self) -> int:
        """FLOPs of the forward pass: 2 x MACs."""
        return 2 * self.forward_macs

    @property
    def backward_flops(self) -> int:
        """FLOPs of the backward pass: 2 x MACs."""
        return 2 * self.backward_macs

    @property
    def flops(self) -> int:
        """FLOPs of both passes."""
        return 2 * self.macs

    def memory_bytes(self, optimizer_states: int = 0) -> int:
        """Return parameters, gradients, saved activations and so many states of the optimizer for each trainable parameter.

        SGD keeps none, with momentum one, Adam two, each as large as the gradient.
        """
        return self.param_bytes + (1 + optimizer_states) * self.gradient_bytes + self.saved_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain JSON values."""
        return {
            **asdict(self),
            "notes": list(self.notes),
            "forward_flops": self.forward_flops,
            "backward_flops": self.backward_flops,
        }

    def __str__(self) -> str:
        return (
            f"{self.model}: forward {self.forward_flops:,} FLOPs, backward {self.backward_flops:,} FLOPs, "
            f"{self.saved_bytes:,} bytes kept for the backward pass"
        )


@can_be_withheld
def profile_training(model: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Training:
    """Count a training step of ``model(*args, **kwargs)``: forward pass, backward pass and the memory between them.

    The backward pass begins with a gradient for every output that has one; a loss is counted if the model computes it. Only
    gradients that are wanted are computed: frozen parameters (``requires_grad=False``) and inputs without
    ``requires_grad`` cost nothing. The model stays as it is, in the mode it is in, without gradients.

    Attention spelled ``scaled_dot_product_attention`` is taken as the fused kernel that CPUs and GPUs have: it keeps no
    scores, and its backward pass computes them again (5 products for the 2 of the forward pass).

    Raises `ForwardError` if a pass fails, TypeError as `profile` does, and ValueError if no output needs a gradient.

    >>> import torch
    >>> step = profile_training(torch.nn.Linear(20, 10), torch.zeros(3, 20))
    >>> step.forward_macs, step.backward_macs, step.saved_bytes
    (600, 600, 240)
    """
    call = Call(plain_module(model), args, kwargs)
    copied, trace, found, notes = first_that_runs(call, (True,), _step)
    if found is None:
        raise ValueError("model must have an output that needs a gradient: no parameter or input of it has requires_grad")
    layers_forward, saved = found
    params, _ = copied.weights()
    trainable = [param for param in params if param.requires_grad]
    return Training(
        model=call.name(),
        params=sum(p.numel() for p in params),
        trainable_params=sum(p.numel() for p in trainable),
        forward_macs=sum(layer.macs for layer in trace.layers[:layers_forward]),
        backward_macs=sum(layer.macs for layer in trace.layers[layers_forward:]),
        saved_bytes=saved,
        param_bytes=sum(p.numel() * p.element_size() for p in params),
        gradient_bytes=sum(p.numel() * p.element_size() for p in trainable),
        uncounted=trace.uncounted,
        notes=notes,
    )


def _step(call: Call, trace: Trace) -> tuple[int, int] | None:
    """Run both passes; return the number of layers of the first and the bytes it keeps, None if nothing has a gradient."""
    saved: dict[int, int] = {}  # bytes of each piece of memory that autograd keeps
    weights = {memory_of(tensor) for group in call.weights() for tensor in group}

    def pack(tensor: Tensor) -> Tensor:
        if memory_of(tensor) not in weights:
            saved[memory_of(tensor)] = _bytes_of(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = call.run()
    ends = [tensor for tensor in tensors_in(outputs) if tensor.requires_grad]
    if not ends:
        return None
    layers_forward = len(trace.layers)
    torch.autograd.backward(ends, [torch.empty_like(end) for end in ends])
    return layers_forward, sum(saved.values())


def _bytes_of(tensor: Tensor) -> int:
    """Return the bytes of a tensor's memory; a sparse one keeps its values and where they are."""
    if tensor.layout is torch.strided:
        return tensor.untyped_storage().nbytes()
    if tensor.is_sparse:
        return tensor._values().nbytes + tensor._indices().nbytes
    return tensor.numel() * tensor.element_size()
