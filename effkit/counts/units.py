"""From MACs to FLOPs, and from elements to bytes."""

from effkit.arguments import integer, positive
from effkit.formula import formula
from effkit.quantity import ceil_divide


@formula("flops", "FLOPs", macs="MACs")
def flops(macs: int) -> int:
    """Return the floating-point operations of `macs` multiply-accumulates: 2 MACs, a multiplication and an addition each.

    Raises ValueError unless `macs` is an integer of at least 0.

    Source: the convention of torch.utils.flop_counter.

    >>> flops(300)
    600
    """
    return 2 * integer("macs", macs, least=0)


@formula("size", "bytes", params="N", bits="b")
def model_size(params: int, bits: int = 32) -> int:
    """Return the size in bytes of `params` parameters of `bits` bits each: params x bits / 8, rounded up to a whole byte.

    Buffers, quantization scales and zero points, and the file's own headers are not counted. 1 MB is 10**6 bytes, 1 MiB
    is 2**20.

    Raises ValueError unless `params` is an integer of at least 0 and `bits` an integer of at least 1.

    >>> model_size(1000, bits=4)
    500
    """
    return to_bytes(integer("params", params, least=0), bits)


def to_bytes(elements: int, bits: int) -> int:
    """Return the bytes of `elements` elements of `bits` bits each, packed, rounded up to a whole byte."""
    return ceil_divide(elements * positive("bits", bits), 8)
