"""The profile of a real module, held against the closed forms, against loops that count as they multiply, and itself."""

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from effkit import conv_output_size, counts, profile, zoo
from tests.profiling.roads import Differentiates, Looks, figures
from tests.test_counts_macs import Multiplications, loop_conv, loop_conv_transpose, loop_gemm, numbers

TINY = st.integers(1, 3)
SMALL = st.integers(1, 6)
SHAPE = st.lists(TINY, max_size=3).map(tuple)


def zeros(*shape, **options):
    return torch.zeros(shape, **options)


def macs(model, *args, **kwargs):
    """Return the MACs of a model in which everything is counted."""
    found = profile(model, *args, **kwargs)
    assert found.uncounted == {}
    return found.macs


# Linear layers and matrix products


@given(SMALL, SMALL, SHAPE, st.booleans())
def test_a_linear_layer_has_the_figures_of_its_closed_forms(in_features, out_features, leading, bias):
    found = profile(nn.Linear(in_features, out_features, bias=bias), zeros(*leading, in_features))
    rows = prod(leading)
    (layer,) = found.layers
    assert found.params == layer.params == counts.linear_params(in_features, out_features, bias=bias)
    assert found.macs == layer.macs == counts.linear_macs(in_features, out_features, batch=rows)
    assert layer.activations == counts.linear_activations(out_features, batch=rows)
    assert found.activations == found.peak() == layer.activations + rows * in_features
    assert found.bytes_moved == counts.linear_bytes(in_features, out_features, bias=bias, batch=rows)
    assert found.other_ops == (counts.other_ops("bias", rows * out_features) if bias else 0)


@settings(max_examples=20)
@given(TINY, TINY, TINY)
def test_a_matrix_product_has_the_macs_of_three_loops(m, k, n):
    left, right, counter = numbers(m, k), numbers(k, n), Multiplications()
    assert loop_gemm(left.tolist(), right.tolist(), counter) == (left @ right).tolist()
    assert macs(torch.mm, left, right) == macs(torch.matmul, left, right) == counter.macs


@given(SHAPE, st.data(), SMALL, SMALL, SMALL)
def test_leading_dimensions_of_a_matrix_product_are_broadcast(leading, data, m, k, n):
    def part():
        kept = data.draw(st.lists(st.booleans(), min_size=len(leading), max_size=len(leading)))
        return tuple(size if keep else 1 for size, keep in zip(leading, kept, strict=True))[data.draw(st.integers(0, 3)) :]

    left, right = part(), part()
    expected = prod(torch.broadcast_shapes(left, right)) * counts.gemm_macs(m, n, k)
    assert macs(lambda a, b: a @ b, zeros(*left, m, k), zeros(*right, k, n)) == expected


# Each spelling, with the shapes of its operands and its MACs.
PRODUCTS = {
    "mv": (torch.mv, [(4, 5), (5,)], 20),
    "matrix @ vector": (torch.matmul, [(2, 4, 5), (5,)], 40),
    "vector @ matrix": (torch.matmul, [(5,), (2, 5, 4)], 40),
    "dot": (torch.dot, [(5,), (5,)], 5),
    "vdot": (torch.vdot, [(5,), (5,)], 5),
    "inner": (torch.inner, [(2, 3, 5), (4, 5)], 120),
    "inner of vectors": (torch.inner, [(5,), (5,)], 5),
    "vecdot": (torch.linalg.vecdot, [(3, 5), (3, 5)], 15),
    "bmm": (torch.bmm, [(2, 3, 5), (2, 5, 4)], 120),
    "addmm": (torch.addmm, [(4,), (3, 5), (5, 4)], 60),
    "addmv": (torch.addmv, [(4,), (4, 5), (5,)], 20),
    "addbmm": (torch.addbmm, [(3, 4), (2, 3, 5), (2, 5, 4)], 120),
    "baddbmm": (torch.baddbmm, [(2, 3, 4), (2, 3, 5), (2, 5, 4)], 120),
    "outer": (torch.outer, [(3,), (4,)], 12),
    "ger": (torch.ger, [(3,), (4,)], 12),
    "addr": (torch.addr, [(3, 4), (3,), (4,)], 12),
    "in place": (lambda y, a, b: y.addmm_(a, b), [(3, 4), (3, 5), (5, 4)], 60),
    "tensordot": (lambda a, b: torch.tensordot(a, b, dims=2), [(2, 3, 4), (3, 4, 5)], 120),
    "chain": (lambda a, b, c: torch.linalg.multi_dot([a, b, c]), [(2, 3), (3, 4), (4, 5)], 24 + 40),
    "power": (lambda a: torch.matrix_power(a, 3), [(4, 4)], 128),
    "distance": (torch.cdist, [(2, 3, 4), (2, 5, 4)], 120),
    "distance of many": (torch.cdist, [(30, 4), (40, 4)], 4800),
    "distance in another norm": (lambda a, b: torch.cdist(a, b, p=1.0), [(3, 4), (5, 4)], 0),
}


