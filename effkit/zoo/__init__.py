"""Reference networks as short, readable torch definitions, without weights.

Each can be built on ``torch.device("meta")``, where it takes no memory, and each takes plain arguments whose defaults are
the published values. Parameters are counted as in `effkit.counts`: distinct `Parameter` tensors, buffers apart.
"""

from effkit.zoo.plain import alexnet

__all__ = ["alexnet"]
