"""Closed forms of the layers that multiply no matrices: normalization, pooling, activation functions, softmax.

Their operations are no MACs. They are counted apart, and their time is that of the bytes they move.
"""

from math import prod

from effkit.arguments import Size, integer, positive, sizes
from effkit.counts.units import to_bytes
from effkit.formula import formula

OPS_PER_OUTPUT = {"relu": 1, "bias": 1, "softmax": 5, "norm": 7}


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


@formula("ops", "operations", outputs="n", kernel_size="k")
def other_ops(kind: str, outputs: int, *, kernel_size: Size | None = None) -> int:
    """Return the operations that are no MACs, for `outputs` output elements: ReLU 1, bias 1, softmax 5, norm 7 each.

    `kind` is "relu", "bias", "softmax" (maximum, subtract, exponential, sum, divide), "norm" or "pool". Pooling takes
    k_h k_w operations an element, and needs `kernel_size`.

    Raises ValueError unless `kind` is one of these, `outputs` is an integer of at least 0, and `kernel_size` is given for
    pooling and for nothing else.

    Source: the counting convention of this package. Other tools weigh these operations otherwise.

    >>> other_ops("softmax", 100)
    500
    >>> other_ops("pool", 100, kernel_size=3)
    900
    """
    if kind not in (*OPS_PER_OUTPUT, "pool"):
        raise ValueError(f"kind must be one of {', '.join(map(repr, [*OPS_PER_OUTPUT, 'pool']))}, not {kind!r}")
    if (kind == "pool") != (kernel_size is not None):
        raise ValueError(f"kernel_size must be given for 'pool' and for nothing else, not {kernel_size!r} for {kind!r}")
    elements = integer("outputs", outputs, least=0)
    if kernel_size is not None:
        return prod(sizes("kernel_size", kernel_size)) * elements
    return OPS_PER_OUTPUT[kind] * elements


@formula("bytes", "bytes", elements="n", inputs="r", bits="b")
def elementwise_bytes(elements: int, *, inputs: int = 1, bits: int = 32) -> int:
    """Return the bytes that an element-wise operation moves: (r + 1) n b / 8, r inputs read and one output written.

    ReLU has one input, a residual addition two. In place moves as many bytes: it saves memory, not traffic.

    Raises ValueError unless `elements` is an integer of at least 0, `inputs` and `bits` integers of at least 1.

    >>> elementwise_bytes(100, bits=16)
    400
    """
    return to_bytes((positive("inputs", inputs) + 1) * integer("elements", elements, least=0), bits)


@formula("bytes", "bytes", elements="n", num_features="C", bits="b")
def norm_bytes(elements: int, num_features: int, *, bias: bool = True, bits: int = 32) -> int:
    """Return the bytes that a normalization moves: (2 n + 2 C) b / 8, or (2 n + C) b / 8 without bias.

    Input, scale and shift are read once and the output is written once, which needs the input to stay on the chip between
    its statistics and its normalization. In evaluation mode batch normalization also reads its two running statistics.

    Raises ValueError unless `elements` is an integer of at least 0, `num_features` and `bits` integers of at least 1.

    >>> norm_bytes(100, 10)
    880
    """
    features = positive("num_features", num_features)
    return to_bytes(2 * integer("elements", elements, least=0) + (2 * features if bias else features), bits)


@formula("bytes", "bytes", channels="C", input_size="m", output_size="n", batch="B", bits="b")
def pool_bytes(channels: int, input_size: Size, output_size: Size, *, batch: int = 1, bits: int = 32) -> int:
    """Return the bytes that pooling moves: B C (m_h m_w + n_h n_w) b / 8, for input size m and output size n.

    Raises ValueError unless all sizes are integers of at least 1, and input and output have as many dimensions.

    >>> pool_bytes(8, 10, 5, bits=16)
    2000
    """
    inputs, outputs = sizes("input_size", input_size), sizes("output_size", output_size)
    if len(inputs) != len(outputs):
        raise ValueError(f"output_size must have {len(inputs)} dimensions like input_size, not {len(outputs)}")
    return to_bytes(positive("batch", batch) * positive("channels", channels) * (prod(inputs) + prod(outputs)), bits)
