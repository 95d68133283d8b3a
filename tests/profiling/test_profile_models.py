"""Whole networks: MACs that no other counter gets right on all of them, published activations, and peaks done by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from effkit import counts, profile, zoo


def on_meta(build, **options):
    """Return a network without memory for its weights."""
    with torch.device("meta"):
        return build(**options)


def images(size=224):
    return torch.zeros(1, 3, size, size)


def tokens(t):
    return torch.zeros(1, t, dtype=torch.long)


# Exact MACs


class GroupedBlock(nn.Module):
    """A block of Llama's kind: eight heads of 64, two of them with keys and values, and a gated perceptron of 1376."""

    def __init__(self):
        super().__init__()
        attention = zoo.llama.GroupedQueryAttention(512, 8, 2, eager=False)
        self.block = zoo.llama.LlamaBlock(512, attention, zoo.llama.SwiGLU(512, 1376))

    def forward(self, x):
        return self.block(x, zoo.llama.rotation(x.shape[1], 64, 10_000.0, like=x))


class Functional(nn.Module):
    """A network of functions, einsum and operators alone, whose weights are its own."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(8, 3, 3, 3))
        self.mix = nn.Parameter(torch.zeros(8, 16))
        self.out = nn.Parameter(torch.zeros(10, 16))

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.kernel, padding=1)).flatten(2)  # (n, 8, 1024)
        x = torch.einsum("ncp,cd->npd", x, self.mix)  # (n, 1024, 16)
        scores = torch.bmm(x, x.transpose(1, 2)).softmax(-1)  # (n, 1024, 1024)
        return F.linear((scores @ x).mean(1), self.out)


class Shared(nn.Module):
    """One linear layer called three times, and an output layer whose weight is the embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 32)
        self.linear = nn.Linear(32, 32)
        self.head = nn.Linear(32, 100, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        x = self.embedding(x)
        for _ in range(3):
            x = self.linear(x)
        return self.head(x)


class SelfAttention(nn.Module):
    """torch's attention, of 20 tokens with themselves."""

    def __init__(self, need_weights):
        super().__init__()
        self.attention, self.need_weights = nn.MultiheadAttention(64, 4, batch_first=True), need_weights

    def forward(self, x):
        return self.attention(x, x, x, need_weights=self.need_weights)[0]


class ConvMix(nn.Module):
    """Convolutions of each dimension, transposed, grouped and dilated."""

    def __init__(self):
        super().__init__()
        self.line = nn.Conv1d(4, 8, 3, padding=1)
        self.wider = nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1)
        self.plane = nn.Conv2d(4, 8, 3, dilation=2)
        self.larger = nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2)
        self.space = nn.Conv3d(1, 2, (1, 3, 3), groups=1)

    def forward(self, x):
        x = self.wider(self.line(x)).unflatten(2, (8, 8))  # (n, 4, 8, 8)
        return self.space(self.larger(self.plane(x)).unsqueeze(1))  # (n, 2, 4, 6, 6)


