"""ViT: a transformer that reads an image as a sequence of patches.

Source: A. Dosovitskiy et al., "An Image Is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from effkit.arguments import divides
from effkit.zoo.layers import TransformerBlock


class PatchEmbedding(nn.Module):
    """Images as tokens, one for each patch and a class token before them: (n, 3, image_size, image_size) -> (n, t, d)."""

    def __init__(self, image_size: int, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        divides("patch_size", patch_size, "image_size", image_size)
        num_patches = (image_size // patch_size) ** 2
        # One linear layer for each patch is a convolution whose stride is its kernel size.
        self.patches = nn.Conv2d(3, embed_dim, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.positions = nn.Parameter(torch.randn(1, num_patches + 1, embed_dim) * 0.02)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images).flatten(2).transpose(1, 2)  # (n, num_patches, d)
        class_token = self.class_token.expand(len(images), -1, -1)  # (n, 1, d)
        return torch.cat([class_token, patches], dim=1) + self.positions  # (n, num_patches + 1, d)


class FirstToken(nn.Module):
    """The first token of each sequence: (n, t, d) -> (n, d)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]  # (n, d)


def vit_b_16(
    num_classes: int = 1000,
    *,
    image_size: int = 224,
    patch_size: int = 16,
    embed_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    eager: bool = False,
) -> nn.Sequential:
    """Return ViT-B/16 for images (n, 3, image_size, image_size); gives (n, num_classes).

    It has 86,567,656 parameters and takes 17,563,828,224 MACs for an image: 197 tokens of 768 through 12 blocks. ViT-L/16 is
    embed_dim=1024, num_layers=24, num_heads=16. `eager` spells attention out (see `attend` in `effkit.zoo.layers`).
    Dropout is left out, and so is the hidden layer that pre-training puts before the classifier.

    Raises ValueError unless `patch_size` divides `image_size` and `num_heads` divides `embed_dim`.

    >>> vit_b_16(10, image_size=32, embed_dim=24, num_layers=2, num_heads=2)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """
    blocks = [TransformerBlock(embed_dim, num_heads, eager=eager) for _ in range(num_layers)]
    return nn.Sequential(
        OrderedDict(
            embedding=PatchEmbedding(image_size, patch_size, embed_dim),  # (n, 197, d)
            blocks=nn.Sequential(*blocks),  # (n, 197, d)
            class_token=FirstToken(),  # (n, d)
            norm=nn.LayerNorm(embed_dim),  # (n, d)
            head=nn.Linear(embed_dim, num_classes),  # (n, num_classes)
        )
    )
