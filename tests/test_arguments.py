"""Wrong arguments of closed forms: each raises a ValueError that names the argument and the rule."""

import re
from functools import partial

import numpy as np
import pytest

from effkit import conv_output_size, counts, explain, receptive_field, same_padding
from effkit.arguments import real
from effkit.counts import attention_params, conv_params, linear_params, model_size, norm_params

GOOD_CALLS = {
    linear_params: {"in_features": 20, "out_features": 10},
    conv_params: {"in_channels": 8, "out_channels": 16, "kernel_size": 3, "groups": 4},
    norm_params: {"num_features": 32},
    attention_params: {"embed_dim": 16, "num_heads": 4, "num_kv_heads": 2},
    model_size: {"params": 1000, "bits": 4},
    conv_output_size: {"size": 32, "kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2},
    same_padding: {"kernel_size": 5, "dilation": 2},
    counts.flops: {"macs": 300},
    counts.gemm_macs: {"m": 2, "n": 3, "k": 5},
    counts.linear_macs: {"in_features": 20, "out_features": 10, "batch": 3},
    counts.linear_activations: {"out_features": 10, "batch": 3},
    counts.linear_bytes: {"in_features": 20, "out_features": 10, "batch": 3, "bits": 16},
    counts.embedding_params: {"num_embeddings": 100, "embedding_dim": 8},
    counts.conv_macs: {"in_channels": 8, "out_channels": 16, "kernel_size": 3, "output_size": 10, "groups": 4, "batch": 2},
    counts.conv_transpose_macs: {"in_channels": 8, "out_channels": 16, "kernel_size": 3, "input_size": 10, "batch": 2},
    counts.conv_activations: {"out_channels": 16, "output_size": 10, "batch": 2},
    counts.conv_bytes: {
        "in_channels": 8,
        "out_channels": 16,
        "kernel_size": 3,
        "input_size": 10,
        "output_size": 8,
        "bits": 8,
    },
    counts.attention_macs: {"embed_dim": 16, "num_heads": 4, "seq_len": 5, "kv_len": 7, "num_kv_heads": 2, "cached_len": 6},
    counts.attention_scores: {"num_heads": 4, "seq_len": 5, "kv_len": 7, "batch": 2},
    counts.attention_bytes: {"embed_dim": 16, "num_heads": 4, "seq_len": 5, "kv_len": 7, "num_kv_heads": 2, "bits": 16},
    counts.kv_cache_size: {"embed_dim": 16, "num_heads": 4, "kv_len": 7, "num_kv_heads": 2, "num_layers": 3, "bits": 8},
    partial(counts.recurrent_params, "gru"): {"input_size": 10, "hidden_size": 20, "num_layers": 2},
    partial(counts.recurrent_macs, "gru"): {"input_size": 10, "hidden_size": 20, "seq_len": 5, "num_layers": 2, "batch": 3},
    partial(counts.other_ops, "relu"): {"outputs": 100},
    counts.elementwise_bytes: {"elements": 100, "inputs": 2, "bits": 16},
    counts.norm_bytes: {"elements": 100, "num_features": 10, "bits": 16},
    counts.pool_bytes: {"channels": 8, "input_size": 10, "output_size": 5, "batch": 2, "bits": 16},
}
ALLOWED = [
    *((name, 0) for name in ("padding", "params", "macs", "cached_len", "outputs", "elements")),
    *((name, None) for name in ("num_kv_heads", "kv_len")),
]


def explained(function):
    """Return what explains a call of this closed form; some have their first argument filled in already."""
    if isinstance(function, partial):
        return partial(explain, function.func, *function.args)
    return partial(explain, function)


def name_of(function):
    return getattr(function, "func", function).__name__


BAD_CALLS = [
    pytest.param(function, {**arguments, name: value}, name, rule, id=f"{name_of(function)} {name}={value!r}")
    for function, arguments in GOOD_CALLS.items()
    for name in arguments
    for value, rule in {
        0: "must be at least 1, not 0",
        -1: "must be at least [01], not -1",
        True: "must be an integer, not True",
        2.0: "must be an integer, not 2.0",
        "3": "must be an integer, not '3'",
        None: "must be an integer, not None",
    }.items()
    if (name, value) not in ALLOWED
]


@pytest.mark.parametrize(("function", "arguments", "name", "rule"), BAD_CALLS)
def test_an_argument_that_is_no_integer_or_too_small_is_refused_by_name(function, arguments, name, rule):
    for call in (function, explained(function)):
        with pytest.raises(ValueError, match=rf"^{name}(\[0\])? {rule}$"):
            call(**arguments)


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        (partial(conv_params, groups=3), (8, 9, 3), "groups must divide in_channels: 3 does not divide 8"),
        (partial(conv_params, groups=3), (9, 8, 3), "groups must divide out_channels: 3 does not divide 8"),
        (conv_params, (8, 8, ()), "kernel_size must have at least one dimension"),
        (conv_params, (8, 8, (3, 0)), "kernel_size[1] must be at least 1, not 0"),
        (attention_params, (16, 3), "num_heads must divide embed_dim: 3 does not divide 16"),
        (partial(attention_params, num_kv_heads=3), (16, 4), "num_kv_heads must divide num_heads: 3 does not divide 4"),
        (conv_output_size, (4, 5), "kernel_size must fit the padded input: it spans 5 elements and the padded size is 4"),
        (conv_output_size, (4, 3, 1, 1, 3), "it spans 7 elements and the padded size is 6"),
        (conv_output_size, ((9, 4), 5), "kernel_size must fit the padded input"),
        (conv_output_size, ((), 3), "size must have at least one dimension"),
        (conv_output_size, ((9, 9), ()), "kernel_size must have at least one dimension"),
        (conv_output_size, ((9, 9), (3,)), "kernel_size must have 2 dimensions like size, not 1"),
        (conv_output_size, ((9, 9), 3, (1, 1, 1)), "stride must have 2 dimensions like size, not 3"),
        (conv_output_size, ((9, 9), 3, 1, (0,)), "padding must have 2 dimensions like size, not 1"),
        (conv_output_size, ((9, 9), 3, 1, 0, (1,)), "dilation must have 2 dimensions like size, not 1"),
        (conv_output_size, ((9, 9), 3, 1, (0, -1)), "padding[1] must be at least 0, not -1"),
        (conv_output_size, (9, (3, 3)), "kernel_size must be an integer, not (3, 3)"),
        (same_padding, (4,), "kernel_size 4 with dilation 1 spans an even number of elements (4)"),
        (same_padding, ((3, 4),), "kernel_size 4 with dilation 1 spans an even number of elements (4)"),
        (same_padding, (2, 3), "kernel_size 2 with dilation 3 spans an even number of elements (4)"),
        (same_padding, ((),), "kernel_size must have at least one dimension"),
        (same_padding, ((3, 3), (1,)), "dilation must have 2 dimensions like kernel_size, not 1"),
        (receptive_field, ([3],), "layers[0] must be (kernel_size, stride) or (kernel_size, stride, dilation)"),
        (receptive_field, ([(3, 1), (3,)],), "layers[1] must be (kernel_size, stride) or (kernel_size, stride, dilation)"),
        (receptive_field, ([(3, 1, 1, 1)],), "layers[0] must be (kernel_size, stride) or (kernel_size, stride, dilation)"),
        (receptive_field, ([(0, 1)],), "layers[0] kernel_size must be at least 1, not 0"),
        (receptive_field, ([(3, 1), (3, 0)],), "layers[1] stride must be at least 1, not 0"),
        (receptive_field, ([(3, 1, -1)],), "layers[0] dilation must be at least 1, not -1"),
        (receptive_field, ([(2.0, 1)],), "layers[0] kernel_size must be an integer, not 2.0"),
        (receptive_field, ([(3, True)],), "layers[0] stride must be an integer, not True"),
        (receptive_field, ([(3, 1, None)],), "layers[0] dilation must be an integer, not None"),
    ],
)
def test_a_broken_rule_is_named(function, args, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        function(*args)


def test_an_array_is_refused_as_an_integer():
    with pytest.raises(ValueError, match="in_features must be an integer"):
        linear_params(np.array([20, 20]), 10)


@pytest.mark.parametrize(("function", "arguments"), GOOD_CALLS.items(), ids=map(name_of, GOOD_CALLS))
def test_numpy_integers_give_the_values_of_plain_ints(function, arguments):
    result = function(**{name: np.int16(value) for name, value in arguments.items()})
    assert result == function(**arguments)
    assert type(result) is int


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(linear_params(np.int8(100), np.int8(100)), 10_100, id="a product beyond the type's largest number"),
        pytest.param(conv_params(8, 16, (np.int64(3), 5), bias=False), 1920, id="a kernel"),
        pytest.param(conv_output_size((np.int64(32), 48), 3), (30, 46), id="a size"),
        pytest.param(receptive_field([(np.int64(7), np.int64(2)), (3, 2)]), 11, id="a layer"),
    ],
)
def test_numpy_integers_give_plain_ints(result, expected):
    assert result == expected
    assert {type(part) for part in (result if isinstance(result, tuple) else (result,))} == {int}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (-1, "must be at least 0, not -1"),
        (float("inf"), "must be a finite number, not inf"),
        (float("nan"), "must be a finite number, not nan"),
        (True, "must be a finite number, not True"),
        ("3", "must be a finite number, not '3'"),
        (None, "must be a finite number, not None"),
        (1j, "must be a finite number, not 1j"),
    ],
)
def test_a_real_argument_that_is_no_number_or_too_small_is_refused_by_name(value, rule):
    with pytest.raises(ValueError, match=f"^size {re.escape(rule)}$"):
        real("size", value, may_be_zero=True)


def test_zero_is_refused_where_a_number_is_divided_by():
    assert real("size", 0, may_be_zero=True) == 0
    with pytest.raises(ValueError, match=r"^size must be more than 0, not 0$"):
        real("size", 0)


def test_real_arguments_become_plain_numbers_and_integers_stay_exact():
    assert real("size", 10**400) == 10**400
    assert {type(real("size", value)) for value in (np.float32(0.5), np.float64(0.5), np.int64(3), 0.5)} == {float}
