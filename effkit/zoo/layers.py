"""Layers that several networks of the zoo share.

In shape comments n is the batch size, c channels, h and w the height and width of a map, t the sequence length (tokens)
and d the embedding size.
"""

from collections import OrderedDict

from torch import nn


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Return a convolution, batch normalization and, where given, an activation, as one layer.

    It takes (n, in_channels, h, w) to (n, out_channels, h / stride, w / stride), rounded up, for odd kernel sizes. The
    convolution has no bias, because the normalization that follows would subtract it again.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
        bn=nn.BatchNorm2d(out_channels),
    )
    if activation is not None:
        layers["activation"] = activation
    return nn.Sequential(layers)