@pytest.mark.parametrize("spelling", PRODUCTS)
def test_each_spelling_of_a_product_is_counted(spelling):
    function, shapes, expected = PRODUCTS[spelling]
    assert macs(function, *(zeros(*shape) for shape in shapes)) == expected


# Each sums over the indices that its result lacks. (Where it sums over none, or over one of size 1, torch only multiplies.)
EINSUMS = [
    "ij,jk->ik",
    "ij,kj->ik",
    "bij,bjk->bik",
    "bhqd,bhkd->bhqk",
    "bqhd,bkhd->bhqk",
    "ij,j->i",
    "ij,ij->",
    "abc,bcd->ad",
]


@settings(max_examples=40)
@given(st.sampled_from(EINSUMS), st.data())
def test_einsum_has_a_mac_for_each_value_of_its_indices(equation, data):
    operands, _ = equation.split("->")
    size = {name: data.draw(st.integers(2, 6)) for name in sorted(set(operands) - {","})}
    tensors = [zeros(*(size[name] for name in names)) for names in operands.split(",")]
    assert macs(lambda *x: torch.einsum(equation, *x), *tensors) == prod(size.values())


@pytest.mark.parametrize(
    ("function", "shapes", "real"),
    [
        (torch.matmul, [(3, 4), (4, 5)], 60),
        (torch.vdot, [(5,), (5,)], 5),
        (lambda a, b: torch.einsum("bij,bjk->bik", a, b), [(2, 3, 4), (2, 4, 5)], 120),
        (F.linear, [(3, 4), (5, 4)], 60),
    ],
)
def test_a_complex_mac_is_four_real_ones(function, shapes, real):
    assert macs(function, *(zeros(*shape, dtype=torch.complex64) for shape in shapes)) == 4 * real


def loop_sparse(sparse, dense, counter):
    """Return the product of a sparse matrix and a dense one, with a loop over the stored values."""
    out = torch.zeros(sparse.shape[0], dense.shape[1], dtype=dense.dtype)
    stored = sparse.to_sparse_coo().coalesce()
    for (i, k), value in zip(stored.indices().T.tolist(), stored.values().tolist(), strict=True):
        for j in range(dense.shape[1]):
            out[i, j] += counter.times(value, dense[k, j])
    return out


SPARSE = {
    "sparse.mm": torch.sparse.mm,
    "@": lambda s, d: s @ d,
    "addmm": lambda s, d: torch.addmm(numbers(s.shape[0], d.shape[1]), s, d, beta=0),
    "sparse.addmm": lambda s, d: torch.sparse.addmm(numbers(s.shape[0], d.shape[1]), s, d, beta=0),
    "linear": lambda s, d: F.linear(d.T, s).T,
}


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
@pytest.mark.parametrize("spelling", SPARSE)
def test_only_the_stored_values_of_a_sparse_matrix_are_multiplied(layout, spelling):
    sparse = torch.diag(numbers(4)).to_sparse(layout=layout)
    dense, counter = numbers(4, 3), Multiplications()
    torch.testing.assert_close(loop_sparse(sparse, dense, counter), SPARSE[spelling](sparse, dense))
    assert macs(SPARSE[spelling], sparse, dense) == counter.macs == 12


def test_the_bytes_of_a_sparse_matrix_are_those_of_its_values_and_indices():
    values, rows = 3, 4
    coo = torch.diag(torch.tensor([1.0, 0.0, 2.0, 3.0])).to_sparse()
    dense = 4 * (4 * 2 + rows * 2)
    assert profile(torch.mm, coo, zeros(4, 2)).bytes_moved == 4 * (values + 2 * values) + dense
    assert profile(torch.mm, coo.to_sparse_csr(), zeros(4, 2)).bytes_moved == 4 * (values + values + rows + 1) + dense