CONVMIX = (
    counts.conv_macs(4, 8, (3,), (32,))
    + counts.conv_transpose_macs(8, 4, (4,), (32,))
    + counts.conv_macs(4, 8, 3, 4)
    + counts.conv_transpose_macs(8, 4, 2, 4, groups=2)
    + counts.conv_macs(1, 2, (1, 3, 3), (4, 6, 6))
)
FUNCTIONAL = 1024 * 8 * 27 + 1024 * 8 * 16 + 2 * 1024 * 1024 * 16 + 10 * 16
# Network, input, MACs, parameters. No other counter that was measured is right on all of these kinds.
MODELS = {
    "alexnet": (zoo.alexnet, images(), 724_406_816, 60_965_224),
    "resnet18": (zoo.resnet18, images(), 1_814_073_344, 11_689_512),
    "resnet50": (zoo.resnet50, images(), 4_089_184_256, 25_557_032),
    "mobilenet_v2": (zoo.mobilenet_v2, images(), 300_774_272, 3_504_872),
    "vit_b_16": (zoo.vit_b_16, images(), 17_563_828_224, 86_567_656),
    "gpt2": (zoo.gpt2, tokens(128), 16_114_089_984, 124_439_808),
    "gpt2 eager": (lambda: zoo.gpt2(eager=True), tokens(128), 16_114_089_984, 124_439_808),
    "llama block": (GroupedBlock, torch.zeros(1, 128, 512), 371_195_904, 2_769_920),
    "functional": (Functional, images(32), FUNCTIONAL, 216 + 128 + 160),
    "shared": (Shared, tokens(10), 62_720, 4_256),
    "attention": (lambda: SelfAttention(False), torch.zeros(1, 20, 64), 378_880, 16_640),
    "attention with weights": (lambda: SelfAttention(True), torch.zeros(1, 20, 64), 378_880, 16_640),
    "convmix": (ConvMix, torch.zeros(1, 4, 32), CONVMIX, 104 + 132 + 296 + 68 + 20),
    "lstm": (
        lambda: nn.LSTM(16, 32, 2),
        torch.zeros(10, 4, 16),
        573_440,
        counts.recurrent_params("lstm", 16, 32, num_layers=2),
    ),
}


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_on_meta_has_its_macs_and_parameters(name, train):
    build, x, macs, params = MODELS[name]
    found = profile(on_meta(build).train(train), x.to("meta"))
    assert (found.macs, found.flops, found.params, found.uncounted) == (macs, 2 * macs, params, {})
    assert sum(layer.params for layer in found.layers) == params
    assert found.notes == ()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_on_the_cpu_is_counted_like_one_on_meta(name):
    build, x, macs, params = MODELS[name]
    model = build()
    for train in (False, True):
        found = profile(model.train(train), x)
        assert (found.macs, found.params, found.uncounted, found.notes) == (macs, params, {}, ())
        assert found.layers == profile(on_meta(build).train(train), x.to("meta")).layers


def test_the_macs_of_alexnet_layer_by_layer():
    found = profile(on_meta(zoo.alexnet, bias=False).eval(), images())
    assert {layer.name: layer.macs for layer in found.layers if layer.macs} == {
        "conv1": 105_415_200,
        "conv2": 223_948_800,
        "conv3": 149_520_384,
        "conv4": 112_140_288,
        "conv5": 74_760_192,
        "fc6": 37_748_736,
        "fc7": 16_777_216,
        "fc8": 4_096_000,
    }


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "vit_b_16", "gpt2"])
def test_twice_the_batch_is_twice_the_macs_and_the_same_parameters(name):
    build, x, macs, params = MODELS[name]
    found = profile(on_meta(build).eval(), torch.cat([x, x]))
    assert (found.macs, found.params) == (2 * macs, params)
    assert found.activations == 2 * profile(on_meta(build).eval(), x).activations


def test_a_model_of_70_billion_parameters_is_counted_exactly():
    found = profile(on_meta(zoo.llama3), tokens(128))
    assert (found.params, found.macs) == (70_553_706_496, 8_917_694_283_776)
    assert found.model_size(bits=16) == 141_107_412_992
    assert {layer.kind for layer in found.layers if layer.macs} == {"linear", "attention"}


def test_a_shared_layer_has_its_parameters_once_and_its_macs_at_each_call():
    found = profile(Shared(), tokens(10))
    linear = [layer for layer in found.layers if layer.name == "linear"]
    assert [layer.macs for layer in linear] == [10 * 32 * 32] * 3
    assert [layer.params for layer in linear] == [32 * 32 + 32, 0, 0]
    (head,) = (layer for layer in found.layers if layer.name == "head")
    assert (head.params, head.macs) == (0, 10 * 32 * 100)  # the embedding has read the weight before


def test_a_layer_is_named_after_the_module_that_made_it():
    found = profile(on_meta(zoo.resnet18), images())
    assert found.layers[0].name == "stem.conv"
    assert [layer.name for layer in found.layers if layer.kind == "pool"] == ["pool", "avgpool"]
    added = [layer.name for layer in found.layers if layer.operator == "aten.add"]
    assert "stage1.0" in added
    assert found.layers[-1].input_shapes == ((1, 512),)
    assert found.layers[-1].output_shape == (1, 1000)


# Published activations


def test_the_activations_of_alexnet_are_those_of_the_lecture():
    found = profile(on_meta(zoo.alexnet, bias=False).eval(), images())
    sizes = [layer.activations for layer in found.layers if layer.activations]
    assert sizes == [290_400, 69_984, 186_624, 43_264, 64_896, 64_896, 43_264, 9_216, 4_096, 4_096, 1_000]
    assert found.activations == 932_264 == found.input_elements + sum(sizes)
    assert found.peak() == found.peak_activations == 440_928


