"""MACs, held against torch's flop counter on the meta device and against Python loops that count as they multiply."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from effkit import conv_output_size, counts
from effkit.counts import attention_macs, conv_macs, conv_transpose_macs, gemm_macs, linear_macs, recurrent_macs

TINY = st.integers(1, 3)
SMALL = st.integers(1, 6)
WIDTHS = st.integers(1, 40)


def torch_macs(run, *shapes):
    """Return the MACs that torch's flop counter sees in `run`, called with tensors of these shapes on the meta device."""
    inputs = [torch.empty(shape, device="meta") for shape in shapes]
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run(*inputs)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


class Multiplications:
    """A loop's product that counts: `times(a, b)` is a x b and adds one to `macs`."""

    def __init__(self):
        self.macs = 0

    def times(self, a, b):
        self.macs += 1
        return a * b


def numbers(*shape):
    """Return a tensor of this shape with different small integers, as float64 so that sums are exact."""
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float64) * 7 % 11 - 5).reshape(shape)


# Matrix products and linear layers


def loop_gemm(left, right, counter):
    """Return the matrix product of two lists of rows, with three loops."""
    rows, inner, columns = len(left), len(right), len(right[0])
    out = [[0.0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            for k in range(inner):
                out[i][j] += counter.times(left[i][k], right[k][j])
    return out


@given(SMALL, SMALL, SMALL)
def test_gemm_macs_are_the_multiplications_of_three_loops(m, n, k):
    left, right, counter = numbers(m, k), numbers(k, n), Multiplications()
    assert loop_gemm(left.tolist(), right.tolist(), counter) == (left @ right).tolist()
    assert counter.macs == gemm_macs(m, n, k)


@given(WIDTHS, WIDTHS, WIDTHS)
def test_gemm_macs_are_torch_s(m, n, k):
    assert gemm_macs(m, n, k) == torch_macs(torch.matmul, (m, k), (k, n))


@given(WIDTHS, WIDTHS, SMALL, SMALL, st.booleans())
def test_linear_macs_are_torch_s_with_leading_dimensions_multiplied(in_features, out_features, sequences, tokens, bias):
    layer = nn.Linear(in_features, out_features, bias=bias, device="meta")
    expected = torch_macs(layer, (sequences, tokens, in_features))
    assert linear_macs(in_features, out_features, batch=sequences * tokens) == expected


# Convolutions


@st.composite
def convolutions(draw):
    """Arguments of a convolution of one to three dimensions: channels, kernel, input size, options."""
    dimensions = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(dimensions))

    groups = draw(TINY)
    options = {"groups": groups, "stride": each(1, 3), "padding": each(0, 2), "dilation": each(1, 2)}
    return groups * draw(TINY), groups * draw(TINY), each(1, 3), each(5, 9), options


@given(convolutions(), TINY, st.booleans())
def test_conv_macs_are_torch_s(convolution, batch, bias):
    in_channels, out_channels, kernel_size, input_size, options = convolution
    layer = getattr(nn, f"Conv{len(kernel_size)}d")
    layer = layer(in_channels, out_channels, kernel_size, bias=bias, device="meta", **options)
    window = {name: value for name, value in options.items() if name != "groups"}
    output_size = conv_output_size(input_size, kernel_size, **window)
    macs = conv_macs(in_channels, out_channels, kernel_size, output_size, groups=options["groups"], batch=batch)
    assert macs == torch_macs(layer, (batch, in_channels, *input_size))


@given(convolutions(), TINY, st.booleans())
def test_conv_transpose_macs_are_torch_s(convolution, batch, bias):
    in_channels, out_channels, kernel_size, input_size, options = convolution
    layer = getattr(nn, f"ConvTranspose{len(kernel_size)}d")
    layer = layer(in_channels, out_channels, kernel_size, bias=bias, device="meta", **options)
    macs = conv_transpose_macs(in_channels, out_channels, kernel_size, input_size, groups=options["groups"], batch=batch)
    assert macs == torch_macs(layer, (batch, in_channels, *input_size))


def loop_conv(x, weight, stride, groups, counter):
    """Return the convolution of an input that is padded already, with seven loops."""
    (batch, c_in, h_in, w_in), (c_out, c_group, k_h, k_w) = x.shape, weight.shape
    h_out, w_out = (h_in - k_h) // stride + 1, (w_in - k_w) // stride + 1
    y = torch.zeros(batch, c_out, h_out, w_out, dtype=x.dtype)
    for n in range(batch):
        for o in range(c_out):
            for h in range(h_out):
                for w in range(w_out):
                    for c in range(c_group):
                        for i in range(k_h):
                            for j in range(k_w):
                                source = o // (c_out // groups) * (c_in // groups) + c
                                value = x[n, source, h * stride + i, w * stride + j]
                                y[n, o, h, w] += counter.times(value, weight[o, c, i, j])
    return y


@settings(max_examples=12)
@given(TINY, TINY, st.integers(1, 2), TINY, TINY, st.integers(1, 2), st.integers(0, 1))
def test_conv_macs_are_the_multiplications_of_seven_loops(c_in, c_out, groups, k_h, k_w, stride, padding):
    x, weight = numbers(2, c_in * groups, 3, 4), numbers(c_out * groups, c_in, k_h, k_w)
    counter = Multiplications()
    y = loop_conv(F.pad(x, (padding,) * 4), weight, stride, groups, counter)
    assert torch.equal(y, F.conv2d(x, weight, stride=stride, padding=padding, groups=groups))
    macs = conv_macs(c_in * groups, c_out * groups, (k_h, k_w), y.shape[2:], groups=groups, batch=2)
    assert counter.macs == macs


def loop_conv_transpose(x, weight, stride, counter):
    """Return the transposed convolution without groups or padding: each input element adds a kernel into the output."""
    (batch, c_in, h_in, w_in), (_, c_out, k_h, k_w) = x.shape, weight.shape
    y = torch.zeros(batch, c_out, (h_in - 1) * stride + k_h, (w_in - 1) * stride + k_w, dtype=x.dtype)
    for n, c, h, w in product(range(batch), range(c_in), range(h_in), range(w_in)):
        for o, i, j in product(range(c_out), range(k_h), range(k_w)):
            y[n, o, h * stride + i, w * stride + j] += counter.times(x[n, c, h, w], weight[c, o, i, j])
    return y


@settings(max_examples=12)
@given(TINY, TINY, TINY, TINY, st.integers(1, 2))
def test_conv_transpose_macs_are_the_multiplications_of_loops_over_the_input(c_in, c_out, k_h, k_w, stride):
    x, weight, counter = numbers(1, c_in, 2, 3), numbers(c_in, c_out, k_h, k_w), Multiplications()
    assert torch.equal(loop_conv_transpose(x, weight, stride, counter), F.conv_transpose2d(x, weight, stride=stride))
    assert counter.macs == conv_transpose_macs(c_in, c_out, (k_h, k_w), (2, 3))


# Attention


@st.composite
def attentions(draw):
    """The embedding size, heads, key and value heads, and lengths of an attention layer."""
    num_kv_heads = draw(TINY)
    num_heads = num_kv_heads * draw(TINY)
    return num_heads * draw(SMALL), num_heads, num_kv_heads, draw(SMALL), draw(SMALL)


def attend(query, key, value):
    """Attention as a matrix product, a softmax and a matrix product, so that the flop counter sees both."""
    return torch.softmax(query @ key.transpose(-2, -1), -1) @ value


@given(attentions(), TINY, st.booleans())
def test_attention_macs_are_torch_s(attention, batch, need_weights):
    embed_dim, num_heads, _, seq_len, kv_len = attention
    layer = nn.MultiheadAttention(embed_dim, num_heads, batch_first=True, device="meta")

    def run(queries, keys):
        layer(queries, keys, keys, need_weights=need_weights)

    macs = attention_macs(embed_dim, num_heads, seq_len, kv_len=kv_len, batch=batch)
    assert macs == torch_macs(run, (batch, seq_len, embed_dim), (batch, kv_len, embed_dim))


@given(attentions(), TINY, st.data())
def test_grouped_query_attention_macs_with_a_cache_are_torch_s(attention, batch, data):
    embed_dim, num_heads, num_kv_heads, seq_len, kv_len = attention
    cached_len = data.draw(st.integers(0, kv_len - 1))
    head_size = embed_dim // num_heads
    kv_dim = num_kv_heads * head_size
    wide = nn.Linear(embed_dim, embed_dim, device="meta")
    narrow = nn.Linear(embed_dim, kv_dim, device="meta")

    def heads(x):
        return x.unflatten(-1, (-1, head_size)).transpose(1, 2)

    def run(queries, new, cache):
        keys, values = (heads(torch.cat([cache, narrow(new)], 1)) for _ in range(2))
        attended = F.scaled_dot_product_attention(heads(wide(queries)), keys, values, enable_gqa=True)
        wide(attended.transpose(1, 2).flatten(2))

    sizes = (batch, seq_len, embed_dim), (batch, kv_len - cached_len, embed_dim), (batch, cached_len, kv_dim)
    options = {"kv_len": kv_len, "num_kv_heads": num_kv_heads, "batch": batch, "cached_len": cached_len}
    assert attention_macs(embed_dim, num_heads, seq_len, **options) == torch_macs(run, *sizes)


@given(attentions(), TINY)
def test_attention_macs_without_projections_are_the_two_products(attention, batch):
    embed_dim, num_heads, num_kv_heads, seq_len, kv_len = attention
    queries, keys = ((batch, num_heads, length, embed_dim // num_heads) for length in (seq_len, kv_len))
    options = {"kv_len": kv_len, "num_kv_heads": num_kv_heads, "batch": batch}
    macs = attention_macs(embed_dim, num_heads, seq_len, **options, projections=False)
    assert macs == torch_macs(attend, queries, keys, keys)


@settings(max_examples=10)
@given(TINY, TINY, TINY, TINY)
def test_attention_macs_are_the_multiplications_of_loops_over_heads(num_heads, head_size, seq_len, kv_len):
    embed_dim = num_heads * head_size
    x, memory, weight = numbers(seq_len, embed_dim), numbers(kv_len, embed_dim), numbers(embed_dim, embed_dim) / 10
    counter = Multiplications()
    queries, keys, values = (
        torch.tensor(loop_gemm(rows.tolist(), weight.tolist(), counter)) for rows in (x, memory, memory)
    )
    attended = torch.zeros(seq_len, embed_dim)
    for head in range(num_heads):
        part = slice(head * head_size, (head + 1) * head_size)
        scores = torch.tensor(loop_gemm(queries[:, part].tolist(), keys[:, part].T.tolist(), counter))
        attended[:, part] = torch.tensor(loop_gemm(scores.softmax(-1).tolist(), values[:, part].tolist(), counter))
    loop_gemm(attended.tolist(), weight.tolist(), counter)
    assert counter.macs == attention_macs(embed_dim, num_heads, seq_len, kv_len=kv_len)


@given(attentions())
def test_a_decoding_step_adds_up_to_the_whole_sequence_without_the_later_keys(attention):
    embed_dim, num_heads, num_kv_heads, seq_len, _ = attention
    steps = sum(
        attention_macs(embed_dim, num_heads, 1, kv_len=t + 1, cached_len=t, num_kv_heads=num_kv_heads)
        for t in range(seq_len)
    )
    whole = attention_macs(embed_dim, num_heads, seq_len, num_kv_heads=num_kv_heads)
    later_keys = seq_len * (seq_len - 1) // 2
    assert steps == whole - 2 * later_keys * embed_dim


# Recurrent layers

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
RECURRENT = st.tuples(st.sampled_from(list(CELLS)), SMALL, SMALL, TINY, st.booleans(), st.booleans())


@settings(max_examples=40)
@given(RECURRENT, TINY, TINY)
def test_recurrent_counts_are_torch_s(recurrent, seq_len, batch):
    cell, input_size, hidden_size, num_layers, bidirectional, bias = recurrent
    options = {"num_layers": num_layers, "bidirectional": bidirectional}
    layer = CELLS[cell](input_size, hidden_size, bias=bias, batch_first=True, device="meta", **options)
    params = counts.recurrent_params(cell, input_size, hidden_size, bias=bias, **options)
    assert params == sum(p.numel() for p in layer.parameters())
    macs = recurrent_macs(cell, input_size, hidden_size, seq_len, batch=batch, **options)
    assert macs == torch_macs(layer, (batch, seq_len, input_size))


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_macs_of_one_step_are_those_of_torch_s_cell(cell):
    step = getattr(nn, f"{CELLS[cell].__name__}Cell")(5, 7, device="meta")
    assert recurrent_macs(cell, 5, 7, 1, batch=3) == torch_macs(step, (3, 5))


# Known values

# AlexNet at 224 pixels: (in_channels, out_channels, kernel, output size, groups) and (in_features, out_features).
ALEXNET_CONVOLUTIONS = [
    (3, 96, 11, 55, 1),
    (96, 256, 5, 27, 2),
    (256, 384, 3, 13, 1),
    (384, 384, 3, 13, 2),
    (384, 256, 3, 13, 2),
]
ALEXNET_LINEAR = [(9216, 4096), (4096, 4096), (4096, 1000)]
ALEXNET_MACS = [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192, 37_748_736, 16_777_216, 4_096_000]


def test_alexnet_s_macs_layer_by_layer():
    macs = [conv_macs(c_in, c_out, k, n, groups=g) for c_in, c_out, k, n, g in ALEXNET_CONVOLUTIONS]
    macs += [linear_macs(c_in, c_out) for c_in, c_out in ALEXNET_LINEAR]
    assert macs == ALEXNET_MACS
    assert sum(macs) == 724_406_816
    assert counts.flops(sum(macs)) == 1_448_813_632


def test_alexnet_s_activations_and_their_peak():
    maps = [(3, 224), (96, 55), (96, 27), (256, 27), (256, 13), (384, 13), (384, 13), (256, 13), (256, 6)]
    sizes = [counts.conv_activations(channels, size) for channels, size in maps]
    sizes += [counts.linear_activations(features) for features in (4096, 4096, 1000)]
    assert sizes == [150528, 290400, 69984, 186624, 43264, 64896, 64896, 43264, 9216, 4096, 4096, 1000]
    assert sum(sizes) == 932_264
    assert max(map(sum, pairwise(sizes))) == 440_928


@pytest.mark.parametrize(("seq_len", "dim"), [(1, 64), (128, 768), (2048, 4096), (8192, 4096)])
def test_attention_flops_are_8nd2_plus_4n2d(seq_len, dim):
    flops = counts.flops(attention_macs(dim, 8, seq_len))
    assert flops == 8 * seq_len * dim**2 + 4 * seq_len**2 * dim == 4 * seq_len * dim * (2 * dim + seq_len)


def test_the_two_parts_of_attention_are_equal_at_twice_the_width():
    assert attention_macs(4096, 32, 8192) == 2 * attention_macs(4096, 32, 8192, projections=False)


def test_depthwise_convolution_has_one_input_channel_per_output():
    assert conv_macs(32, 32, 3, 10, groups=32) == 32 * 10 * 10 * 3 * 3


def test_embedding_params_are_torch_s():
    assert counts.embedding_params(50_257, 768) == nn.Embedding(50_257, 768, device="meta").weight.numel()


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (
            lambda: conv_macs(3, 8, 3, (10,)),
            r"kernel_size and output_size must have the same number of dimensions, not 2 and 1",
        ),
        (
            lambda: conv_transpose_macs(3, 8, (3,), 10),
            r"kernel_size and input_size must have the same number .* not 1 and 2",
        ),
        (lambda: conv_macs(3, 8, 3, 10, groups=2), r"groups must divide in_channels: 2 does not divide 3"),
        (lambda: conv_transpose_macs(4, 3, 3, 10, groups=2), r"groups must divide out_channels: 2 does not divide 3"),
        (lambda: attention_macs(10, 4, 5), r"num_heads must divide embed_dim: 4 does not divide 10"),
        (lambda: attention_macs(12, 4, 5, num_kv_heads=3), r"num_kv_heads must divide num_heads: 3 does not divide 4"),
        (lambda: attention_macs(8, 4, 1, kv_len=3, cached_len=4), r"cached_len must be at most kv_len: 4 is more than 3"),
        (lambda: recurrent_macs("LSTM", 3, 4, 5), r"cell must be one of 'lstm', 'gru', 'rnn', not 'LSTM'"),
        (lambda: counts.recurrent_params(["gru"], 3, 4), r"cell must be one of 'lstm', 'gru', 'rnn', not \['gru'\]"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(call, rule):
    with pytest.raises(ValueError, match=rule):
        call()