@given(SMALL, SMALL, SMALL, SHAPE, st.booleans())
def test_a_bilinear_layer_multiplies_each_weight_once_a_row(in1, in2, out, leading, bias):
    found = profile(nn.Bilinear(in1, in2, out, bias=bias), zeros(*leading, in1), zeros(*leading, in2))
    assert found.macs == prod(leading) * in1 * in2 * out
    assert found.params == in1 * in2 * out + bias * out


def test_only_a_weighted_bag_of_embeddings_multiplies():
    indices = torch.zeros(3, 5, dtype=torch.long)
    assert macs(nn.EmbeddingBag(10, 4), indices) == 0
    assert macs(nn.EmbeddingBag(10, 4, mode="sum"), indices, per_sample_weights=zeros(3, 5)) == 3 * 5 * 4
    assert macs(nn.Embedding(10, 4), indices) == 0


# Convolutions


@st.composite
def convolutions(draw):
    """The dimensions, the channels, and the arguments that a convolution and its transposed form share."""
    dimensions = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(dimensions))

    groups = draw(TINY)
    channels = groups * draw(TINY), groups * draw(TINY)
    options = {"groups": groups, "stride": each(1, 3), "padding": each(0, 2), "dilation": each(1, 2)}
    return dimensions, channels, each(1, 3), each(5, 8), options, draw(st.booleans())


@given(convolutions(), TINY)
def test_a_convolution_has_the_figures_of_its_closed_forms(convolution, batch):
    dimensions, (c_in, c_out), kernel, size, options, bias = convolution
    groups = options["groups"]
    layer = getattr(nn, f"Conv{dimensions}d")(c_in, c_out, kernel, bias=bias, **options)
    found = profile(layer, zeros(batch, c_in, *size))
    output = conv_output_size(size, kernel, options["stride"], options["padding"], options["dilation"])
    (record,) = found.layers
    assert record.kind == ("depthwise_conv" if groups == c_in > 1 else "conv")
    assert found.params == counts.conv_params(c_in, c_out, kernel, groups=groups, bias=bias)
    assert found.macs == counts.conv_macs(c_in, c_out, kernel, output, groups=groups, batch=batch)
    assert record.activations == counts.conv_activations(c_out, output, batch=batch)
    shapes = (c_in, c_out, kernel, size, output)
    assert found.bytes_moved == counts.conv_bytes(*shapes, groups=groups, bias=bias, batch=batch)
    assert found.other_ops == bias * record.activations


@given(convolutions(), TINY)
def test_a_transposed_convolution_counts_over_its_input(convolution, batch):
    dimensions, (c_in, c_out), kernel, size, options, bias = convolution
    groups = options["groups"]
    layer = getattr(nn, f"ConvTranspose{dimensions}d")(c_in, c_out, kernel, bias=bias, **options)
    found = profile(layer, zeros(batch, c_in, *size))
    (record,) = found.layers
    assert record.kind == ("depthwise_conv" if groups == c_in > 1 else "conv")
    assert found.params == counts.conv_params(c_in, c_out, kernel, groups=groups, bias=bias)
    assert found.macs == counts.conv_transpose_macs(c_in, c_out, kernel, size, groups=groups, batch=batch)
    assert found.bytes_moved == 4 * (batch * c_in * prod(size) + found.params + record.activations)


@settings(max_examples=15)
@given(TINY, TINY, st.integers(1, 2), TINY, TINY, st.integers(1, 2), st.integers(0, 1))
def test_a_convolution_has_the_macs_of_seven_loops(c_in, c_out, groups, k_h, k_w, stride, padding):
    x, weight = numbers(2, c_in * groups, 3, 4), numbers(c_out * groups, c_in, k_h, k_w)
    counter = Multiplications()
    y = loop_conv(F.pad(x, (padding,) * 4), weight, stride, groups, counter)
    assert torch.equal(y, F.conv2d(x, weight, stride=stride, padding=padding, groups=groups))
    assert macs(F.conv2d, x, weight, stride=stride, padding=padding, groups=groups) == counter.macs


