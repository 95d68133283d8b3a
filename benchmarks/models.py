"""The networks that the benchmarks count, each with an input."""

import torch
from torch import Tensor, nn

from effkit import zoo

# Pixels to a side of an image, or tokens.
SIZES = {
    "alexnet": 224,
    "vgg_cifar": 32,
    "resnet18": 224,
    "resnet50": 224,
    "mobilenet_v2": 224,
    "vit_b_16": 224,
    "gpt2": 128,
    "llama3": 128,
}
DECODERS = ("gpt2", "llama3")

# MACs for that input by the closed forms, as the docstrings of `effkit.zoo` state them.
MACS = {
    "alexnet": 724_406_816,
    "vgg_cifar": 605_754_368,
    "resnet18": 1_814_073_344,
    "resnet50": 4_089_184_256,
    "mobilenet_v2": 300_774_272,
    "vit_b_16": 17_563_828_224,
    "gpt2": 16_114_089_984,
    "llama3": 8_917_694_283_776,
}


def build(name: str, device: str = "meta") -> nn.Module:
    """Return a network of the zoo with its published sizes, in evaluation mode."""
    with torch.device(device):
        return getattr(zoo, name)().eval()


def example(name: str, device: str = "meta") -> Tensor:
    """Return an input for it: one image, or one sequence of 128 tokens."""
    if name in DECODERS:
        return torch.zeros(1, SIZES[name], dtype=torch.long, device=device)
    return torch.zeros(1, 3, SIZES[name], SIZES[name], device=device)


def small() -> list[tuple[nn.Module, Tensor]]:
    """Return a small convolutional network and a small transformer, each with an input, on meta."""
    with torch.device("meta"):
        networks = zoo.vgg_cifar(widths=[(4,)]).eval(), zoo.gpt2(num_layers=1).eval()
    return list(zip(networks, (example("vgg_cifar"), example("gpt2")), strict=True))


def describe(name: str) -> str:
    """Return the input in words.

    >>> describe("gpt2")
    '1 x 128 tokens'
    """
    size = SIZES[name]
    return f"1 x {size} tokens" if name in DECODERS else f"1 x 3 x {size} x {size}"
