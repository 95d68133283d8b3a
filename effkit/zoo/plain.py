"""Plain convolutional networks: one layer after another, without shortcuts."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from effkit.zoo.layers import conv_bn


def alexnet(num_classes: int = 1000, *, bias: bool = True) -> nn.Sequential:
    """Return AlexNet (2012) for images (n, 3, 224, 224); gives (n, num_classes). Local response normalization is left out.

    Convolutions 2, 4 and 5 have two groups (the original ran on two GPUs). This is not torchvision's `alexnet`, which
    has other widths and no groups. Without biases it has 60,954,656 parameters, and it takes 724,406,816 MACs for an image.

    Source: A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural
    Networks", NeurIPS 2012. Padding 2 in the first layer makes 224-pixel inputs give the published 55 x 55 map.
    """

    def conv(c_in: int, c_out: int, kernel: int, *, stride: int = 1, padding: int, groups: int = 1) -> nn.Conv2d:
        return nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=padding, groups=groups, bias=bias)

    return nn.Sequential(
        OrderedDict(
            conv1=conv(3, 96, 11, stride=4, padding=2),  # (n, 96, 55, 55)
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, stride=2),  # (n, 96, 27, 27)
            conv2=conv(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(3, stride=2),  # (n, 256, 13, 13)
            conv3=conv(256, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=conv(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(),
            conv5=conv(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, stride=2),  # (n, 256, 6, 6)
            flatten=nn.Flatten(),  # (n, 9216)
            drop6=nn.Dropout(),
            fc6=nn.Linear(256 * 6 * 6, 4096, bias=bias),
            relu6=nn.ReLU(),
            drop7=nn.Dropout(),
            fc7=nn.Linear(4096, 4096, bias=bias),
            relu7=nn.ReLU(),
            fc8=nn.Linear(4096, num_classes, bias=bias),  # (n, num_classes)
        )
    )


def vgg_cifar(
    num_classes: int = 10,
    *,
    widths: Sequence[Sequence[int]] = ((64, 128), (256, 256), (512, 512), (512, 512)),
) -> nn.Sequential:
    """Return the VGG-style network of MIT 6.5940's labs, for CIFAR-10 images (n, 3, 32, 32); gives (n, num_classes).

    Each inner tuple of `widths` lists the output channels of 3 x 3 convolutions, each followed by batch normalization
    and ReLU; a max-pool that halves the map ends each. It has 9,228,362 parameters and takes 605,754,368 MACs for an image.
    It is none of the published VGG networks: it keeps their 3 x 3 stacks, adds batch normalization, and has one linear
    layer in place of three.

    Source: S. Han, MIT 6.5940 "TinyML and Efficient Deep Learning Computing", lab 0; the style is that of K. Simonyan and
    A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015.

    >>> import torch
    >>> vgg_cifar(widths=[(4, 8), (8,)])(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for stage, stage_widths in enumerate(widths, start=1):
        for position, width in enumerate(stage_widths, start=1):
            layers[f"conv{stage}_{position}"] = conv_bn(channels, width, 3, activation=nn.ReLU())
            channels = width
        layers[f"pool{stage}"] = nn.MaxPool2d(2)  # 32 x 32 -> 16 x 16 -> 8 x 8 -> 4 x 4 -> 2 x 2
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)  # (n, 512, 1, 1)
    layers["flatten"] = nn.Flatten()  # (n, 512)
    layers["fc"] = nn.Linear(channels, num_classes)  # (n, num_classes)
    return nn.Sequential(layers)