@settings(max_examples=15)
@given(TINY, TINY, TINY, TINY, st.integers(1, 2))
def test_a_transposed_convolution_has_the_macs_of_loops_over_its_input(c_in, c_out, k_h, k_w, stride):
    x, weight, counter = numbers(1, c_in, 2, 3), numbers(c_in, c_out, k_h, k_w), Multiplications()
    assert torch.equal(loop_conv_transpose(x, weight, stride, counter), F.conv_transpose2d(x, weight, stride=stride))
    assert macs(F.conv_transpose2d, x, weight, stride=stride) == counter.macs


@pytest.mark.parametrize(
    ("options", "size", "output"),
    [
        ({"padding": "same"}, (2, 4, 8, 8), 8),
        ({"padding": "same", "kernel_size": 4}, (2, 4, 8, 8), 8),
        ({"padding": "same", "dilation": 2, "groups": 2}, (2, 4, 8, 8), 8),
        ({"padding": "valid"}, (2, 4, 8, 8), 6),
        ({"padding": 1, "padding_mode": "circular"}, (2, 4, 8, 8), 8),
        ({"padding": 1, "padding_mode": "reflect"}, (2, 4, 8, 8), 8),
        ({"groups": 4}, (4, 8, 8), 6),  # one image, without a batch
        ({}, (0, 4, 8, 8), 6),  # an empty batch
    ],
)
def test_other_paddings_and_batches_of_a_convolution(options, size, output):
    options = {"kernel_size": 3, **options}
    kernel, groups, images = options["kernel_size"], options.get("groups", 1), size[0] if len(size) == 4 else 1
    one = counts.conv_macs(4, 8, kernel, output, groups=groups)
    assert macs(nn.Conv2d(4, 8, **options), zeros(*size)) == images * one


# Attention


@st.composite
def attentions(draw):
    """The embedding size, heads, key and value heads, and lengths of an attention layer."""
    num_kv_heads = draw(TINY)
    num_heads = num_kv_heads * draw(TINY)
    return num_heads * draw(TINY), num_heads, num_kv_heads, draw(SMALL), draw(SMALL)


@settings(max_examples=60)
@given(attentions(), TINY, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_multihead_attention_has_the_figures_of_its_closed_forms(
    attention, batch, need_weights, batch_first, train, masked, bias
):
    embed_dim, num_heads, _, seq_len, kv_len = attention
    layer = nn.MultiheadAttention(embed_dim, num_heads, bias=bias, batch_first=batch_first).train(train)
    queries, keys = (
        zeros(*((batch, length) if batch_first else (length, batch)), embed_dim) for length in (seq_len, kv_len)
    )
    mask = torch.zeros(seq_len, kv_len, dtype=torch.bool) if masked else None
    found = profile(layer, queries, keys, keys, need_weights=need_weights, attn_mask=mask)
    assert found.macs == counts.attention_macs(embed_dim, num_heads, seq_len, kv_len=kv_len, batch=batch)
    assert found.params == counts.attention_params(embed_dim, num_heads, bias=bias)
    kinds = [layer.kind for layer in found.layers]
    assert ("softmax" in kinds, "attention" in kinds) == (need_weights, not need_weights)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_self_attention_counts_whether_or_not_the_fast_path_would_be_taken(train, need_weights):
    layer, x = nn.MultiheadAttention(16, 4, batch_first=True).train(train), zeros(2, 5, 16)
    assert macs(layer, x, x, x, need_weights=need_weights) == counts.attention_macs(16, 4, 5, batch=2)


@pytest.mark.parametrize("train", [False, True])
def test_a_transformer_encoder_counts_with_and_without_its_fast_path(train):
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=True).train(train)
    one = counts.attention_macs(16, 4, 5, batch=2) + 2 * counts.linear_macs(16, 32, batch=10)
    assert macs(encoder, zeros(2, 5, 16)) == 2 * one
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    assert macs(encoder, zeros(2, 5, 16), src_key_padding_mask=padding) == 2 * one


