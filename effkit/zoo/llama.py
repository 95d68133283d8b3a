"""Llama 3: a decoder-only transformer with grouped-query attention, rotary positions, RMSNorm and SwiGLU.

Source: A. Grattafiori et al., "The Llama 3 Herd of Models", 2024 (arXiv:2407.21783), table 3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from effkit.arguments import divides
from effkit.zoo.layers import attend


def rotation(t: int, head_dim: int, base: float, *, like: Tensor) -> Tensor:
    """Return the cosine and sine of the angle by which each position turns each pair of features, (2, t, head_dim / 2).

    At position m, pair i turns by m / base**(2 i / head_dim) radians. The result has the device and dtype of `like`.

    Source: J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, section 3.2.2.
    """
    # Angles are float32 whatever the model computes in: bf16 cannot tell position 1000 from 1001.
    positions = torch.arange(t, dtype=torch.float32, device=like.device)  # (t,)
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=like.device) / head_dim  # (head_dim / 2,)
    angles = positions[:, None] * base**-exponents  # (t, head_dim / 2)
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)  # (2, t, head_dim / 2)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Return x, (n, heads, t, head_dim), with each pair of neighbouring features turned by the angles of `rotation`.

    The scalar product of a rotated query and a rotated key depends on their positions through the distance alone.
    """
    cos, sin = turns.unbind()  # (t, head_dim / 2)
    first, second = x[..., 0::2], x[..., 1::2]  # (n, heads, t, head_dim / 2)
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)  # (n, heads, t, head_dim / 2, 2)
    return turned.flatten(-2)  # (n, heads, t, head_dim)


class GroupedQueryAttention(nn.Module):
    """Causal attention in which several query heads share a key/value head: (n, t, d) -> (n, t, d).

    Source: J. Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints",
    EMNLP 2023.
    """

    def __init__(self, embed_dim: int, num_heads: int, num_kv_heads: int, *, eager: bool) -> None:
        super().__init__()
        # Rotation takes features in pairs, so a head has an even number of them.
        divides("2 * num_heads", 2 * num_heads, "embed_dim", embed_dim)
        divides("num_kv_heads", num_kv_heads, "num_heads", num_heads)
        self.head_dim = embed_dim // num_heads
        self.eager = eager
        self.q = nn.Linear(embed_dim, num_heads * self.head_dim, bias=False)
        self.k = nn.Linear(embed_dim, num_kv_heads * self.head_dim, bias=False)
        self.v = nn.Linear(embed_dim, num_kv_heads * self.head_dim, bias=False)
        self.projection = nn.Linear(embed_dim, embed_dim, bias=False)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        q = rotate(self._heads(self.q(x)), turns)  # (n, heads, t, head_dim)
        k = rotate(self._heads(self.k(x)), turns)  # (n, kv_heads, t, head_dim)
        v = self._heads(self.v(x))  # (n, kv_heads, t, head_dim)
        x = attend(q, k, v, causal=True, eager=self.eager)  # (n, heads, t, head_dim)
        return self.projection(x.transpose(1, 2).flatten(2))  # (n, t, d)

    def _heads(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        return x.view(n, t, width // self.head_dim, self.head_dim).transpose(1, 2)  # (n, heads, t, head_dim)


class SwiGLU(nn.Module):
    """A perceptron with a gate, down(silu(gate(x)) * up(x)): (n, t, d) -> (n, t, d).

    Source: N. Shazeer, "GLU Variants Improve Transformer", 2020.
    """

    def __init__(self, embed_dim: int, ffn_dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(embed_dim, ffn_dim, bias=False)
        self.up = nn.Linear(embed_dim, ffn_dim, bias=False)
        self.down = nn.Linear(ffn_dim, embed_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(self.gate(x)) * self.up(x)  # (n, t, ffn_dim)
        return self.down(x)  # (n, t, d)


class LlamaBlock(nn.Module):
    """Attention and a gated perceptron, each normalized first and added to its input: (n, t, d) -> (n, t, d)."""

    def __init__(self, embed_dim: int, attention: GroupedQueryAttention, mlp: SwiGLU) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(embed_dim, eps=1e-5)
        self.attention = attention
        self.norm2 = nn.RMSNorm(embed_dim, eps=1e-5)
        self.mlp = mlp

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), turns)  # (n, t, d)
        return x + self.mlp(self.norm2(x))  # (n, t, d)


class Llama(nn.Module):
    """Embedding, blocks, normalization and output layer: integers (n, t) -> logits (n, t, vocab_size)."""

    def __init__(
        self, vocab_size: int, embed_dim: int, head_dim: int, rope_base: float, blocks: Sequence[LlamaBlock]
    ) -> None:
        super().__init__()
        self.head_dim, self.rope_base = head_dim, rope_base
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.RMSNorm(embed_dim, eps=1e-5)
        self.head = nn.Linear(embed_dim, vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)  # (n, t, d)
        turns = rotation(tokens.shape[1], self.head_dim, self.rope_base, like=x)  # (2, t, head_dim / 2), for all blocks
        for block in self.blocks:
            x = block(x, turns)  # (n, t, d)
        return self.head(self.norm(x))  # (n, t, vocab_size)


def llama3(
    *,
    vocab_size: int = 128256,
    embed_dim: int = 8192,
    num_layers: int = 80,
    num_heads: int = 64,
    num_kv_heads: int = 8,
    ffn_dim: int = 28672,
    rope_base: float = 500_000.0,
    eager: bool = False,
) -> Llama:
    """Return Llama 3 70B for tokens (n, t), integers below vocab_size; gives logits (n, t, vocab_size).

    Build it under ``torch.device("meta")``: as float32 numbers its 70,553,706,496 parameters would take 282 GB. It takes
    8,917,694,283,776 MACs for 128 tokens. Llama 3 8B is embed_dim=4096, num_layers=32, num_heads=32, ffn_dim=14336. The
    output layer is not tied to the embedding. `eager` spells attention out (see `attend` in `effkit.zoo.layers`).
    Left out: the key/value cache, the mask that keeps documents apart, and the rescaled angles of Llama 3.1.

    Raises ValueError unless `num_heads` divides `embed_dim` into heads of even size and `num_kv_heads` divides `num_heads`.

    >>> tiny = llama3(vocab_size=50, embed_dim=16, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=24)
    >>> tiny(torch.zeros(1, 8, dtype=torch.long)).shape
    torch.Size([1, 8, 50])
    """

    def block() -> LlamaBlock:
        attention = GroupedQueryAttention(embed_dim, num_heads, num_kv_heads, eager=eager)
        return LlamaBlock(embed_dim, attention, SwiGLU(embed_dim, ffn_dim))

    blocks = [block() for _ in range(num_layers)]
    return Llama(vocab_size, embed_dim, embed_dim // num_heads, rope_base, blocks)
