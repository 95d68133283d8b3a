"""Bytes moved, held against the sizes of torch's own tensors, and operations that are no MACs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from effkit import arithmetic_intensity, counts

SMALL = st.integers(1, 6)
BITS = st.sampled_from([32, 16])
DTYPES = {32: torch.float32, 16: torch.float16}


def bytes_of(*tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def run_on_meta(layer, bits, *shape):
    """Return the bytes of a layer's input, parameters and output, each once."""
    layer = layer.to(DTYPES[bits])
    x = torch.empty(shape, dtype=DTYPES[bits], device="meta")
    return bytes_of(x, *layer.parameters(), layer(x))


@given(SMALL, SMALL, SMALL, st.booleans(), BITS)
def test_linear_bytes_are_those_of_torch_s_tensors(in_features, out_features, batch, bias, bits):
    layer = nn.Linear(in_features, out_features, bias=bias, device="meta")
    expected = run_on_meta(layer, bits, batch, in_features)
    assert counts.linear_bytes(in_features, out_features, bias=bias, batch=batch, bits=bits) == expected


@given(SMALL, SMALL, SMALL, st.integers(1, 3), SMALL, st.booleans(), BITS)
def test_conv_bytes_are_those_of_torch_s_tensors(c_in, c_out, groups, kernel_size, batch, bias, bits):
    channels = c_in * groups, c_out * groups
    layer = nn.Conv2d(*channels, kernel_size, groups=groups, bias=bias, padding=1, stride=2, device="meta")
    expected = run_on_meta(layer, bits, batch, channels[0], 9, 7)
    output = tuple((n + 2 - kernel_size) // 2 + 1 for n in (9, 7))
    options = {"groups": groups, "bias": bias, "batch": batch, "bits": bits}
    assert counts.conv_bytes(*channels, (kernel_size, kernel_size), (9, 7), output, **options) == expected


@given(SMALL, SMALL, SMALL, BITS)
def test_norm_and_pool_and_relu_bytes_are_those_of_torch_s_tensors(batch, channels, size, bits):
    shape = (batch, channels, 2 * size, 2 * size)
    elements = math.prod(shape)
    norm = nn.LayerNorm(2 * size, device="meta")
    assert counts.norm_bytes(elements, 2 * size, bits=bits) == run_on_meta(norm, bits, *shape)
    scale_only = nn.RMSNorm(2 * size, device="meta")
    assert counts.norm_bytes(elements, 2 * size, bias=False, bits=bits) == run_on_meta(scale_only, bits, *shape)
    pooled = run_on_meta(nn.MaxPool2d(2), bits, *shape)
    assert counts.pool_bytes(channels, 2 * size, size, batch=batch, bits=bits) == pooled
    assert counts.elementwise_bytes(elements, bits=bits) == run_on_meta(nn.ReLU(), bits, *shape)


@given(SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, BITS)
def test_attention_bytes_are_those_of_the_tensors_of_each_kernel(kv_heads, share, head_size, seq_len, kv_len, batch, bits):
    heads = kv_heads * share
    like = {"dtype": DTYPES[bits], "device": "meta"}
    query = torch.empty(batch, heads, seq_len, head_size, **like)
    key = value = torch.empty(batch, kv_heads, kv_len, head_size, **like)
    scores = torch.empty(batch, heads, seq_len, kv_len, **like)
    options = {"kv_len": kv_len, "num_kv_heads": kv_heads, "batch": batch, "bits": bits}
    arguments = heads * head_size, heads, seq_len
    assert counts.attention_bytes(*arguments, **options) == bytes_of(query, key, value, query)
    kernels = bytes_of(query, key, scores) + bytes_of(scores, scores) + bytes_of(scores, value, query)
    assert counts.attention_bytes(*arguments, **options, fused=False) == kernels
    assert counts.attention_scores(heads, seq_len, kv_len=kv_len, batch=batch) == scores.numel()
    cache = counts.kv_cache_size(arguments[0], heads, kv_len, num_kv_heads=kv_heads, batch=batch, num_layers=3, bits=bits)
    assert cache == 3 * bytes_of(key, value)


def intensity(ops, moved):
    return round(arithmetic_intensity(ops, moved), 2)


def test_the_table_of_nvidia_s_performance_guide():
    def linear(batch):
        ops = counts.flops(counts.linear_macs(1024, 4096, batch=batch))
        return intensity(ops, counts.linear_bytes(1024, 4096, batch=batch, bits=16))

    assert round(linear(512)) == 315
    assert round(linear(1)) == 1
    elements = counts.conv_activations(64, 56)
    pool = counts.other_ops("pool", elements, kernel_size=3)
    assert intensity(pool, counts.pool_bytes(64, 56, 56, bits=16)) == 2.25
    assert intensity(counts.other_ops("relu", elements), counts.elementwise_bytes(elements, bits=16)) == 0.25


@pytest.mark.parametrize(("size", "expected"), [(1024, 102.4), (4096, 120.47), (8192, 124.12)])
def test_a_square_linear_layer_at_batch_128_stays_below_128_flops_a_byte(size, expected):
    ops = counts.flops(counts.linear_macs(size, size, batch=128))
    assert intensity(ops, counts.linear_bytes(size, size, bias=False, batch=128, bits=16)) == expected


def test_a_linear_layer_at_batch_1_does_one_flop_a_byte():
    ops = counts.flops(counts.linear_macs(4096, 4096))
    assert round(arithmetic_intensity(ops, counts.linear_bytes(4096, 4096, bias=False, bits=16)), 4) == 0.9995


@pytest.mark.parametrize(("kind", "each"), [("relu", 1), ("bias", 1), ("softmax", 5), ("norm", 7)])
def test_other_ops_of_each_kind(kind, each):
    assert counts.other_ops(kind, 11) == 11 * each
    assert counts.other_ops(kind, 0) == 0


@pytest.mark.parametrize(("kernel_size", "taps"), [(3, 9), ((2, 3), 6), ((5,), 5), ((2, 2, 2), 8)])
def test_pooling_looks_at_each_tap_of_its_kernel(kernel_size, taps):
    assert counts.other_ops("pool", 11, kernel_size=kernel_size) == 11 * taps


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: counts.other_ops("gelu", 3), r"kind must be one of 'relu', 'bias', 'softmax', 'norm', 'pool', not 'gelu'"),
        (lambda: counts.other_ops([], 3), r"kind must be one of"),
        (lambda: counts.other_ops("pool", 3), r"kernel_size must be given for 'pool' and for nothing else, not None"),
        (
            lambda: counts.other_ops("relu", 3, kernel_size=2),
            r"kernel_size must be given for 'pool' and for nothing else, not 2",
        ),
        (lambda: counts.pool_bytes(3, 4, (2,)), r"output_size must have 2 dimensions like input_size, not 1"),
        (
            lambda: counts.conv_bytes(3, 4, (3,), (5,), 3),
            r"kernel_size and output_size must have the same number .* 1 and 2",
        ),
        (lambda: counts.conv_bytes(3, 4, 3, (5,), 3), r"kernel_size and input_size must have the same number .* 2 and 1"),
    ],
)
def test_arguments_that_do_not_fit_each_other_are_refused(call, rule):
    with pytest.raises(ValueError, match=rule):
        call()


def test_half_bytes_are_packed_and_rounded_up():
    assert counts.elementwise_bytes(3, bits=4) == 3
    assert counts.elementwise_bytes(3, inputs=2, bits=4) == 5