@pytest.mark.parametrize(
    ("options", "inputs", "expected"),
    [
        ({"kdim": 6, "vdim": 10}, [(2, 5, 16), (2, 7, 6), (2, 7, 10)], 2 * (2 * 5 * 256 + 7 * 6 * 16 + 7 * 10 * 16 + 1120)),
        ({"add_bias_kv": True}, [(2, 5, 16)] * 3, 2 * (4 * 5 * 256 + 2 * 5 * 6 * 16)),
        ({"add_zero_attn": True}, [(2, 5, 16)] * 3, 2 * (4 * 5 * 256 + 2 * 5 * 6 * 16)),
        ({"dropout": 0.1}, [(2, 5, 16)] * 3, 2 * (4 * 5 * 256 + 2 * 5 * 5 * 16)),
        ({}, [(5, 16)] * 3, 4 * 5 * 256 + 2 * 5 * 5 * 16),
    ],
)
@pytest.mark.parametrize("need_weights", [False, True])
def test_the_options_of_multihead_attention(options, inputs, expected, need_weights):
    layer = nn.MultiheadAttention(16, 4, batch_first=True, **options)
    assert macs(layer, *(zeros(*shape) for shape in inputs), need_weights=need_weights) == expected


@settings(max_examples=80)
@given(attentions(), TINY, SMALL, st.sampled_from([None, torch.bool, torch.float32]), st.booleans())
def test_fused_attention_is_its_two_products(attention, batch, value_size, mask_dtype, half):
    embed_dim, num_heads, num_kv_heads, seq_len, kv_len = attention
    head_size, dtype = embed_dim // num_heads, torch.float16 if half else torch.float32
    query = zeros(batch, num_heads, seq_len, head_size, dtype=dtype)
    key = zeros(batch, num_kv_heads, kv_len, head_size, dtype=dtype)
    value = zeros(batch, num_kv_heads, kv_len, value_size, dtype=dtype)
    mask = None
    if mask_dtype:
        mask = zeros(seq_len, kv_len, dtype=torch.bool if mask_dtype is torch.bool else dtype)
    found = profile(F.scaled_dot_product_attention, query, key, value, mask, enable_gqa=num_heads != num_kv_heads)
    (layer,) = found.layers
    assert layer.kind == "attention"
    assert found.macs == batch * num_heads * seq_len * kv_len * (head_size + value_size)
    assert found.other_ops == counts.other_ops(
        "softmax", counts.attention_scores(num_heads, seq_len, kv_len=kv_len, batch=batch)
    )
    if value_size == head_size:
        options = {"kv_len": kv_len, "num_kv_heads": num_kv_heads, "batch": batch}
        assert found.macs == counts.attention_macs(embed_dim, num_heads, seq_len, **options, projections=False)
        moved = counts.attention_bytes(embed_dim, num_heads, seq_len, **options, bits=16 if half else 32)
        assert found.bytes_moved == moved + (mask.numel() * mask.element_size() if mask_dtype else 0)


@pytest.mark.parametrize(
    ("query", "key", "options", "expected"),
    [
        ((5, 8), (7, 8), {}, 5 * 7 * 16),
        ((4, 5, 8), (4, 7, 8), {}, 4 * 5 * 7 * 16),
        ((3, 2, 4, 5, 8), (3, 2, 4, 7, 8), {}, 24 * 5 * 7 * 16),
        ((2, 4, 5, 8), (1, 4, 7, 8), {}, 8 * 5 * 7 * 16),  # the same keys for each sequence
        ((1, 4, 5, 8), (2, 4, 7, 8), {}, 8 * 5 * 7 * 16),
        ((2, 4, 5, 8), (2, 1, 7, 8), {}, 8 * 5 * 7 * 16),
        ((2, 4, 5, 8), (2, 4, 5, 8), {"is_causal": True}, 8 * 5 * 5 * 16),  # not halved
        ((2, 4, 5, 8), (2, 4, 7, 8), {"dropout_p": 0.5}, 8 * 5 * 7 * 16),
        ((2, 4, 5, 8), (2, 4, 7, 8), {"scale": 0.5}, 8 * 5 * 7 * 16),
    ],
)
def test_fused_attention_of_other_shapes(query, key, options, expected):
    attend = F.scaled_dot_product_attention
    for run in (attend, Looks(attend, looks=True)):
        assert macs(run, zeros(*query), zeros(*key), zeros(*key), **options) == expected


