"""The two roads of a profile: on the meta device, and with real numbers for a model that looks at them."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


class Looks(nn.Module):
    """Calls a model and, if it looks, reads one number of its result, which the meta device does not have."""

    def __init__(self, model, looks):
        super().__init__()
        self.model, self.looks = model, looks

    def forward(self, *args, **kwargs):
        result = self.model(*args, **kwargs)
        if self.looks:
            first = next(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
            first.detach()[(0,) * first.dim()].item()
        return result


class Differentiates(nn.Module):
    """Calls a model after it has called autograd, which inference mode does not have."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *args, **kwargs):
        x = torch.ones(1, requires_grad=True)
        torch.autograd.grad(x.square().sum(), x)
        return self.model(*args, **kwargs)


def figures(profile):
    """Everything that a profile says of its layers but what differs with how a pass was run."""
    return [replace(layer, operator="") for layer in profile.layers]
