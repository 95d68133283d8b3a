"""Closed forms of multi-head, grouped-query and multi-query attention.

With d the embedding size and h heads of size d / h, the key and value projections have width d_kv = h_kv d / h: h_kv = h is
multi-head, fewer is grouped-query, 1 is multi-query attention. N query tokens look at N_kv keys and values.

Source of the shapes: torch.nn.MultiheadAttention; J. Ainslie et al., "GQA" (arXiv 2305.13245).
"""

from effkit.arguments import divides, integer, positive
from effkit.counts.units import to_bytes
from effkit.formula import formula
from effkit.quantity import exact_divide


@formula("params", "parameters", embed_dim="d", num_heads="h", num_kv_heads="h_kv")
def attention_params(embed_dim: int, num_heads: int, *, num_kv_heads: int | None = None, bias: bool = True) -> int:
    """Return the number of parameters of an attention layer: query, key, value and output projections.

    With head size embed_dim / num_heads, query and output are (embed_dim, embed_dim), key and value
    (num_kv_heads x head size, embed_dim). `num_kv_heads` defaults to `num_heads` (multi-head attention); fewer is
    grouped-query attention, 1 is multi-query attention. `bias` gives each of the four projections a bias.

    Raises ValueError unless all sizes are integers of at least 1, `num_heads` divides `embed_dim`, and `num_kv_heads`
    divides `num_heads`.

    >>> attention_params(16, 4)
    1088
    >>> attention_params(16, 4, num_kv_heads=1, bias=False)
    640
    """
    dim, _, kv_dim = _widths(embed_dim, num_heads, num_kv_heads)
    weights = 2 * dim * dim + 2 * dim * kv_dim
    return weights + 2 * dim + 2 * kv_dim if bias else weights


@formula(
    "MACs",
    "MACs",
    embed_dim="d",
    num_heads="h",
    seq_len="N",
    kv_len="N_kv",
    num_kv_heads="h_kv",
    batch="B",
    cached_len="N_cached",
)
def attention_macs(
    embed_dim: int,
    num_heads: int,
    seq_len: int,
    *,
    kv_len: int | None = None,
    num_kv_heads: int | None = None,
    batch: int = 1,
    cached_len: int = 0,
    projections: bool = True,
) -> int:
    """Return the MACs of an attention layer: B (2 N d d + 2 N_kv d d_kv + 2 N N_kv d).

    The terms are the query and output projections, the key and value projections, and the two products Q K^T and A V over
    all heads. With N_kv = N and h_kv = h that is 4 N d^2 + 2 N^2 d, or 8 N d^2 + 4 N^2 d FLOPs. A causal mask does not
    halve it; softmax, scaling and biases are not MACs.

    `kv_len` defaults to `seq_len` (self-attention). `cached_len` of the `kv_len` tokens have their keys and values in a
    cache and are not projected again: a decoding step has seq_len=1 and cached_len=kv_len - 1. ``projections=False`` leaves
    the two products alone.

    Raises ValueError unless all sizes are integers of at least 1 (`cached_len` at least 0), `num_heads` divides
    `embed_dim`, `num_kv_heads` divides `num_heads`, and `cached_len` is at most `kv_len`.

    >>> attention_macs(8, 2, 10)
    4160
    >>> attention_macs(8, 2, 1, kv_len=10, cached_len=9)
    416
    """
    dim, _, kv_dim = _widths(embed_dim, num_heads, num_kv_heads)
    queries, keys = _lengths(seq_len, kv_len)
    cached = integer("cached_len", cached_len, least=0)
    if cached > keys:
        raise ValueError(f"cached_len must be at most kv_len: {int(cached)} is more than {int(keys)}")
    macs = 2 * queries * keys * dim
    if projections:
        new = keys - cached if cached else keys
        macs = 2 * queries * dim * dim + 2 * new * dim * kv_dim + macs
    return positive("batch", batch) * macs


