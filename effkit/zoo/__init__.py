"""Reference networks as short, readable torch definitions, without weights.

Each can be built on ``torch.device("meta")``, where it takes no memory, and each takes plain arguments whose defaults are
the published values. Parameters are counted as in `effkit.counts`: distinct `Parameter` tensors, buffers apart.
"""

from effkit.zoo.gpt import gpt2
from effkit.zoo.llama import llama3
from effkit.zoo.mobilenet import mobilenet_v2
from effkit.zoo.plain import alexnet, vgg_cifar
from effkit.zoo.resnet import resnet18, resnet50
from effkit.zoo.vit import vit_b_16

__all__ = ["alexnet", "gpt2", "llama3", "mobilenet_v2", "resnet18", "resnet50", "vgg_cifar", "vit_b_16"]
