"""Closed forms of convolutions and transposed convolutions, in one, two or three dimensions.

A `kernel_size`, `input_size` or `output_size` given as an int means two equal dimensions; a tuple says its dimensions.
Source of the shapes: the "Variables" and "Shape" sections of torch.nn.Conv2d and torch.nn.ConvTranspose2d.
"""

from math import prod

from effkit.arguments import Size, divides, positive, sizes
from effkit.counts.units import to_bytes
from effkit.formula import formula
from effkit.quantity import exact_divide


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
    c_in, c_out, g = _channels(in_channels, out_channels, groups)
    weights = c_out * _share(c_in, g) * prod(sizes("kernel_size", kernel_size))
    return weights + c_out if bias else weights


@formula("MACs", "MACs", in_channels="C_in", out_channels="C_out", kernel_size="k", output_size="n", groups="g", batch="B")
def conv_macs(
    in_channels: int, out_channels: int, kernel_size: Size, output_size: Size, *, groups: int = 1, batch: int = 1
) -> int:
    """Return the MACs of a convolution: B C_out n_h n_w (C_in / g) k_h k_w, with (n_h, n_w) the output size.

    Each output element is a sum over its kernel and over the input channels of its group. Taps that fall on padding count;
    adding the bias is not a MAC. Stride, padding and dilation enter through the output size (`effkit.conv_output_size`).

    Raises ValueError unless all sizes are integers of at least 1, `groups` divides both channel counts, and `kernel_size`
    and `output_size` have the same number of dimensions.

    >>> conv_macs(8, 16, 5, 10)
    320000
    >>> conv_macs(8, 16, (5,), (10,), groups=4, batch=2)
    3200
    """
    c_in, c_out, g = _channels(in_channels, out_channels, groups)
    kernel, outputs = _same_dimensions(kernel_size, "output_size", output_size)
    return positive("batch", batch) * c_out * prod(outputs) * _share(c_in, g) * prod(kernel)


@formula("MACs", "MACs", in_channels="C_in", out_channels="C_out", kernel_size="k", input_size="n", groups="g", batch="B")
def conv_transpose_macs(
    in_channels: int, out_channels: int, kernel_size: Size, input_size: Size, *, groups: int = 1, batch: int = 1
) -> int:
    """Return the MACs of a transposed convolution: B C_in n_h n_w (C_out / g) k_h k_w, with (n_h, n_w) the *input* size.

    Each input element is multiplied by a kernel for each output channel of its group and added into the output; products
    that padding then cuts off count.

    Raises ValueError unless all sizes are integers of at least 1, `groups` divides both channel counts, and `kernel_size`
    and `input_size` have the same number of dimensions.

    >>> conv_transpose_macs(8, 16, 2, 10)
    51200
    """
    c_in, c_out, g = _channels(in_channels, out_channels, groups)
    kernel, inputs = _same_dimensions(kernel_size, "input_size", input_size)
    return positive("batch", batch) * c_in * prod(inputs) * _share(c_out, g) * prod(kernel)


@formula("activations", "elements", out_channels="C_out", output_size="n", batch="B")
def conv_activations(out_channels: int, output_size: Size, *, batch: int = 1) -> int:
    """Return the elements of a feature map, the output of a convolution or of pooling: B C_out n_h n_w.

    Raises ValueError unless all sizes are integers of at least 1.

    >>> conv_activations(16, 10)
    1600
    """
    return positive("batch", batch) * positive("out_channels", out_channels) * prod(sizes("output_size", output_size))


@formula(
    "bytes",
    "bytes",
    in_channels="C_in",
    out_channels="C_out",
    kernel_size="k",
    input_size="m",
    output_size="n",
    groups="g",
    batch="B",
    bits="b",
)
def conv_bytes(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    input_size: Size,
    output_size: Size,
    *,
    groups: int = 1,
    bias: bool = True,
    batch: int = 1,
    bits: int = 32,
) -> int:
    """Return the bytes that a convolution moves: (B C_in m_h m_w + weights and bias + B C_out n_h n_w) b / 8.

    (m_h, m_w) is the input size without padding and (n_h, n_w) the output size. The input and the parameters
    (`conv_params`) are read once and the output is written once, at `bits` bits an element; rounded up to a whole byte.

    Raises ValueError unless all sizes are integers of at least 1, `groups` divides both channel counts, and the sizes of
    kernel, input and output have the same number of dimensions.

    >>> conv_bytes(8, 16, 3, 10, 8, bits=16)
    5984
    """
    c_in, c_out, g = _channels(in_channels, out_channels, groups)
    kernel, inputs = _same_dimensions(kernel_size, "input_size", input_size)
    kernel, outputs = _same_dimensions(kernel_size, "output_size", output_size)
    images = positive("batch", batch)
    weights = c_out * _share(c_in, g) * prod(kernel)
    parameters = weights + c_out if bias else weights
    return to_bytes(images * c_in * prod(inputs) + parameters + images * c_out * prod(outputs), bits)


def _channels(in_channels: int, out_channels: int, groups: int) -> tuple[int, int, int]:
    c_in, c_out = positive("in_channels", in_channels), positive("out_channels", out_channels)
    g = positive("groups", groups)
    divides("groups", g, "in_channels", c_in)
    divides("groups", g, "out_channels", c_out)
    return c_in, c_out, g


def _share(channels: int, groups: int) -> int:
    """Return the channels of one group; without groups the formula shows no fraction."""
    return channels if groups == 1 else exact_divide(channels, groups)


def _same_dimensions(kernel_size: Size, name: str, size: Size) -> tuple[tuple[int, ...], tuple[int, ...]]:
    kernel, lengths = sizes("kernel_size", kernel_size), sizes(name, size)
    if len(kernel) != len(lengths):
        raise ValueError(
            f"kernel_size and {name} must have the same number of dimensions, not {len(kernel)} and {len(lengths)} "
            "(an int means two; a tuple says its dimensions)"
        )
    return kernel, lengths
