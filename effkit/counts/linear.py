"""Closed forms of matrix products, linear layers and embeddings.

Source of the shapes: the "Variables" and "Shape" sections of torch.nn.Linear and torch.nn.Embedding.
"""

from effkit.arguments import positive
from effkit.counts.units import to_bytes
from effkit.formula import formula


@formula("params", "parameters", in_features="C_in", out_features="C_out")
def linear_params(in_features: int, out_features: int, *, bias: bool = True) -> int:
    """Return the number of parameters of a linear layer: a weight (out_features, in_features) and a bias (out_features,).

    Raises ValueError unless both sizes are integers of at least 1.

    >>> linear_params(20, 10)
    210
    """
    c_in, c_out = positive("in_features", in_features), positive("out_features", out_features)
    weights = c_out * c_in
    return weights + c_out if bias else weights


@formula("params", "parameters", num_embeddings="V", embedding_dim="d")
def embedding_params(num_embeddings: int, embedding_dim: int) -> int:
    """Return the number of parameters of an embedding table (num_embeddings, embedding_dim): V d.

    A look-up copies a row and multiplies nothing: it has no MACs. Tied with a linear layer, the table counts once.

    Raises ValueError unless both sizes are integers of at least 1.

    >>> embedding_params(100, 8)
    800
    """
    return positive("num_embeddings", num_embeddings) * positive("embedding_dim", embedding_dim)


@formula("MACs", "MACs", m="m", n="n", k="k")
def gemm_macs(m: int, n: int, k: int) -> int:
    """Return the MACs of the matrix product of an (m, k) by a (k, n) matrix: m n k.

    Each of the m n outputs is a sum of k products. A product of a matrix and a vector has n = 1.

    Raises ValueError unless all sizes are integers of at least 1.

    >>> gemm_macs(2, 3, 5)
    30
    """
    return positive("m", m) * positive("n", n) * positive("k", k)


@formula("MACs", "MACs", in_features="C_in", out_features="C_out", batch="B")
def linear_macs(in_features: int, out_features: int, *, batch: int = 1) -> int:
    """Return the MACs of a linear layer on `batch` input rows: B C_out C_in.

    Leading dimensions multiply: for an input (n, t, in_features), `batch` is n t. Adding the bias is not a MAC.

    Raises ValueError unless all sizes are integers of at least 1.

    >>> linear_macs(20, 10, batch=3)
    600
    """
    c_in, c_out = positive("in_features", in_features), positive("out_features", out_features)
    return positive("batch", batch) * c_out * c_in


@formula("activations", "elements", out_features="C_out", batch="B")
def linear_activations(out_features: int, *, batch: int = 1) -> int:
    """Return the elements of a linear layer's output: B C_out.

    Raises ValueError unless both sizes are integers of at least 1.

    >>> linear_activations(10, batch=3)
    30
    """
    return positive("batch", batch) * positive("out_features", out_features)


@formula("bytes", "bytes", in_features="C_in", out_features="C_out", batch="B", bits="b")
def linear_bytes(in_features: int, out_features: int, *, bias: bool = True, batch: int = 1, bits: int = 32) -> int:
    """Return the bytes that a linear layer moves: (B C_in + C_out C_in + C_out + B C_out) b / 8, C_out for the bias.

    Input, weight and bias are read once and the output is written once, at `bits` bits an element; rounded up to a whole
    byte. Real caches may have to read an operand more often, so this is a lower bound.

    Raises ValueError unless all sizes are integers of at least 1.

    Source: the operand sizes of the NVIDIA Deep Learning Performance Guide, "Math and Memory Bounds".

    >>> linear_bytes(20, 10, bias=False, batch=3, bits=16)
    580
    """
    c_in, c_out = positive("in_features", in_features), positive("out_features", out_features)
    rows = positive("batch", batch)
    weights = c_out * c_in + c_out if bias else c_out * c_in
    return to_bytes(rows * c_in + weights + rows * c_out, bits)
