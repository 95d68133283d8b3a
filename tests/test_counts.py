"""Counts of parameters and bytes, held against torch's own modules and against counting one by one."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from effkit.counts import attention_params, conv_params, linear_params, model_size, norm_params

WIDTHS = st.integers(1, 40)
SMALL = st.integers(1, 4)


def torch_params(module, *args, **kwargs):
    """Return the number of parameters of a torch module, built on the meta device."""
    return sum(p.numel() for p in module(*args, **kwargs, device="meta").parameters())


@given(WIDTHS, WIDTHS, st.booleans())
def test_linear_params_are_torch_s(in_features, out_features, bias):
    expected = torch_params(nn.Linear, in_features, out_features, bias=bias)
    assert linear_params(in_features, out_features, bias=bias) == expected


@st.composite
def convolutions(draw):
    """Channels and groups that fit each other, and a kernel of one to three dimensions or an int."""
    groups = draw(SMALL)
    channels = groups * draw(SMALL), groups * draw(SMALL)
    kernel_size = draw(SMALL | st.lists(SMALL, min_size=1, max_size=3).map(tuple))
    return *channels, kernel_size, groups


@given(convolutions(), st.booleans())
def test_conv_params_are_torch_s(convolution, bias):
    in_channels, out_channels, kernel_size, groups = convolution
    dimensions = 2 if isinstance(kernel_size, int) else len(kernel_size)
    params = conv_params(in_channels, out_channels, kernel_size, groups=groups, bias=bias)
    for module in (f"Conv{dimensions}d", f"ConvTranspose{dimensions}d"):
        expected = torch_params(getattr(nn, module), in_channels, out_channels, kernel_size, groups=groups, bias=bias)
        assert params == expected


@given(convolutions())
def test_conv_params_are_the_weights_that_connect_channels_of_the_same_group(convolution):
    in_channels, out_channels, kernel_size, groups = convolution
    kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    weights = 0
    for c_out, c_in in product(range(out_channels), range(in_channels)):
        if c_out * groups // out_channels == c_in * groups // in_channels:
            for _ in product(*map(range, kernel)):
                weights += 1
    assert conv_params(in_channels, out_channels, kernel_size, groups=groups, bias=False) == weights
    assert conv_params(in_channels, out_channels, kernel_size, groups=groups) == weights + out_channels


@given(SMALL, SMALL)
def test_norm_params_are_torch_s(groups, features_per_group):
    features = groups * features_per_group
    assert norm_params(features) == torch_params(nn.BatchNorm2d, features)
    assert norm_params(features) == torch_params(nn.LayerNorm, features)
    assert norm_params(features) == torch_params(nn.LayerNorm, (groups, features_per_group))
    assert norm_params(features) == torch_params(nn.GroupNorm, groups, features)
    assert norm_params(features) == torch_params(nn.InstanceNorm2d, features, affine=True)


@given(WIDTHS)
def test_norm_params_without_bias_are_the_scale_alone(features):
    assert norm_params(features, bias=False) == torch_params(nn.LayerNorm, features, bias=False)
    assert norm_params(features, bias=False) == torch_params(nn.RMSNorm, features)


@given(SMALL, SMALL, st.booleans())
def test_attention_params_are_torch_s(num_heads, head_size, bias):
    embed_dim = num_heads * head_size
    expected = torch_params(nn.MultiheadAttention, embed_dim, num_heads, bias=bias)
    assert attention_params(embed_dim, num_heads, bias=bias) == expected
    assert attention_params(embed_dim, num_heads, num_kv_heads=num_heads, bias=bias) == expected


@given(SMALL, SMALL, SMALL, st.booleans())
def test_grouped_query_attention_params_are_those_of_four_linear_layers(num_kv_heads, queries_per_key, head_size, bias):
    num_heads = num_kv_heads * queries_per_key
    embed_dim, kv_dim = num_heads * head_size, num_kv_heads * head_size
    projections = {"query": embed_dim, "key": kv_dim, "value": kv_dim, "output": embed_dim}
    expected = sum(torch_params(nn.Linear, embed_dim, width, bias=bias) for width in projections.values())
    assert attention_params(embed_dim, num_heads, num_kv_heads=num_kv_heads, bias=bias) == expected


@given(st.integers(0, 200), st.integers(1, 64))
def test_model_size_is_the_bytes_that_hold_the_packed_bits(params, bits):
    assert model_size(params, bits) == np.packbits(np.ones(params * bits, dtype=bool)).nbytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int8])
def test_model_size_is_the_bytes_of_a_torch_tensor(dtype):
    tensor = torch.zeros(1000, dtype=dtype)
    assert model_size(1000, bits=8 * dtype.itemsize) == tensor.untyped_storage().nbytes()


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(conv_params(4, 2, 2, bias=False), 32, id="convolution"),
        pytest.param(conv_params(4, 2, 2, groups=2, bias=False), 16, id="the same in two groups"),
        pytest.param(conv_params(3, 96, 11, bias=False), 34_848, id="AlexNet's first layer"),
        pytest.param(model_size(60_954_656), 243_818_624, id="AlexNet in 32 bits"),
        pytest.param(model_size(60_954_656, bits=8), 60_954_656, id="AlexNet in 8 bits"),
        pytest.param(model_size(3, bits=3), 2, id="nine bits need two bytes"),
        pytest.param(model_size(0), 0, id="no parameters"),
        # Beyond the whole numbers that a float can hold.
        pytest.param(model_size(2**60 + 1, bits=8), 2**60 + 1, id="large counts stay exact"),
    ],
)
def test_known_counts(count, expected):
    assert count == expected
