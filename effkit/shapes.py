"""Sizes of feature maps: output size, padding and receptive field.

Source of the formulas: the "Shape" sections of torch.nn.Conv2d and torch.nn.MaxPool2d; V. Dumoulin and F. Visin,
"A guide to convolution arithmetic for deep learning" (arXiv 1603.07285).
"""

from collections.abc import Iterable, Sequence
from typing import overload

from effkit.arguments import Size, integer, positive, sizes
from effkit.formula import formula
from effkit.quantity import exact_divide


@overload
def conv_output_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int: ...
@overload
def conv_output_size(
    size: Sequence[int], kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1
) -> tuple[int, ...]: ...
@formula("n_out", "elements", size="n", kernel_size="k", stride="s", padding="p", dilation="d")
def conv_output_size(
    size: Size, kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1
) -> int | tuple[int, ...]:
    """Return the output size of a convolution or pooling: floor((n + 2p - d(k - 1) - 1) / s) + 1.

    Sizes are in elements along one dimension. With `size` an int the result is an int; with `size` a tuple it is a
    tuple, and each other argument may be an int (the same in each dimension) or a tuple of the same length.

    Raises ValueError if an argument is not an integer (size, kernel_size, stride and dilation at least 1, padding at
    least 0), if lengths differ, or if the kernel is larger than the padded input.

    >>> conv_output_size(32, 5, stride=2, padding=2)
    16
    >>> conv_output_size((32, 48), 3, padding=1)
    (32, 48)
    """
    if not isinstance(size, Sequence):
        return _output_size(size, kernel_size, stride, padding, dilation)
    lengths = sizes("size", size)
    columns = [lengths]
    for name, value in (("kernel_size", kernel_size), ("stride", stride), ("padding", padding), ("dilation", dilation)):
        column = sizes(name, value, dimensions=len(lengths), least=0 if name == "padding" else 1)
        if len(column) != len(lengths):
            raise ValueError(f"{name} must have {len(lengths)} dimensions like size, not {len(column)}")
        columns.append(column)
    return tuple(_output_size(*row) for row in zip(*columns, strict=True))


def _output_size(size: object, kernel_size: object, stride: object, padding: object, dilation: object) -> int:
    n, k, s = positive("size", size), positive("kernel_size", kernel_size), positive("stride", stride)
    p, d = integer("padding", padding, least=0), positive("dilation", dilation)
    span, padded = d * (k - 1) + 1, n + 2 * p
    if span > padded:
        raise ValueError(
            f"kernel_size must fit the padded input: it spans {int(span)} elements and the padded size is {int(padded)}"
        )
    return (n + 2 * p - d * (k - 1) - 1) // s + 1


@overload
def same_padding(kernel_size: int, dilation: int = 1) -> int: ...
@overload
def same_padding(kernel_size: Sequence[int], dilation: Size = 1) -> tuple[int, ...]: ...
@formula("p", "elements on each side", kernel_size="k", dilation="d")
def same_padding(kernel_size: Size, dilation: Size = 1) -> int | tuple[int, ...]:
    """Return the padding that keeps the size of a stride-1 convolution: d(k - 1) / 2 on each side.

    A tuple of kernel sizes gives a tuple. Raises ValueError where no symmetric padding exists: when the kernel spans
    an even number of elements, d(k - 1) is odd and the two sides would have to differ.

    >>> same_padding(5)
    2
    >>> same_padding(3, dilation=4)
    4
    """
    if not isinstance(kernel_size, Sequence):
        return _same_padding(kernel_size, dilation)
    kernel = sizes("kernel_size", kernel_size)
    spacing = sizes("dilation", dilation, dimensions=len(kernel))
    if len(spacing) != len(kernel):
        raise ValueError(f"dilation must have {len(kernel)} dimensions like kernel_size, not {len(spacing)}")
    return tuple(_same_padding(k, d) for k, d in zip(kernel, spacing, strict=True))


def _same_padding(kernel_size: object, dilation: object) -> int:
    k, d = positive("kernel_size", kernel_size), positive("dilation", dilation)
    if int(d) * (int(k) - 1) % 2:
        raise ValueError(
            f"kernel_size {int(k)} with dilation {int(d)} spans an even number of elements "
            f"({int(d) * (int(k) - 1) + 1}): no symmetric padding keeps the size"
        )
    return exact_divide(d * (k - 1), 2)


@formula("r", "elements", layers=("k", "s", "d"))
def receptive_field(layers: Iterable[Sequence[int]]) -> int:
    """Return the span of input elements (along one dimension) from the first to the last that one output element depends on.

    `layers` lists, from input to output, (kernel_size, stride) or (kernel_size, stride, dilation) of each convolution
    or pooling. The result is 1 + sum over layers of d(k - 1) times the product of the strides before that layer.

    Raises ValueError if a layer has another length or an entry is not an integer of at least 1.

    >>> receptive_field([(7, 2), (3, 2)])
    11
    """
    if not isinstance(layers, Iterable):
        raise ValueError(f"layers must list the layers, one tuple each, not {layers!r}")
    field, jump = 1, 1
    for i, layer in enumerate(layers):
        if not isinstance(layer, Sequence) or len(layer) not in (2, 3):
            raise ValueError(f"layers[{i}] must be (kernel_size, stride) or (kernel_size, stride, dilation)")
        kernel_size, stride, dilation = (*layer, 1)[:3]
        field += positive(f"layers[{i}] dilation", dilation) * (positive(f"layers[{i}] kernel_size", kernel_size) - 1) * jump
        jump *= positive(f"layers[{i}] stride", stride)
    return field
