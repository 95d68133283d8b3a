"""The counts of a training step: the backward pass by the gradients that are wanted, and what must be kept for it."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.flop_counter import FlopCounterMode

from effkit import ForwardError, counts, profile, profile_training, zoo
from tests.profiling.roads import Looks
from tests.profiling.test_profile_counts import convolutions

SMALL = st.integers(1, 6)


def wanted(*shape):
    """Return an input whose gradient is wanted."""
    return torch.zeros(shape, requires_grad=True)


def attend(*args, **kwargs):
    return F.scaled_dot_product_attention(*args, **kwargs)


# The work of the backward pass


@given(SMALL, SMALL, SMALL, SMALL, st.booleans(), st.booleans())
def test_a_linear_layer_has_its_forward_macs_again_for_each_gradient(in_features, out_features, n, t, of_input, of_weight):
    layer = nn.Linear(in_features, out_features)
    layer.weight.requires_grad_(of_weight)
    step = profile_training(layer, torch.zeros(n, t, in_features, requires_grad=of_input))
    macs = counts.linear_macs(in_features, out_features, batch=n * t)
    assert (step.forward_macs, step.backward_macs) == (macs, (of_input + of_weight) * macs)
    assert step.uncounted == {}


@settings(max_examples=60)
@given(convolutions(), SMALL, st.booleans(), st.booleans(), st.booleans())
def test_a_convolution_has_its_forward_macs_again_for_each_gradient(convolution, batch, transposed, of_input, of_weight):
    dimensions, channels, kernel, size, options, bias = convolution
    layer = getattr(nn, f"Conv{'Transpose' if transposed else ''}{dimensions}d")(*channels, kernel, bias=bias, **options)
    layer.weight.requires_grad_(of_weight)
    x = torch.zeros(batch, channels[0], *size, requires_grad=of_input)
    if bias or of_input or of_weight:
        step = profile_training(layer, x)
        assert step.forward_macs == profile(layer, x).macs
        assert step.backward_macs == (of_input + of_weight) * step.forward_macs
        assert step.uncounted == {}


def test_a_depthwise_convolution_trains_at_the_price_of_its_own_macs():
    step = profile_training(nn.Conv2d(32, 32, 3, padding=1, groups=32), wanted(2, 32, 8, 8))
    assert step.backward_macs == 2 * step.forward_macs == 2 * counts.conv_macs(32, 32, 3, 8, groups=32, batch=2)


@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_is_recomputed_by_the_fused_kernel_and_kept_by_the_other(need_weights):
    layer, x = nn.MultiheadAttention(16, 4, batch_first=True), torch.zeros(2, 5, 16)
    step = profile_training(layer, x, x, x, need_weights=need_weights)
    products = counts.attention_macs(16, 4, 5, batch=2, projections=False)
    into, out = counts.linear_macs(16, 48, batch=10), counts.linear_macs(16, 16, batch=10)
    assert step.forward_macs == into + products + out
    # The input wants no gradient: one for the in-projection, two for the output projection.
    assert step.backward_macs == into + 2 * out + (products * 2 if need_weights else products * 5 // 2)


@pytest.mark.parametrize(
    ("options", "kv_heads"),
    [
        ({}, 4),
        ({"is_causal": True}, 4),
        ({"attn_mask": torch.ones(5, 5, dtype=torch.bool)}, 4),
        ({"dropout_p": 0.5}, 4),
        ({"enable_gqa": True}, 2),
    ],
)
def test_the_backward_pass_of_fused_attention_is_five_products(options, kv_heads):
    step = profile_training(attend, wanted(2, 4, 5, 8), wanted(2, kv_heads, 5, 8), wanted(2, kv_heads, 5, 8), **options)
    assert step.forward_macs == 2 * (2 * 4 * 5 * 5 * 8)
    assert step.backward_macs == 5 * (2 * 4 * 5 * 5 * 8)


@pytest.mark.parametrize(
    ("query", "value"), [((4, 5, 8), (4, 5, 8)), ((2, 4, 5, 8), (2, 4, 5, 3)), ((3, 2, 4, 5, 8), (3, 2, 4, 5, 8))]
)
def test_attention_of_shapes_that_no_kernel_takes_keeps_its_scores(query, value):
    step = profile_training(attend, wanted(*query), wanted(*query), wanted(*value))
    assert (
        step.backward_macs
        == 2 * step.forward_macs
        == 2 * profile(attend, wanted(*query), wanted(*query), wanted(*value)).macs
    )


def test_a_bias_of_attention_that_is_learned_takes_attention_apart():
    heads = [torch.zeros(2, 4, 5, 8, requires_grad=True, device="meta")] * 3
    bias = torch.zeros(4, 5, 5, requires_grad=True, device="meta")
    step = profile_training(attend, *heads, attn_mask=bias)
    assert step.backward_macs == 2 * step.forward_macs
    assert profile_training(attend, *heads, attn_mask=bias.detach()).backward_macs == 5 * step.forward_macs // 2


def test_frozen_layers_have_no_gradients_and_pass_them_on():
    model, x = nn.Sequential(nn.Linear(20, 10), nn.Linear(10, 5)), torch.zeros(3, 20)
    first, second = 600, 150
    model[1].requires_grad_(False)  # its input still wants a gradient
    step = profile_training(model, x)
    assert step.backward_macs == first + second
    assert (step.params, step.trainable_params, step.gradient_bytes) == (265, 210, 840)
    model[0].requires_grad_(False)
    model[1].requires_grad_(True)
    assert profile_training(model, x).backward_macs == second


def test_a_tied_weight_has_two_uses_and_one_gradient():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(100, 16), nn.Linear(16, 100, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            return self.head(self.embedding(x))

    step = profile_training(Tied(), torch.zeros(2, 3, dtype=torch.long))
    assert (step.forward_macs, step.backward_macs) == (6 * 1600, 2 * 6 * 1600)
    assert (step.params, step.gradient_bytes) == (1600, 6400)


PRODUCTS = {
    "matmul": (torch.matmul, [(2, 3, 5), (2, 5, 4)], 120),
    "addmm": (torch.addmm, [(3, 4), (3, 5), (5, 4)], 60),
    "baddbmm": (torch.baddbmm, [(2, 3, 4), (2, 3, 5), (2, 5, 4)], 120),
    "addbmm": (torch.addbmm, [(3, 4), (2, 3, 5), (2, 5, 4)], 120),
    "einsum": (lambda a, b: torch.einsum("bij,bjk->bik", a, b), [(2, 3, 4), (2, 4, 5)], 120),
    "distance": (torch.cdist, [(3, 4), (5, 4)], 60),
    "bilinear": (F.bilinear, [(7, 3), (7, 4), (5, 3, 4)], 2 * 420),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_each_product_has_a_gradient_for_each_operand(name):
    function, shapes, macs = PRODUCTS[name]
    step = profile_training(function, *(wanted(*shape) for shape in shapes))
    assert step.forward_macs == profile(function, *(torch.zeros(shape) for shape in shapes)).macs
    assert step.backward_macs == (3 * 420 if name == "bilinear" else 2 * macs)
    assert step.uncounted == {}


@pytest.mark.parametrize("layer", [nn.LSTM(6, 7), nn.GRU(6, 7), nn.RNN(6, 7)], ids=["lstm", "gru", "rnn"])
@pytest.mark.parametrize("looks", [False, True])
def test_a_recurrent_layer_trains_on_either_road(layer, looks):
    x = torch.zeros(4, 2, 6)
    step = profile_training(Looks(layer, looks), x)
    assert step.forward_macs == profile(layer, x).macs
    assert step.forward_macs < step.backward_macs <= 2 * step.forward_macs  # the first state wants no gradient
    assert step.uncounted == {}


# Agreement with torch's own counter, where that is right


@pytest.mark.parametrize(
    ("build", "shape", "dtype"),
    [
        (lambda: zoo.vgg_cifar(widths=[(4, 8), (8,)]), (2, 3, 32, 32), torch.float32),
        (lambda: zoo.resnet18(width=4), (2, 3, 64, 64), torch.float32),
        (lambda: zoo.vit_b_16(image_size=32, embed_dim=24, num_layers=2, num_heads=2, eager=True), (2, 3, 32, 32), None),
        (lambda: zoo.gpt2(vocab_size=50, embed_dim=16, num_layers=2, num_heads=2, eager=True), (2, 8), torch.long),
        (lambda: nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 5)), (3, 20), torch.float32),
    ],
    ids=["vgg", "resnet18", "vit eager", "gpt2 eager", "perceptron"],
)
def test_a_step_without_groups_has_the_flops_of_torch_s_counter(build, shape, dtype):
    with torch.device("meta"):
        model, x = build(), torch.zeros(shape, dtype=dtype)
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
    step = profile_training(model, x)
    assert step.flops == counter.get_total_flops()
    assert step.forward_macs == profile(model, x).macs


# Memory, on paper: 4 bytes a number


def layers(*modules):
    return nn.Sequential(*modules)


SAVED = {
    "linear": (lambda: nn.Linear(20, 10), torch.zeros(3, 20), 4 * 60),
    "two linear": (lambda: layers(nn.Linear(20, 10), nn.Linear(10, 5)), torch.zeros(3, 20), 4 * (60 + 30)),
    # ReLU keeps its result, which is the input that the next layer keeps.
    "relu": (lambda: layers(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 5)), torch.zeros(3, 20), 4 * (60 + 30)),
    "relu in place": (lambda: layers(nn.Linear(20, 10), nn.ReLU(True), nn.Linear(10, 5)), torch.zeros(3, 20), 4 * 90),
    # GELU keeps its input.
    "gelu": (lambda: layers(nn.Linear(20, 10), nn.GELU(), nn.Linear(10, 5)), torch.zeros(3, 20), 4 * (60 + 30 + 30)),
    "conv": (lambda: nn.Conv2d(4, 8, 3), torch.zeros(2, 4, 5, 5), 4 * 200),
    # Batch normalization keeps its input and, of each channel, a mean and a deviation.
    "batch norm": (lambda: nn.BatchNorm2d(4), torch.zeros(2, 4, 5, 5), 4 * (200 + 4 + 4)),
    "conv, norm, relu": (
        lambda: layers(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        torch.zeros(2, 4, 5, 5),
        4 * (200 + 2 * 8 * 9 + 16 + 2 * 8 * 9),
    ),
    "layer norm": (lambda: nn.LayerNorm(16), torch.zeros(2, 5, 16), 4 * (160 + 10 + 10)),
    "group norm": (lambda: nn.GroupNorm(2, 4), torch.zeros(2, 4, 5), 4 * (40 + 4 + 4)),
    "softmax": (lambda: nn.Softmax(-1), wanted(3, 4), 4 * 12),
    "max pool": (lambda: nn.MaxPool2d(2), wanted(1, 1, 4, 4), 4 * 16 + 8 * 4),  # and where each maximum was
    "embedding": (lambda: nn.Embedding(10, 4), torch.zeros(3, dtype=torch.long), 8 * 3),
    "addition": (lambda: lambda x, y: x + y, (wanted(3, 4), wanted(3, 4)), 0),
    "product": (lambda: lambda x, y: x * y, (wanted(3, 4), wanted(3, 4)), 4 * 24),
    "square": (lambda: lambda x: x * x, wanted(3, 4), 4 * 12),  # the same tensor twice
    "view": (lambda: nn.Flatten(), wanted(3, 4, 5), 0),
    # Query, key, value, output, and of each query the logarithm of a sum.
    "fused attention": (lambda: attend, (wanted(2, 4, 5, 8),) * 3, 4 * (2 * 320 + 40)),
}


@pytest.mark.parametrize("name", SAVED)
def test_the_memory_between_the_passes_is_that_worked_out_on_paper(name):
    build, inputs, expected = SAVED[name]
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    assert profile_training(build(), *inputs).saved_bytes == expected


def test_frozen_layers_keep_nothing_before_the_first_gradient():
    model = nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 5))
    model[0].requires_grad_(False)
    assert profile_training(model, torch.zeros(3, 20)).saved_bytes == 4 * 30


def test_a_sparse_operand_is_kept_as_it_is_stored():
    """A graph network multiplies by its adjacency matrix: 3 values of 4 bytes, and the 2 indices of each of 8 bytes."""
    adjacency = torch.eye(3).to_sparse()
    weight = torch.ones(3, 8, requires_grad=True)
    step = profile_training(lambda matrix: torch.sparse.mm(matrix, weight), adjacency)
    assert step.forward_macs == 3 * 8
    assert step.saved_bytes == 3 * (4 + 2 * 8)


def test_attention_spelled_out_keeps_its_scores():
    heads = [wanted(1, 2, 50, 4)] * 3
    fused, eager = (profile_training(lambda *x, e=e: zoo.layers.attend(*x, eager=e), *heads) for e in (False, True))
    scores = 4 * counts.attention_scores(2, 50)
    assert fused.saved_bytes < scores <= eager.saved_bytes


def test_memory_is_parameters_gradients_activations_and_the_optimizer():
    model = nn.Sequential(nn.Linear(20, 10), nn.Linear(10, 5))
    model[0].requires_grad_(False)
    step = profile_training(model, torch.zeros(3, 20))
    params, trainable, saved = 4 * 265, 4 * 55, 4 * 30
    assert (step.param_bytes, step.gradient_bytes, step.saved_bytes) == (params, trainable, saved)
    assert step.memory_bytes() == params + trainable + saved
    assert step.memory_bytes(optimizer_states=2) == params + 3 * trainable + saved  # Adam
    half = profile_training(model.half(), torch.zeros(3, 20, dtype=torch.float16))
    assert half.memory_bytes(2) == step.memory_bytes(2) // 2


# What a step may consist of

LOSSES = {
    "cross entropy": (F.cross_entropy, torch.tensor([1, 2, 3])),
    "soft cross entropy": (F.cross_entropy, torch.full((3, 10), 0.1)),
    "mean square": (F.mse_loss, torch.zeros(3, 10)),
    "mean absolute": (F.l1_loss, torch.zeros(3, 10)),
    "huber": (F.huber_loss, torch.zeros(3, 10)),
    "binary": (F.binary_cross_entropy_with_logits, torch.zeros(3, 10)),
    "probabilities": (lambda y, t: F.binary_cross_entropy(y.sigmoid(), t), torch.zeros(3, 10)),
    "divergence": (lambda y, t: F.kl_div(y.log_softmax(-1), t, reduction="batchmean"), torch.full((3, 10), 0.1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_part_of_the_step_and_adds_no_macs(name):
    loss, target = LOSSES[name]

    class Step(nn.Linear):
        def forward(self, x, target):
            return loss(super().forward(x), target)

    step = profile_training(Step(20, 10), torch.zeros(3, 20), target)
    assert (step.forward_macs, step.backward_macs, step.uncounted) == (600, 600, {})


ACTIVATIONS = [nn.SiLU(), nn.ELU(), nn.Sigmoid(), nn.Hardswish(), nn.LogSigmoid(), nn.PReLU(), nn.GLU(1), nn.LogSoftmax(1)]
POOLS = [nn.AvgPool2d(2), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)]
RESHAPES = [nn.Upsample(scale_factor=2, mode="bilinear"), nn.ReflectionPad2d(1), nn.PixelShuffle(2), nn.Unfold(2)]
NORMS = [nn.InstanceNorm2d(4, affine=True), nn.RMSNorm(4), nn.GroupNorm(2, 4), nn.Dropout()]


@pytest.mark.parametrize("layer", [*ACTIVATIONS, *POOLS, *RESHAPES, *NORMS], ids=lambda layer: type(layer).__name__)
def test_layers_that_multiply_nothing_train_without_macs(layer):
    step = profile_training(layer, wanted(2, 4, 4, 4))
    assert (step.macs, step.uncounted) == (0, {})


def test_an_operator_without_a_formula_is_named_in_either_pass():
    assert profile_training(torch.fft.fft, wanted(8)).uncounted == {"aten._fft_r2c": 1, "aten._fft_c2c": 1}


def test_each_output_that_can_have_a_gradient_has_one():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(20, 10), nn.Linear(20, 5)

        def forward(self, x):
            return {"a": self.a(x), "more": [self.b(x), x.argmax()], "none": None}

    step = profile_training(Heads(), torch.zeros(3, 20))
    assert step.forward_macs == step.backward_macs == 600 + 300


@pytest.mark.parametrize("name", ["looks", "shapes"])
def test_a_step_with_real_numbers_is_counted_like_one_on_meta(name):
    encoder = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    x = torch.zeros(2, 5, 16)
    step, expected = profile_training(Looks(encoder, name == "looks"), x), profile_training(encoder, x)
    assert (step.forward_macs, step.backward_macs) == (expected.forward_macs, expected.backward_macs)
    assert step.saved_bytes == expected.saved_bytes
    assert len(step.notes) == (name == "looks")


@pytest.mark.parametrize("mask", [None, torch.ones(5, 5, dtype=torch.bool), torch.zeros(2, 1, 5, 5)])
def test_fused_attention_keeps_as_much_on_either_road(mask):
    heads = [wanted(2, 4, 5, 8) for _ in range(3)]
    shapes, numbers = (profile_training(Looks(attend, looks), *heads, attn_mask=mask) for looks in (False, True))
    assert shapes.saved_bytes == numbers.saved_bytes
    assert shapes.backward_macs == numbers.backward_macs


def test_dropout_in_attention_trains_with_real_numbers_too():
    layer, x = nn.MultiheadAttention(16, 4, dropout=0.5, batch_first=True), torch.zeros(2, 5, 16)
    step = profile_training(Looks(layer, looks=True), x, x, x, need_weights=False)
    assert step.forward_macs == counts.attention_macs(16, 4, 5, batch=2)


@pytest.mark.parametrize(
    "frozen", [nn.Linear(20, 10).requires_grad_(False), nn.ReLU(), lambda x: x.argmax(), lambda x: None]
)
def test_a_step_that_has_no_gradient_is_refused(frozen):
    with pytest.raises(ValueError, match=r"^model must have an output that needs a gradient: no parameter or input"):
        profile_training(frozen, torch.zeros(3, 20))


def test_an_error_of_the_backward_pass_is_told():
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise ArithmeticError("no derivative")

    with pytest.raises(ForwardError, match=r"^the pass failed in <lambda>: ArithmeticError: no derivative"):
        profile_training(lambda x: Fails.apply(x), wanted(3))


def test_a_step_tells_its_figures():
    step = profile_training(nn.Linear(20, 10), torch.zeros(3, 20))
    assert (step.macs, step.flops, step.forward_flops, step.backward_flops) == (1200, 2400, 1200, 1200)
    assert str(step) == "Linear: forward 1,200 FLOPs, backward 1,200 FLOPs, 240 bytes kept for the backward pass"
    record = json.loads(json.dumps(step.to_dict()))
    assert record["forward_flops"] == record["backward_flops"] == 1200
    assert record["saved_bytes"] == 240
    assert (record["uncounted"], record["notes"]) == ({}, [])
