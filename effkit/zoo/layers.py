"""Layers that several networks of the zoo share.

In shape comments n is the batch size, c channels, h and w the height and width of a map, t the sequence length (tokens)
and d the embedding size.
"""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from effkit.arguments import divides


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


def attend(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, eager: bool = False) -> Tensor:
    """Return scaled dot-product attention, softmax(q kᵀ / √head_dim) v, of shape (n, heads, t, head_dim).

    q is (n, heads, t, head_dim), k and v are (n, kv_heads, t, head_dim), and kv_heads divides heads. With `causal` a token
    attends to itself and to earlier tokens alone. With `eager` each step is an operator of its own and the (t, t) matrix of
    scores is written to memory; without it, torch may use one fused kernel that never writes it.

    Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2.
    """
    group = q.shape[1] // k.shape[1]  # query heads that share one key/value head
    if not eager:
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=bool(group > 1))
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)  # (n, heads, t, head_dim)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (n, heads, t, t)
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(diagonal=1)  # (t, t)
        scores = scores.masked_fill(future, -math.inf)
    return scores.softmax(dim=-1) @ v  # (n, heads, t, head_dim)


class SelfAttention(nn.Module):
    """Multi-head self-attention, whose queries, keys and values come from one linear layer: (n, t, d) -> (n, t, d)."""

    def __init__(self, embed_dim: int, num_heads: int, *, causal: bool, eager: bool) -> None:
        super().__init__()
        divides("num_heads", num_heads, "embed_dim", embed_dim)
        self.num_heads, self.causal, self.eager = num_heads, causal, eager
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.projection = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        qkv = self.qkv(x).view(n, t, 3, self.num_heads, d // self.num_heads)  # (n, t, 3, heads, head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # each (n, heads, t, head_dim)
        x = attend(q, k, v, causal=self.causal, eager=self.eager)  # (n, heads, t, head_dim)
        return self.projection(x.transpose(1, 2).reshape(n, t, d))  # (n, t, d)


class TransformerBlock(nn.Module):
    """Self-attention and a two-layer perceptron, each normalized first and added to its input: (n, t, d) -> (n, t, d).

    The order (normalization first) and the tanh form of GELU are those of GPT-2 and ViT. Dropout is left out.
    """

    def __init__(self, embed_dim: int, num_heads: int, *, causal: bool = False, eager: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim)
        self.attention = SelfAttention(embed_dim, num_heads, causal=causal, eager=eager)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.mlp = nn.Sequential(
            nn.Linear(embed_dim, 4 * embed_dim),  # (n, t, 4 d)
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * embed_dim, embed_dim),  # (n, t, d)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))  # (n, t, d)
        return x + self.mlp(self.norm2(x))  # (n, t, d)