# Elements of the outputs of convolutions, linear layers and matrix products, as fvcore 0.1.5 counts them.
@pytest.mark.parametrize(
    ("name", "expected"),
    [("alexnet", 659_272), ("resnet18", 2_484_712), ("resnet50", 11_114_984), ("mobilenet_v2", 6_679_112)],
)
def test_the_activations_of_matrix_products_are_fvcore_s(name, expected):
    assert profile(on_meta(MODELS[name][0]), images()).matmul_activations == expected


def test_the_activations_of_vit_are_fvcore_s_and_the_output_of_its_attention():
    found = profile(on_meta(zoo.vit_b_16), images())
    assert found.matmul_activations == 16_491_496 + 12 * 197 * 768


def test_the_peak_of_resnet50_is_the_published_one():
    assert profile(on_meta(zoo.resnet50).eval(), images()).peak() == 1_204_224


@pytest.mark.parametrize("train", [False, True])
def test_the_peak_of_mobilenet_v2_in_int8_is_the_published_one(train):
    found = profile(on_meta(zoo.mobilenet_v2).train(train), images())
    assert (found.peak(), found.peak_size(bits=8)) == (1_505_280, 1470 * 1024)
    assert (found.peak(inplace_depthwise=True), found.peak_size(inplace_depthwise=True, bits=8)) == (1_404_928, 1372 * 1024)
    assert found.peak_size() == 4 * 1_505_280
    assert found.peak_size(bits=4) == 1_505_280 // 2


def test_an_input_that_is_passed_twice_is_counted_once():
    layer, x = nn.MultiheadAttention(16, 4, batch_first=True), torch.zeros(2, 5, 16)
    found = profile(layer, x, x, x, need_weights=False)
    assert found.input_elements == x.numel()
    assert found.activations == x.numel() * (1 + 3 + 1 + 1)  # in-projection, attention, output projection
    assert profile(layer, x, x.clone(), x.clone(), need_weights=False).input_elements == 3 * x.numel()


@pytest.mark.parametrize(
    ("function", "shapes", "peak"),
    [
        (torch.matmul, [(2, 3), (3, 4)], 6 + 12 + 8),
        (torch.addmm, [(2, 4), (2, 3), (3, 4)], 8 + 6 + 12 + 8),
        (F.scaled_dot_product_attention, [(1, 1, 2, 3), (1, 1, 4, 3), (1, 1, 4, 3), (2, 4)], 6 + 12 + 12 + 6),
        (lambda x, h: nn.GRU(3, 4)(x, h), [(5, 1, 3), (1, 1, 4)], 15 + 20),
        (F.conv2d, [(1, 2, 4, 4), (3, 2, 1, 1)], 32 + 48),
    ],
    ids=["matmul", "addmm", "attention", "recurrent", "conv"],
)
def test_the_input_of_a_layer_is_its_operands_but_no_mask_state_or_weight(function, shapes, peak):
    assert profile(function, *(torch.zeros(shape) for shape in shapes)).peak() == peak


def test_a_product_with_a_weight_is_a_linear_layer_and_another_a_matrix_product():
    found = profile(Functional(), images(32))
    assert [layer.kind for layer in found.layers if layer.macs] == ["conv", "linear", "matmul", "matmul", "linear"]
    assert [layer.params for layer in found.layers if layer.macs] == [216, 128, 0, 0, 160]


def test_each_kind_of_layer_has_activations_or_is_folded():
    def activations(module, *shape):
        return [layer.activations for layer in profile(module, torch.zeros(*shape)).layers]

    for module in (nn.ReLU(), nn.GELU(), nn.Softmax(-1), nn.BatchNorm2d(3).eval(), nn.Upsample(scale_factor=2)):
        assert activations(module, 1, 3, 4, 4) == [0]
    for module in (nn.LayerNorm(4), nn.GroupNorm(3, 3), nn.InstanceNorm2d(3), nn.MaxPool2d(1), nn.Conv2d(3, 3, 1)):
        assert activations(module, 1, 3, 4, 4) == [48]
    assert activations(lambda x: x.mean((2, 3)), 1, 3, 4, 4) == [3]  # global pooling, however it is spelled
    assert activations(lambda x: x.mean((1, 2)), 1, 3, 4) == [0]  # a mean over a sequence and its features
    assert activations(lambda x: x.mean(-1), 1, 3, 4) == [0]


# Live activations, by hand


