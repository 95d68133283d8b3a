"""Reference networks as short, readable torch definitions, without weights.

Each can be built on ``torch.device("meta")``, where it takes no memory, and each takes plain arguments whose defaults are
the published values. Parameters are counted as in `effkit.counts`: distinct `Parameter` tensors, buffers apart.
"""

from effkit.zoo.mobilenet import mobilenet_v2
from effkit.zoo.plain import alexnet, vgg_cifar
from effkit.zoo.resnet import resnet18, resnet50

__all__ = ["alexnet", "mobilenet_v2", "resnet18", "resnet50", "vgg_cifar"]
