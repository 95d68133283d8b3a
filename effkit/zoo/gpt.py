"""GPT-2: a decoder-only transformer with learned positions and an output layer tied to the token embedding.

Source: A. Radford et al., "Language Models are Unsupervised Multitask Learners", OpenAI 2019.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from effkit.zoo.layers import TransformerBlock


class TokenAndPosition(nn.Module):
    """The embedding of each token plus that of its position: integers (n, t) -> (n, t, d)."""

    def __init__(self, vocab_size: int, context_length: int, embed_dim: int) -> None:
        super().__init__()
        self.context_length = context_length
        self.tokens = nn.Embedding(vocab_size, embed_dim)
        self.positions = nn.Embedding(context_length, embed_dim)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        t = tokens.shape[1]
        if t > self.context_length:  # on the meta device the lookup itself would not notice
            raise ValueError(f"a sequence of {t} tokens is longer than context_length, {self.context_length}")
        positions = torch.arange(t, device=tokens.device)  # (t,)
        return self.tokens(tokens) + self.positions(positions)  # (n, t, d)


def gpt2(
    *,
    vocab_size: int = 50257,
    context_length: int = 1024,
    embed_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    eager: bool = False,
) -> nn.Sequential:
    """Return the smallest GPT-2 for tokens (n, t), integers below vocab_size; gives logits (n, t, vocab_size).

    It has 124,439,808 parameters, the tied output layer counted once, and takes 16,114,089,984 MACs for 128 tokens. GPT-2 XL
    is embed_dim=1600, num_layers=48, num_heads=25. `eager` spells attention out (see `attend` in `effkit.zoo.layers`).
    Dropout, the smaller initial weights of deeper layers and the key/value cache are left out. Build it on the device where
    it is to be: a move from or to the meta device makes new parameters, and the tied layer then has a copy of its own.

    Raises ValueError unless `num_heads` divides `embed_dim`; its forward pass, when t exceeds `context_length`.

    >>> tiny = gpt2(vocab_size=50, context_length=8, embed_dim=16, num_layers=2, num_heads=2)
    >>> tiny(torch.zeros(1, 8, dtype=torch.long)).shape
    torch.Size([1, 8, 50])
    """
    embedding = TokenAndPosition(vocab_size, context_length, embed_dim)
    blocks = [TransformerBlock(embed_dim, num_heads, causal=True, eager=eager) for _ in range(num_layers)]
    head = nn.Linear(embed_dim, vocab_size, bias=False)
    head.weight = embedding.tokens.weight  # tied: one Parameter, used twice
    return nn.Sequential(
        OrderedDict(
            embedding=embedding,  # (n, t, d)
            blocks=nn.Sequential(*blocks),  # (n, t, d)
            norm=nn.LayerNorm(embed_dim),  # (n, t, d)
            head=head,  # (n, t, vocab_size)
        )
    )