class Net(nn.Module):
    """Linear layers by the sizes of their input and output, which `run` connects."""

    def __init__(self, run, **sizes):
        super().__init__()
        self.run = run
        for name, (i, o) in sizes.items():
            self.add_module(name, nn.Linear(i, o, bias=False))

    def forward(self, *inputs):
        return self.run(self, *inputs)


def skip(net, x):
    return x + net.b(net.a(x))


def forked(net, x):
    return torch.cat([net.a(x), net.b(x)], dim=-1)


def unet(net, x):
    skipped = net.a(x)
    return net.d(torch.cat([skipped, net.c(net.b(skipped))], dim=-1))


def activation_needed_later(net, x):
    y = net.a(x)
    return net.b(F.relu(y)) + y.sum()


def activation_and_input_returned(net, x):
    y = net.a(x)
    return y, F.relu(y)


def early_exit(net, x):
    y = net.a(x)
    return net.c(net.b(y)), y


def constants(net, x):
    y = net.a(x).sum(-1, keepdim=True)
    for i in range(8):
        x = net.b(x) * torch.full((4,), float(i))  # each may take the identity of a tensor that is gone
    return x + y


def part_written(net, x):
    y = net.a(x)
    y[:, :5].zero_()
    return net.b(y)


# The sizes of the linear layers, the input, and what is live during each step, worked out on paper.
LIVE = {
    "chain": (lambda net, x: net.c(net.b(net.a(x))), {"a": (4, 10), "b": (10, 3), "c": (3, 1)}, [14, 13, 4]),
    "activation in place": (lambda net, x: net.b(F.relu(net.a(x))), {"a": (4, 10), "b": (10, 3)}, [14, 10, 13]),
    "two in place": (lambda net, x: net.b(F.relu(net.a(x)) * 2), {"a": (4, 10), "b": (10, 3)}, [14, 10, 10, 13]),
    "skip": (skip, {"a": (8, 20), "b": (20, 8)}, [28, 36, 16]),
    "fork": (forked, {"a": (5, 10), "b": (5, 20)}, [15, 35, 60]),
    "unet": (unet, {"a": (4, 16), "b": (16, 6), "c": (6, 16), "d": (32, 1)}, [20, 22, 38, 64, 33]),
    "needed later": (activation_needed_later, {"a": (4, 10), "b": (10, 3)}, [14, 20, 23, 14, 4]),
    "returned": (activation_and_input_returned, {"a": (4, 10)}, [14, 20]),
    "early exit": (early_exit, {"a": (4, 10), "b": (10, 20), "c": (20, 5)}, [14, 30, 35]),
    "input returned": (lambda net, x: (net.b(net.a(x)), x), {"a": (4, 10), "b": (10, 3)}, [14, 17]),
    "unused result": (lambda net, x: (net.a(x), net.b(x))[1], {"a": (4, 10), "b": (4, 3)}, [14, 7]),
    "view": (lambda net, x: net.b(net.a(x)[:, :5].relu()), {"a": (4, 10), "b": (5, 3)}, [14, 15, 8]),
    "written over": (lambda net, x: net.b(net.a(x).relu_()), {"a": (4, 10), "b": (10, 3)}, [14, 10, 13]),
    "normalization": (lambda net, x: net.b(F.layer_norm(net.a(x), (10,))), {"a": (4, 10), "b": (10, 3)}, [14, 20, 13]),
    "softmax": (lambda net, x: net.a(x).softmax(-1), {"a": (4, 10)}, [14, 20]),
    "part written": (part_written, {"a": (4, 10), "b": (10, 3)}, [14, 10, 13]),
    "maximum": (lambda net, x: net.a(x).max(-1, keepdim=True).values, {"a": (4, 10)}, [14, 11]),
}


@pytest.mark.parametrize("name", LIVE)
def test_live_activations_are_those_worked_out_on_paper(name):
    run, sizes, expected = LIVE[name]
    net = Net(run, **sizes)
    found = profile(net, torch.zeros(1, sizes["a"][0]))
    assert [live for _, live in found.timeline()] == expected
    assert found.peak("live") == max(expected)
    assert found.peak_size("live") == 4 * max(expected)
    assert found.peak_size("live", bits=16) == 2 * max(expected)


def test_constants_of_a_model_never_count_as_tensors_that_are_gone():
    found = profile(Net(constants, a=(4, 50), b=(4, 4)), torch.zeros(1, 4))
    linear, rest = [live for name, live in found.timeline() if name == "b"], found.timeline()[2:]
    assert linear == [9] * 8  # the input and the output of b, and one kept number
    assert max(live for _, live in rest) <= 13


