"""MobileNetV2: inverted residuals, cheap because each 3 x 3 convolution sees one channel.

Source: M. Sandler, A. Howard, M. Zhu, A. Zhmoginov and L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, tables 1 and 2.
"""

from collections import OrderedDict

from torch import Tensor, nn

from effkit.zoo.layers import conv_bn

# Table 2 of the paper: expansion, output channels, blocks, stride of the first block.
STAGES = [
    (1, 16, 1, 1),  # 112 x 112 from 224 x 224
    (6, 24, 2, 2),  # 56 x 56
    (6, 32, 3, 2),  # 28 x 28
    (6, 64, 4, 2),  # 14 x 14
    (6, 96, 3, 1),
    (6, 160, 3, 2),  # 7 x 7
    (6, 320, 1, 1),
]


class InvertedResidual(nn.Module):
    """A 1 x 1 expansion, a 3 x 3 depthwise convolution and a 1 x 1 projection.

    It takes (n, in_channels, h, w) to (n, out_channels, h / stride, w / stride). The wide maps are inside a block and the
    narrow ones between blocks. The projection has no activation (a "linear bottleneck"). The input is added where it has
    the shape of the output.
    """

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * in_channels
        expand = [conv_bn(in_channels, hidden, 1, activation=nn.ReLU6())] if expansion > 1 else []
        self.branch = nn.Sequential(
            *expand,
            conv_bn(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6()),
            conv_bn(hidden, out_channels, 1),
        )
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x) if self.adds_input else self.branch(x)  # (n, out_channels, h / stride, w / stride)


def mobilenet_v2(num_classes: int = 1000, *, width_multiplier: float = 1.0) -> nn.Sequential:
    """Return MobileNetV2 for images (n, 3, h, w), published at 224 x 224; gives (n, num_classes).

    `width_multiplier` scales the channels of each layer, except that the last convolution never gets fewer than 1280.
    It has 3,504,872 parameters and takes 300,774,272 MACs for an image of 224 x 224. Dropout is that of the authors' code.

    >>> import torch
    >>> mobilenet_v2(10, width_multiplier=0.25)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 10])
    """
    channels = _round_to_8(32 * width_multiplier)
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=conv_bn(3, channels, 3, stride=2, activation=nn.ReLU6()))
    for number, (expansion, out_channels, depth, stride) in enumerate(STAGES, start=1):
        width = _round_to_8(out_channels * width_multiplier)
        blocks = [InvertedResidual(channels, width, expansion=expansion, stride=stride)]
        blocks += [InvertedResidual(width, width, expansion=expansion, stride=1) for _ in range(depth - 1)]
        layers[f"stage{number}"] = nn.Sequential(*blocks)
        channels = width
    last_channels = _round_to_8(1280 * max(1.0, width_multiplier))
    layers["last"] = conv_bn(channels, last_channels, 1, activation=nn.ReLU6())  # (n, 1280, 7, 7)
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)  # (n, 1280, 1, 1)
    layers["flatten"] = nn.Flatten()  # (n, 1280)
    layers["drop"] = nn.Dropout(0.2)
    layers["fc"] = nn.Linear(last_channels, num_classes)  # (n, num_classes)
    return nn.Sequential(layers)


def _round_to_8(channels: float) -> int:
    """Return the multiple of 8 nearest to `channels`, and the next one where that would lose more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