@pytest.mark.parametrize(("learned", "kinds"), [(False, ["attention"]), (True, ["attention", "copy"])])
def test_heads_come_out_of_fused_attention_side_by_side_on_either_road(learned, kinds):
    def joined(x, bias):
        query = x.transpose(1, 2)  # (n, heads, t, head_dim)
        return F.scaled_dot_product_attention(query, query, query, bias).transpose(1, 2).reshape(2, 5, 32)

    for looks in (False, True):  # a bias that is learned takes torch to another kernel
        found = profile(Looks(joined, looks), zeros(2, 5, 4, 8), zeros(5, 5, requires_grad=learned))
        assert [layer.kind for layer in found.layers] == kinds


@settings(max_examples=25)
@given(attentions(), TINY)
def test_attention_spelled_out_has_as_many_macs_as_the_fused_one(attention, batch):
    embed_dim, num_heads, num_kv_heads, seq_len, _ = attention
    heads = [(batch, n, seq_len, embed_dim // num_heads) for n in (num_heads, num_kv_heads, num_kv_heads)]
    fused, eager = (
        macs(lambda *qkv, eager=eager: zoo.layers.attend(*qkv, eager=eager), *(zeros(*shape) for shape in heads))
        for eager in (False, True)
    )
    assert fused == eager


# Recurrent layers

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@settings(max_examples=50)
@given(st.sampled_from(list(CELLS)), SMALL, SMALL, TINY, st.booleans(), st.booleans(), SMALL, TINY, st.booleans())
def test_a_recurrent_layer_has_the_figures_of_its_closed_forms(
    cell, input_size, hidden_size, num_layers, bidirectional, bias, seq_len, batch, batch_first
):
    options = {"num_layers": num_layers, "bidirectional": bidirectional}
    layer = CELLS[cell](input_size, hidden_size, bias=bias, batch_first=batch_first, **options)
    found = profile(layer, zeros(*((batch, seq_len) if batch_first else (seq_len, batch)), input_size))
    assert found.macs == counts.recurrent_macs(cell, input_size, hidden_size, seq_len, batch=batch, **options)
    assert found.params == counts.recurrent_params(cell, input_size, hidden_size, bias=bias, **options)
    directions = 2 if bidirectional else 1
    assert sum(record.activations for record in found.layers) == batch * seq_len * directions * hidden_size


@settings(max_examples=12)
@given(SMALL, st.integers(3, 6), st.integers(1, 2), st.integers(1, 2), st.booleans(), SMALL)
def test_a_projected_lstm_multiplies_each_weight_once_a_token(input_size, hidden_size, proj_size, num_layers, both, seq_len):
    layer = nn.LSTM(input_size, hidden_size, num_layers, proj_size=proj_size, bidirectional=both)
    weights = sum(p.numel() for name, p in layer.named_parameters() if name.startswith("weight"))
    assert macs(layer, zeros(seq_len, 2, input_size)) == 2 * seq_len * weights


@pytest.mark.parametrize("cell", CELLS)
def test_a_recurrent_cell_is_one_step(cell):
    step = getattr(nn, f"{CELLS[cell].__name__}Cell")(5, 7)
    assert macs(step, zeros(3, 5)) == counts.recurrent_macs(cell, 5, 7, 1, batch=3)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("options", "train"), [({"dropout": 0.5}, True), ({"dropout": 0.5}, False), ({"batch_first": True}, True)]
)
def test_a_recurrent_layer_counts_in_training_and_with_an_initial_state(cell, options, train):
    layer, x, state = CELLS[cell](5, 7, 2, **options).train(train), zeros(4, 4, 5), zeros(2, 4, 7)
    expected = counts.recurrent_macs(cell, 5, 7, 4, num_layers=2, batch=4)
    assert macs(layer, x) == macs(layer, x, (state, state) if cell == "lstm" else state) == expected


@pytest.mark.parametrize("cell", CELLS)
def test_only_the_tokens_of_a_packed_sequence_count(cell):
    layer = CELLS[cell](5, 7, bidirectional=True)

    def run(x, lengths):
        return layer(nn.utils.rnn.pack_padded_sequence(x, lengths))[0].data

    assert macs(run, zeros(6, 2, 5), torch.tensor([6, 3])) == counts.recurrent_macs(cell, 5, 7, 9, bidirectional=True)


# Layers that multiply nothing

OTHERS = {  # module, input, other operations, bytes
    "relu": (nn.ReLU(), (2, 8), counts.other_ops("relu", 16), counts.elementwise_bytes(16)),
    "relu in place": (nn.ReLU(inplace=True), (2, 8), counts.other_ops("relu", 16), counts.elementwise_bytes(16)),
    "gelu": (nn.GELU(), (2, 8), 16, counts.elementwise_bytes(16)),
    "softmax": (nn.Softmax(-1), (2, 8), counts.other_ops("softmax", 16), counts.elementwise_bytes(16)),
    "layer norm": (nn.LayerNorm(8), (2, 8), counts.other_ops("norm", 16), counts.norm_bytes(16, 8)),
    "rms norm": (nn.RMSNorm(8), (2, 8), counts.other_ops("norm", 16), counts.norm_bytes(16, 8, bias=False)),
    "group norm": (nn.GroupNorm(2, 4), (1, 4, 3), counts.other_ops("norm", 12), counts.norm_bytes(12, 4)),
    "batch norm": (nn.BatchNorm1d(4).eval(), (3, 4), counts.other_ops("norm", 12), counts.norm_bytes(12, 4) + 8 * 4),
    "max pool": (nn.MaxPool2d(3), (1, 2, 9, 9), counts.other_ops("pool", 18, kernel_size=3), counts.pool_bytes(2, 9, 3)),
    "average pool": (nn.AvgPool2d((2, 3)), (1, 2, 4, 6), 6 * 8, counts.pool_bytes(2, (4, 6), (2, 2))),
    "pool in 1d": (nn.MaxPool1d(2), (1, 2, 8), 2 * 8, counts.pool_bytes(2, (8,), (4,))),
    "pool in 3d": (nn.AvgPool3d(2), (1, 2, 4, 4, 4), 8 * 16, counts.pool_bytes(2, (4, 4, 4), (2, 2, 2))),
    "global pool": (nn.AdaptiveAvgPool2d(1), (1, 2, 4, 4), 32, counts.pool_bytes(2, 4, 1)),
    "addition": (lambda x: x + 1, (2, 8), 16, counts.elementwise_bytes(16)),
    "view": (lambda x: x.view(8, 2).t()[0], (2, 8), 0, 0),
    "copy of a part": (lambda x: x[:, :2].contiguous(), (2, 8), 0, 2 * 16),
    "broadcast": (lambda x: x.expand(5, 8) + 1, (1, 8), 40, 4 * (8 + 40)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_operations_and_bytes_are_those_of_the_closed_forms(name):
    module, shape, other_ops, moved = OTHERS[name]
    found = profile(module, zeros(*shape))
    assert (found.macs, found.other_ops, found.bytes_moved) == (0, other_ops, moved)
    assert found.uncounted == {}
    assert all(len(layer.input_shapes) == 1 for layer in found.layers)  # neither parameters nor buffers


@pytest.mark.parametrize(
    ("function", "args", "moved"),
    [
        (nn.Embedding(100, 8), [torch.zeros(10, dtype=torch.long)], 10 * 8 + 2 * 10 * 8 * 4),  # rows that are looked up
        (lambda x, i: x[i], [zeros(100, 8), torch.zeros(5, dtype=torch.long)], 5 * 8 + 2 * 5 * 8 * 4),
        (lambda x, i: x.gather(0, i), [zeros(100, 8), torch.zeros(2, 8, dtype=torch.long)], 16 * 8 + 2 * 16 * 4),
        (lambda x: torch.zeros(100), [zeros(1)], 400),  # nothing is read
        (lambda x: x.copy_(torch.empty(100)), [zeros(100)], 800),
        (lambda x: x.half(), [zeros(100)], 600),
        (lambda x: x.contiguous(), [zeros(3, 4).t()], 2 * 48),
        (lambda x: x.contiguous(), [zeros(3, 4)], 0),
        (lambda x: x + 1, [zeros(1, 4).expand(3, 4)], 4 * (4 + 12)),
        (lambda x, y: x + y, [zeros(10), zeros(10)], counts.elementwise_bytes(10, inputs=2)),
        (lambda x: x > 0, [zeros(10)], 50),
        (torch.mm, [zeros(2, 3, dtype=torch.float64), zeros(3, 4, dtype=torch.float64)], 8 * (6 + 12 + 8)),
    ],
)
def test_bytes_are_those_that_a_call_reads_and_writes_at_its_dtypes(function, args, moved):
    assert profile(function, *args).bytes_moved == moved


# Both roads


class UNet(nn.Module):
    """A transposed convolution, a concatenation, shared layers and an in-place activation."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.mix = nn.Conv2d(6, 3, 1, bias=False)

    def forward(self, x):
        for _ in range(2):
            x = self.mix(torch.cat([x, self.up(F.relu(self.down(x), inplace=True))], dim=1))
        return x


class Twice(nn.Bilinear):
    """A bilinear layer that is given the same input twice."""

    def __init__(self):
        super().__init__(4, 4, 3)

    def forward(self, x):
        return super().forward(x, x)


NETWORKS = {
    "unet": (UNet, (1, 3, 8, 8)),
    "mobilenet": (lambda: zoo.mobilenet_v2(width_multiplier=0.1), (2, 3, 32, 32)),
    "vit": (lambda: zoo.vit_b_16(image_size=32, embed_dim=16, num_layers=2, num_heads=4), (2, 3, 32, 32)),
    "gpt2": (lambda: zoo.gpt2(vocab_size=50, context_length=8, embed_dim=16, num_layers=2, num_heads=4), (2, 8)),
    "gpt2 eager": (lambda: zoo.gpt2(vocab_size=50, embed_dim=16, num_layers=2, num_heads=4, eager=True), (2, 8)),
    "llama": (
        lambda: zoo.llama3(vocab_size=50, embed_dim=16, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=24),
        (2, 8),
    ),
    "encoder": (lambda: nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True), (2, 5, 16)),
    "lstm": (lambda: nn.LSTM(5, 6, 2, bidirectional=True), (4, 2, 5)),
    "gru": (lambda: nn.GRU(5, 6, 2), (4, 2, 5)),
    "bilinear": (Twice, (2, 4)),
    "norms": (lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.PReLU(), nn.AvgPool2d(2)), (2, 4, 8, 8)),
}


def example(name):
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    return build(), torch.zeros(shape, dtype=torch.long) if len(shape) == 2 and name != "bilinear" else torch.rand(shape)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_real_numbers_and_the_meta_device_give_the_same_figures(name, train):
    network, x = example(name)
    shapes, numbers = (profile(Looks(network, looks).train(train), x) for looks in (False, True))
    assert (shapes.device, numbers.device) == ("meta", "cpu")
    assert (shapes.notes, len(numbers.notes)) == ((), 1)
    assert figures(shapes) == figures(numbers)
    assert shapes.timeline() == numbers.timeline()
    assert shapes.peak("live") == numbers.peak("live")
    assert (shapes.params, shapes.buffers, shapes.activations) == (numbers.params, numbers.buffers, numbers.activations)


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("mobilenet", "vit")])
def test_a_model_that_differentiates_has_as_many_macs(name, looks):
    network, x = example(name)
    found = profile(Differentiates(Looks(network, looks)), x)
    assert (found.macs, found.params) == (profile(network, x).macs, profile(network, x).params)
    assert found.uncounted == {}


def test_fused_attention_stays_one_operator_in_a_model_that_differentiates():
    network, x = example("gpt2")
    found = profile(Differentiates(network), x)
    assert [layer.kind for layer in found.layers].count("attention") == 2
    assert found.matmul_activations == profile(network, x).matmul_activations


def test_each_row_meets_the_weights_of_its_own_expert_alone():
    """The products of a mixture of experts: rows sorted by expert, and where each expert's rows end."""
    rows, experts = torch.zeros(8, 16, dtype=torch.bfloat16), torch.zeros(3, 16, 8, dtype=torch.bfloat16)
    ends = torch.tensor([2, 3, 8], dtype=torch.int32)
    found = profile(lambda x, w, ends: torch._grouped_mm(x, w, offs=ends), rows, experts, ends)
    assert (found.macs, dict(found.uncounted)) == (counts.gemm_macs(8, 8, 16), {})
    sums = profile(lambda x, y, ends: torch._grouped_mm(x, y, offs=ends), rows.T.contiguous(), rows, ends)
    assert sums.macs == counts.gemm_macs(16, 16, 8)