def test_a_second_input_lives_from_the_start_to_its_last_use():
    net = Net(lambda net, x, y: net.a(x) + y, a=(4, 10))
    assert [live for _, live in profile(net, torch.zeros(1, 4), torch.zeros(1, 10)).timeline()] == [24, 20]
    unused = Net(lambda net, x, y: net.a(x), a=(4, 10))
    assert profile(unused, torch.zeros(1, 4), torch.zeros(1, 10)).peak("live") == 14


@pytest.mark.parametrize(
    ("run", "elements", "size"),
    [
        (lambda net, x: net.a(x) > 0, [14, 20], 4 * 14),  # ten booleans, for which ten numbers are no place
        (lambda net, x: net.a(x).max(-1, keepdim=True), [14, 12], 4 * 14),  # the maximum and where it is
        (lambda net, x: torch.topk(net.a(x), 8), [14, 26], 4 * 10 + 12 * 8),
    ],
    ids=["comparison", "maximum", "eight largest"],
)
def test_booleans_and_indices_are_live_at_their_own_size(run, elements, size):
    found = profile(Net(run, a=(4, 10)), torch.zeros(1, 4))
    assert [live for _, live in found.timeline()] == elements
    assert found.peak_size("live") == size


def test_live_bytes_are_at_the_dtype_of_each_tensor():
    net = Net(lambda net, x: net.b(net.a(x.float()).half()), a=(4, 10))
    net.b = nn.Linear(10, 2, bias=False).half()
    found = profile(net, torch.zeros(1, 4, dtype=torch.float16))
    assert found.peak("live") == 20  # the copy in 16 bits is no place for the one in 32
    assert found.peak_size("live") == 10 * 4 + 10 * 2


@pytest.mark.parametrize("model", [nn.Identity(), nn.Flatten(), lambda x: x.t(), lambda x: None])
def test_a_model_that_does_nothing_has_its_input_in_memory(model):
    found = profile(model, torch.zeros(3, 4))
    assert (found.layers, found.activations, found.peak(), found.peak("live")) == ((), 12, 12, 12)
    assert found.peak_size("live") == 48


def test_the_live_peak_of_a_residual_network_is_above_that_of_its_layers():
    block = profile(on_meta(zoo.resnet.bottleneck, in_channels=256, width=64, stride=1).eval(), torch.zeros(1, 256, 56, 56))
    wide, narrow = 256 * 56 * 56, 64 * 56 * 56
    assert block.peak() == wide + narrow
    assert block.peak("live") == 2 * wide + narrow  # the shortcut, the last convolution's input and its output


def test_fused_attention_never_has_the_scores_in_memory():
    heads = [torch.zeros(1, 2, 50, 4)] * 3
    scores = counts.attention_scores(2, 50)
    fused, eager = (profile(lambda *x, e=e: zoo.layers.attend(*x, eager=e), *heads) for e in (False, True))
    assert fused.peak("live") < scores < eager.peak("live")


# Arithmetic intensity: the NVIDIA Deep Learning Performance Guide, "Math and Memory Bounds", table 1, at 16 bits.


@pytest.mark.parametrize(
    ("module", "shape", "flops_per_byte"),
    [
        (nn.Linear(4096, 1024), (512, 4096), 315),
        (nn.Linear(4096, 1024), (1, 4096), 1),
        (nn.MaxPool2d(3, stride=1, padding=1), (1, 64, 56, 56), 2.25),
        (nn.ReLU(), (1, 64, 56, 56), 0.25),
    ],
)
def test_the_arithmetic_intensity_of_layers_is_nvidia_s(module, shape, flops_per_byte):
    found = profile(module.to("meta").half(), torch.zeros(shape, dtype=torch.float16, device="meta"))
    (layer,) = found.layers
    assert layer.arithmetic_intensity == pytest.approx(flops_per_byte, rel=0.003)


def test_a_smaller_dtype_halves_the_bytes_and_changes_no_count():
    model, x = on_meta(zoo.resnet18).eval(), torch.zeros(1, 3, 224, 224, device="meta")
    single, half = profile(model, x), profile(model.half(), x.half())
    assert half.model_size() == single.model_size() // 2 == 2 * half.params
    assert 2 * half.bytes_moved == single.bytes_moved
    assert (half.macs, half.activations) == (single.macs, single.activations)