@formula("scores", "elements", num_heads="h", seq_len="N", kv_len="N_kv", batch="B")
def attention_scores(num_heads: int, seq_len: int, *, kv_len: int | None = None, batch: int = 1) -> int:
    """Return the elements of the attention scores of all heads: B h N N_kv.

    This is what unfused attention keeps in memory and what a fused kernel never writes.

    Raises ValueError unless all sizes are integers of at least 1.

    >>> attention_scores(2, 10)
    200
    """
    queries, keys = _lengths(seq_len, kv_len)
    return positive("batch", batch) * positive("num_heads", num_heads) * queries * keys


@formula(
    "bytes", "bytes", embed_dim="d", num_heads="h", seq_len="N", kv_len="N_kv", num_kv_heads="h_kv", batch="B", bits="b"
)
def attention_bytes(
    embed_dim: int,
    num_heads: int,
    seq_len: int,
    *,
    kv_len: int | None = None,
    num_kv_heads: int | None = None,
    batch: int = 1,
    bits: int = 32,
    fused: bool = True,
) -> int:
    """Return the bytes that attention moves between its projections: fused B (2 N d + 2 N_kv d_kv) b / 8.

    Fused, one kernel reads queries, keys and values and writes the output. Unfused, three kernels also write the scores,
    read them for the softmax, write the softmax and read it for the product with V: 4 B h N N_kv elements more. The four
    projections are linear layers: add `linear_bytes` of each. The matching MACs are ``attention_macs(projections=False)``.

    A fused kernel reads keys and values once only while they fit on the chip; beyond that it moves on the order of
    N^2 d^2 / M elements, with M elements of on-chip memory, and this count is its lower bound.

    Raises ValueError unless all sizes are integers of at least 1, `num_heads` divides `embed_dim` and `num_kv_heads` divides
    `num_heads`.

    Source: T. Dao et al., "FlashAttention" (arXiv 2205.14135), algorithm 0 and theorem 2.

    >>> attention_bytes(8, 2, 10, bits=16), attention_bytes(8, 2, 10, bits=16, fused=False)
    (640, 2240)
    """
    dim, heads, kv_dim = _widths(embed_dim, num_heads, num_kv_heads)
    queries, keys = _lengths(seq_len, kv_len)
    elements = 2 * queries * dim + 2 * keys * kv_dim
    if not fused:
        elements += 4 * heads * queries * keys
    return to_bytes(positive("batch", batch) * elements, bits)


@formula(
    "size", "bytes", embed_dim="d", num_heads="h", kv_len="N_kv", num_kv_heads="h_kv", num_layers="L", batch="B", bits="b"
)
def kv_cache_size(
    embed_dim: int,
    num_heads: int,
    kv_len: int,
    *,
    num_kv_heads: int | None = None,
    num_layers: int = 1,
    batch: int = 1,
    bits: int = 16,
) -> int:
    """Return the bytes of the keys and values of `kv_len` tokens, kept for decoding: 2 L B N_kv d_kv b / 8.

    A decoding step reads all of it once, beside the weights.

    Raises ValueError unless all sizes are integers of at least 1, `num_heads` divides `embed_dim` and `num_kv_heads` divides
    `num_heads`.

    Source: R. Pope et al., "Efficiently Scaling Transformer Inference" (arXiv 2211.05102), section 3.3.

    >>> kv_cache_size(8, 2, 10, num_layers=3)
    960
    """
    _, _, kv_dim = _widths(embed_dim, num_heads, num_kv_heads)
    layers, sequences = positive("num_layers", num_layers), positive("batch", batch)
    return to_bytes(2 * layers * sequences * positive("kv_len", kv_len) * kv_dim, bits)


def _widths(embed_dim: int, num_heads: int, num_kv_heads: int | None) -> tuple[int, int, int]:
    """Return the embedding size, the number of heads and the width of the key and value projections."""
    dim, heads = positive("embed_dim", embed_dim), positive("num_heads", num_heads)
    kv_heads = heads if num_kv_heads is None else positive("num_kv_heads", num_kv_heads)
    divides("num_heads", heads, "embed_dim", dim)
    divides("num_kv_heads", kv_heads, "num_heads", heads)
    return dim, heads, dim if num_kv_heads is None else kv_heads * exact_divide(dim, heads)


def _lengths(seq_len: int, kv_len: int | None) -> tuple[int, int]:
    queries = positive("seq_len", seq_len)
    return queries, queries if kv_len is None else positive("kv_len", kv_len)
