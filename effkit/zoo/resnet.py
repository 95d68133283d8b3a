"""ResNet: convolutional networks whose blocks add to what they are given.

Source: K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from effkit.zoo.layers import conv_bn


class Residual(nn.Module):
    """A branch added to a shortcut: relu(branch(x) + shortcut(x)), where both give the same shape."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))  # (n, c, h, w)


def basic_block(in_channels: int, width: int, stride: int) -> Residual:
    """Return the block of ResNet-18, two 3 x 3 convolutions.

    It takes (n, in_channels, h, w) to (n, width, h / stride, w / stride).
    """
    branch = nn.Sequential(
        conv_bn(in_channels, width, 3, stride=stride, activation=nn.ReLU()),
        conv_bn(width, width, 3),
    )
    return Residual(branch, _shortcut(in_channels, width, stride))


def bottleneck(in_channels: int, width: int, stride: int) -> Residual:
    """Return the block of ResNet-50, three convolutions: 1 x 1, 3 x 3, 1 x 1.

    It takes (n, in_channels, h, w) to (n, 4 width, h / stride, w / stride).
    """
    branch = nn.Sequential(
        conv_bn(in_channels, width, 1, activation=nn.ReLU()),
        conv_bn(width, width, 3, stride=stride, activation=nn.ReLU()),
        conv_bn(width, 4 * width, 1),
    )
    return Residual(branch, _shortcut(in_channels, 4 * width, stride))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return the identity where the shape stays, and a 1 x 1 convolution where it does not."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return conv_bn(in_channels, out_channels, 1, stride=stride)


def resnet18(num_classes: int = 1000, *, width: int = 64) -> nn.Sequential:
    """Return ResNet-18 for images (n, 3, h, w), published at 224 x 224; gives (n, num_classes).

    `width` is the number of channels of the first stage; each later stage doubles it. It has 11,689,512 parameters and
    takes 1,814,073,344 MACs for an image of 224 x 224.

    >>> import torch
    >>> resnet18(10, width=4)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 10])
    """
    return _resnet(basic_block, [2, 2, 2, 2], num_classes, width, expansion=1)


def resnet50(num_classes: int = 1000, *, width: int = 64) -> nn.Sequential:
    """Return ResNet-50 for images (n, 3, h, w), published at 224 x 224; gives (n, num_classes).

    `width` is that of the first stage's 3 x 3 convolutions; each later stage doubles it. It has 25,557,032 parameters and
    takes 4,089,184,256 MACs for an image of 224 x 224. A stage halves the map in its first 3 x 3 convolution, as is usual
    today ("v1.5"); the paper does so in the 1 x 1 before it, which takes fewer MACs (3.8 billion).

    >>> import torch
    >>> resnet50(10, width=4)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 10])
    """
    return _resnet(bottleneck, [3, 4, 6, 3], num_classes, width, expansion=4)


Block = Callable[[int, int, int], Residual]


def _resnet(block: Block, depths: Sequence[int], num_classes: int, width: int, expansion: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=conv_bn(3, width, 7, stride=2, activation=nn.ReLU()),  # (n, width, 112, 112) from 224 x 224
        pool=nn.MaxPool2d(3, stride=2, padding=1),  # (n, width, 56, 56)
    )
    in_channels = width
    for number, depth in enumerate(depths):
        stride = 1 if number == 0 else 2  # 56 x 56 -> 28 x 28 -> 14 x 14 -> 7 x 7
        blocks = [block(in_channels, width * 2**number, stride)]
        in_channels = expansion * width * 2**number
        blocks += [block(in_channels, width * 2**number, 1) for _ in range(depth - 1)]
        layers[f"stage{number + 1}"] = nn.Sequential(*blocks)
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)  # (n, c, 1, 1)
    layers["flatten"] = nn.Flatten()  # (n, c)
    layers["fc"] = nn.Linear(in_channels, num_classes)  # (n, num_classes)
    return nn.Sequential(layers)
