"""Closed forms for parameters and model size.

Counting convention: a parameter is one element of a `torch.nn.Parameter`; buffers (such as the running statistics of
batch normalization) are not parameters. Source of the shapes: the "Variables" section of each module's page in the
torch.nn documentation.
"""

from math import prod

from effkit.arguments import Size, divides, integer, positive, sizes
from effkit.formula import ceil_divide, exact_divide, formula


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


@formula("params", "parameters", in_channels="C_in", out_channels="C_out", kernel_size="k", groups="g")
def conv_params(in_channels: int, out_channels: int, kernel_size: Size, *, groups: int = 1, bias: bool = True) -> int:
    """Return the number of parameters of a convolution, of its transposed form too.

    The weight is (out_channels, in_channels / groups, *kernel_size), the bias (out_channels,). `kernel_size` as an int
    means two equal dimensions; a tuple of one, two or three says its dimensions. Depthwise: groups = in_channels.

    Raises ValueError unless all sizes are integers of at least 1 and `groups` divides both channel counts.

    >>> conv_params(8, 16, 5)
    3216
    >>> conv_params(8, 16, (5,), groups=4, bias=False)
    160
    """
    c_in, c_out = positive("in_channels", in_channels), positive("out_channels", out_channels)
    g, kernel = positive("groups", groups), sizes("kernel_size", kernel_size)
    divides("groups", g, "in_channels", c_in)
    divides("groups", g, "out_channels", c_out)
    inputs = c_in if groups == 1 else exact_divide(c_in, g)
    weights = c_out * inputs * prod(kernel)
    return weights + c_out if bias else weights


@formula("params", "parameters", num_features="C")
def norm_params(num_features: int, *, bias: bool = True) -> int:
    """Return the number of parameters of an affine normalization: a scale and, with `bias`, a shift for each feature.

    The same for batch, layer, group and instance normalization; ``bias=False`` is RMSNorm. Running statistics are buffers.
    For layer normalization over several dimensions, `num_features` is the product of `normalized_shape`.

    Raises ValueError unless `num_features` is an integer of at least 1.

    >>> norm_params(32)
    64
    """
    features = positive("num_features", num_features)
    return 2 * features if bias else features


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
    dim, heads = positive("embed_dim", embed_dim), positive("num_heads", num_heads)
    kv_heads = heads if num_kv_heads is None else positive("num_kv_heads", num_kv_heads)
    divides("num_heads", heads, "embed_dim", dim)
    divides("num_kv_heads", kv_heads, "num_heads", heads)
    kv_dim = dim if num_kv_heads is None else kv_heads * exact_divide(dim, heads)
    weights = 2 * dim * dim + 2 * dim * kv_dim
    return weights + 2 * dim + 2 * kv_dim if bias else weights


@formula("size", "bytes", params="N", bits="b")
def model_size(params: int, bits: int = 32) -> int:
    """Return the size in bytes of `params` parameters of `bits` bits each: params x bits / 8, rounded up to a whole byte.

    Buffers, quantization scales and zero points, and the file's own headers are not counted. 1 MB is 10**6 bytes, 1 MiB
    is 2**20.

    Raises ValueError unless `params` is an integer of at least 0 and `bits` an integer of at least 1.

    >>> model_size(1000, bits=4)
    500
    """
    return ceil_divide(integer("params", params, least=0) * positive("bits", bits), 8)
