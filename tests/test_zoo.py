"""Reference networks: their published sizes, what they compute, and their agreement with the closed forms and torch."""

import json
import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from effkit import counts, zoo
from effkit.zoo.layers import SelfAttention, TransformerBlock, attend
from effkit.zoo.llama import LlamaBlock, rotate, rotation


def on_meta(build, **options):
    """Return a network without memory for its weights, ready for inference."""
    with torch.device("meta"):
        return build(**options).eval()


def images(size, *, n=1, device="meta"):
    """Return a batch of square images."""
    return torch.rand(n, 3, size, size, device=device)


def tokens(t, *, n=1, vocab_size=50, device="meta"):
    """Return a batch of token sequences."""
    return torch.randint(vocab_size, (n, t), device=device)


def params(network):
    """Return the number of parameters, a tied one once."""
    return sum(p.numel() for p in network.parameters())


def macs(network, x):
    """Return the MACs of a forward pass by torch's own counter, which calls two FLOPs what we call one MAC."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return counter.get_total_flops() // 2


def layer_shapes(network, x, *kinds):
    """Return (input shape, output shape) of each call of a layer of the given kinds, in order."""
    shapes = []
    hooks = [
        layer.register_forward_hook(lambda _, inputs, output: shapes.append((inputs[0].shape, output.shape)))
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return shapes


@pytest.fixture(autouse=True)
def _same_numbers_each_time():
    torch.manual_seed(0)


# Sizes of all networks

# Image size or number of tokens, then parameters and MACs as others published or measured them, and the output's shape.
# VGG: MIT 6.5940 lab 0 prints 9.23 M and 606 M; its exact figures are the sums of its layers, done by hand.
PUBLISHED = {
    "alexnet": (224, 60_965_224, 724_406_816, (1, 1000)),
    "vgg_cifar": (32, 9_228_362, 605_754_368, (1, 10)),
    "resnet18": (224, 11_689_512, 1_814_073_344, (1, 1000)),
    "resnet50": (224, 25_557_032, 4_089_184_256, (1, 1000)),
    "mobilenet_v2": (224, 3_504_872, 300_774_272, (1, 1000)),
    "vit_b_16": (224, 86_567_656, 17_563_828_224, (1, 1000)),
    "gpt2": (128, 124_439_808, 16_114_089_984, (1, 128, 50257)),
}
# Arguments that make a network so small that a CPU computes it at once, and the size of its input.
TINY_DECODER = {"vocab_size": 50, "embed_dim": 16, "num_layers": 2, "num_heads": 4}
TINY = {
    "vgg_cifar": ({"widths": [(4, 8), (8,)]}, 32),
    "resnet18": ({"width": 4}, 64),
    "resnet50": ({"width": 4}, 64),
    "mobilenet_v2": ({"width_multiplier": 0.1}, 64),
    "vit_b_16": ({"image_size": 32, "embed_dim": 16, "num_layers": 2, "num_heads": 4}, 32),
    "gpt2": ({**TINY_DECODER, "context_length": 12}, 12),
    "llama3": ({**TINY_DECODER, "num_kv_heads": 2, "ffn_dim": 24}, 12),
}
TRANSFORMERS = ["vit_b_16", "gpt2", "llama3"]
DECODERS = ["gpt2", "llama3"]


def published(name):
    """Return a network with its published sizes, on meta."""
    return on_meta(getattr(zoo, name))


def tiny(name, **options):
    """Return a small network on the CPU and two inputs for it, the same at each call."""
    torch.manual_seed(0)
    arguments, size = TINY[name]
    network = getattr(zoo, name)(**{**arguments, **options}).eval()
    return network, tokens(size, n=2, device="cpu") if name in DECODERS else images(size, n=2, device="cpu")


def test_each_network_of_the_zoo_is_tested():
    assert {*PUBLISHED, "llama3"} == {*TINY, "alexnet"} == set(zoo.__all__)


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_network_has_its_published_size(name):
    size, expected_params, expected_macs, output_shape = PUBLISHED[name]
    network, x = published(name), tokens(size) if name in DECODERS else images(size)
    assert params(network) == expected_params
    assert macs(network, x) == expected_macs
    assert network(x).shape == output_shape


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_network_on_meta_takes_no_memory(name):
    network = published(name)
    assert all(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))


# Elements that convolutions and linear layers write, as fvcore 0.1.5 counts them.
@pytest.mark.parametrize(
    ("name", "expected"),
    [("alexnet", 659_272), ("resnet18", 2_484_712), ("resnet50", 11_114_984), ("mobilenet_v2", 6_679_112)],
)
def test_the_activations_of_convolutions_and_linear_layers_are_those_of_fvcore(name, expected):
    shapes = layer_shapes(published(name), images(224), nn.Conv2d, nn.Linear)
    assert sum(after.numel() for _, after in shapes) == expected


# MobileNetV2: the 1470 KiB of int8 that it takes when a depthwise layer does not work in place.
@pytest.mark.parametrize(("name", "expected"), [("alexnet", 440_928), ("resnet50", 1_204_224), ("mobilenet_v2", 1_505_280)])
def test_the_peak_activations_are_the_published_ones(name, expected):
    shapes = layer_shapes(published(name), images(224), nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AdaptiveAvgPool2d)
    assert max(before.numel() + after.numel() for before, after in shapes) == expected


@pytest.mark.parametrize("name", TINY)
def test_a_small_network_gives_finite_numbers_and_gradients(name):
    network, x = tiny(name)
    output = network.train()(x)
    output.square().mean().backward()
    assert output.isfinite().all()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", TINY)
def test_each_item_of_a_batch_is_computed_by_itself(name):
    network, x = tiny(name)
    torch.testing.assert_close(network(x)[1:], network(x[1:]))


@pytest.mark.parametrize("name", [name for name in TINY if name not in DECODERS])
def test_num_classes_changes_the_last_layer_alone(name):
    def shapes(num_classes):
        network = on_meta(getattr(zoo, name), num_classes=num_classes, **TINY[name][0])
        return [tuple(p.shape) for p in network.parameters()]

    ten, seven = shapes(10), shapes(7)
    assert ten[:-2] == seven[:-2]
    assert (ten[-1], seven[-1]) == ((10,), (7,))


# Llama 3 70B

# In a process of its own, so that what other tests allocated hides nothing. VmHWM is the peak of this process alone.
BUILD_LLAMA = r"""
import json, re, sys
from pathlib import Path
import torch
from torch.utils.flop_counter import FlopCounterMode
from effkit import zoo

def peak_mib():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

with torch.device("meta"):
    zoo.llama3(num_layers=1)  # torch loads what it needs for the meta device, once and for all networks
linux = sys.platform == "linux"
before = peak_mib() if linux else None
with torch.device("meta"):
    network = zoo.llama3().eval()
    x = torch.zeros(1, 128, dtype=torch.long)
built = peak_mib() if linux else None
with FlopCounterMode(display=False) as counter, torch.no_grad():
    output = network(x)
print(json.dumps({
    "params": sum(p.numel() for p in network.parameters()),
    "macs": counter.get_total_flops() // 2,
    "shape": list(output.shape),
    "tied": network.head.weight is network.embedding.weight,
    "extra_mib": built - before if linux else None,
}))
"""


@pytest.fixture(scope="module")
def llama_70b():
    """What Llama 3 70B is, and what building it took."""
    run = subprocess.run([sys.executable, "-c", BUILD_LLAMA], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_llama_70b_has_its_published_size(llama_70b):
    assert llama_70b["params"] == 70_553_706_496
    assert llama_70b["macs"] == 8_917_694_283_776
    assert llama_70b["shape"] == [1, 128, 128256]


def test_llama_70b_on_meta_takes_megabytes(llama_70b):
    if llama_70b["extra_mib"] is None:
        pytest.skip("the peak memory of a process is read the Linux way")
    assert llama_70b["extra_mib"] < 10


def test_the_output_layer_of_llama_is_not_tied(llama_70b):
    assert llama_70b["tied"] is False


# AlexNet

ALEXNET_PARAMS = {
    "conv1": 34_848,
    "conv2": 307_200,
    "conv3": 884_736,
    "conv4": 663_552,
    "conv5": 442_368,
    "fc6": 37_748_736,
    "fc7": 16_777_216,
    "fc8": 4_096_000,
}


def alexnet_on_meta(**options):
    """Return AlexNet without memory for its weights."""
    return on_meta(zoo.alexnet, **options)


def params_by_layer(network):
    """Return the number of parameters of each layer that has some."""
    counted = {name: sum(p.numel() for p in layer.parameters()) for name, layer in network.named_children()}
    return {name: params for name, params in counted.items() if params}


@pytest.mark.parametrize(("bias", "expected"), [(False, 60_954_656), (True, 60_965_224)])
def test_alexnet_has_the_published_number_of_parameters(bias, expected):
    network = alexnet_on_meta(bias=bias)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_alexnet_has_biases_unless_told_otherwise():
    assert params_by_layer(alexnet_on_meta()) == params_by_layer(alexnet_on_meta(bias=True))


def test_each_layer_of_alexnet_has_its_published_number_of_parameters():
    assert params_by_layer(alexnet_on_meta(bias=False)) == ALEXNET_PARAMS


@pytest.mark.parametrize("bias", [False, True])
def test_the_closed_forms_agree_with_each_layer_of_alexnet(bias):
    expected = {
        "conv1": counts.conv_params(3, 96, 11, bias=bias),
        "conv2": counts.conv_params(96, 256, 5, groups=2, bias=bias),
        "conv3": counts.conv_params(256, 384, 3, bias=bias),
        "conv4": counts.conv_params(384, 384, 3, groups=2, bias=bias),
        "conv5": counts.conv_params(384, 256, 3, groups=2, bias=bias),
        "fc6": counts.linear_params(256 * 6 * 6, 4096, bias=bias),
        "fc7": counts.linear_params(4096, 4096, bias=bias),
        "fc8": counts.linear_params(4096, 1000, bias=bias),
    }
    assert params_by_layer(alexnet_on_meta(bias=bias)) == expected


def test_the_feature_maps_of_alexnet_have_their_published_shapes():
    x = torch.empty(2, 3, 224, 224, device="meta")
    shapes = {}
    for name, layer in alexnet_on_meta().named_children():
        x = layer(x)
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.Flatten, nn.Linear)):
            shapes[name] = tuple(x.shape)
    assert shapes == {
        "conv1": (2, 96, 55, 55),
        "pool1": (2, 96, 27, 27),
        "conv2": (2, 256, 27, 27),
        "pool2": (2, 256, 13, 13),
        "conv3": (2, 384, 13, 13),
        "conv4": (2, 384, 13, 13),
        "conv5": (2, 256, 13, 13),
        "pool5": (2, 256, 6, 6),
        "flatten": (2, 9216),
        "fc6": (2, 4096),
        "fc7": (2, 4096),
        "fc8": (2, 1000),
    }


def test_num_classes_changes_the_last_layer_of_alexnet_alone():
    changed = params_by_layer(alexnet_on_meta(num_classes=10, bias=False))
    assert changed == {**ALEXNET_PARAMS, "fc8": 40_960}
    assert alexnet_on_meta(num_classes=10)(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 10)


# Other convolutional networks


def test_the_vgg_is_the_network_of_the_lab():
    shapes = layer_shapes(published("vgg_cifar"), images(32), nn.Conv2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d)
    assert [tuple(output[1:]) for _, output in shapes] == [
        *[(64, 32, 32), (128, 32, 32), (128, 16, 16)],
        *[(256, 16, 16), (256, 16, 16), (256, 8, 8)],
        *[(512, 8, 8), (512, 8, 8), (512, 4, 4)],
        *[(512, 4, 4), (512, 4, 4), (512, 2, 2)],
        (512, 1, 1),
    ]


# 97 is odd all the way down, so that each padding matters.
MAP_SIZES = {
    "resnet18": {224: [112, 56, 56, 28, 14, 7], 97: [49, 25, 25, 13, 7, 4]},
    "resnet50": {224: [112, 56, 56, 28, 14, 7], 97: [49, 25, 25, 13, 7, 4]},
    "mobilenet_v2": {224: [112, 112, 56, 28, 14, 14, 7, 7, 7], 97: [49, 49, 25, 13, 7, 7, 4, 4, 4]},
}
MAP_CHANNELS = {
    "resnet18": [64, 64, 64, 128, 256, 512],
    "resnet50": [64, 64, 256, 512, 1024, 2048],
    "mobilenet_v2": [32, 16, 24, 32, 64, 96, 160, 320, 1280],
}


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, by_size in MAP_SIZES.items() for size in by_size])
def test_each_stage_gives_the_published_map(name, size):
    x, shapes = images(size), []
    for layer_name, layer in published(name).named_children():
        if layer_name == "avgpool":
            break
        x = layer(x)
        shapes.append(tuple(x.shape))
    assert shapes == [(1, c, s, s) for c, s in zip(MAP_CHANNELS[name], MAP_SIZES[name][size], strict=True)]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnet_halves_the_map_in_a_3x3_convolution_and_in_its_shortcut(name):
    network = published(name)
    for stage in (network.stage2, network.stage3, network.stage4):
        strided = {
            (path.split(".")[1], layer.kernel_size, layer.stride)
            for path, layer in stage.named_modules()
            if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1)
        }
        assert strided == {("branch", (3, 3), (2, 2)), ("shortcut", (1, 1), (2, 2))}


def test_a_residual_block_adds_its_input():
    block = tiny("resnet18")[0].stage1[0]
    nn.init.zeros_(block.branch[-1].bn.weight)  # now the branch gives zero
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(x), x.relu())


def test_an_inverted_residual_adds_its_input_where_shapes_allow():
    blocks = [block for stage in range(1, 8) for block in getattr(published("mobilenet_v2"), f"stage{stage}")]
    assert [block.adds_input for block in blocks] == [bool(int(digit)) for digit in "00101101110110110"]
    block = tiny("mobilenet_v2")[0].stage2[1]
    nn.init.zeros_(block.branch[-1].bn.weight)
    x = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(block(x), x)


# Million MACs and million weights and biases, batch normalization left out: the table that Keras and TF-Slim publish with
# the authors' checkpoints (https://www.tensorflow.org/versions/r2.4/api_docs/python/tf/keras/applications/mobilenet_v2).
@pytest.mark.parametrize(
    ("width_multiplier", "size", "million_macs", "million_params"),
    [
        (1.4, 224, 582, 6.06),
        (1.0, 96, 56, 3.47),
        (0.75, 224, 209, 2.61),
        (0.35, 224, 59, 1.66),
    ],
)
def test_mobilenet_v2_has_the_published_sizes_at_other_widths(width_multiplier, size, million_macs, million_params):
    network = on_meta(zoo.mobilenet_v2, width_multiplier=width_multiplier)
    norms = sum(params(layer) for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    assert macs(network, images(size)) // 10**6 == million_macs
    assert round((params(network) - norms) / 1e6, 2) == million_params


# Transformers

# ViT: torchvision's documentation. GPT-2 and Llama: the sizes of the published checkpoints.
OTHER_SIZES = [
    ("vit_b_16", {"embed_dim": 1024, "num_layers": 24, "num_heads": 16}, 304_326_632),
    ("vit_b_16", {"embed_dim": 1024, "num_layers": 24, "num_heads": 16, "patch_size": 32}, 306_535_400),
    ("gpt2", {"embed_dim": 1024, "num_layers": 24, "num_heads": 16}, 354_823_168),
    ("gpt2", {"embed_dim": 1600, "num_layers": 48, "num_heads": 25}, 1_557_611_200),
    ("llama3", {"embed_dim": 4096, "num_layers": 32, "num_heads": 32, "ffn_dim": 14336}, 8_030_261_248),
    (
        "llama3",
        {"vocab_size": 32000, "embed_dim": 4096, "num_layers": 32, "num_heads": 32, "num_kv_heads": 32, "ffn_dim": 11008},
        6_738_415_616,
    ),
]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    OTHER_SIZES,
    ids=["vit_l_16", "vit_l_32", "gpt2-medium", "gpt2-xl", "llama3-8b", "llama2-7b"],
)
def test_a_transformer_s_arguments_give_its_published_siblings(name, options, expected):
    assert params(on_meta(getattr(zoo, name), **options)) == expected


def test_the_output_layer_of_gpt2_is_its_token_embedding():
    network, x = tiny("gpt2")
    assert network.head.weight is network.embedding.tokens.weight
    network(x).sum().backward()
    with torch.no_grad():
        network.embedding.tokens.weight -= network.head.weight.grad
    assert network.head.weight is network.embedding.tokens.weight


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("eager", [False, True])
def test_a_later_token_does_not_change_earlier_logits(name, eager):
    network, x = tiny(name, eager=eager)
    for position in (3, 11):
        changed = x.clone()
        changed[:, position] = (changed[:, position] + 1) % 50
        before, after = network(x), network(changed)
        torch.testing.assert_close(after[:, :position], before[:, :position])
        assert (after[:, position:] - before[:, position:]).abs().amax(dim=-1).min() > 1e-5


def test_each_patch_of_an_image_changes_the_logits():
    network, x = tiny("vit_b_16")
    for row in (0, 16):
        for column in (0, 16):
            changed = x.clone()
            changed[:, :, row : row + 16, column : column + 16] += 1
            assert (network(changed) - network(x)).abs().max() > 1e-5


def test_vit_classifies_by_its_class_token():
    network, x = tiny("vit_b_16")
    network.blocks = nn.Identity()  # now no token sees another, and the class token is the same for all images
    torch.testing.assert_close(network(x)[0], network(x)[1])


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_order_of_tokens_matters(name):
    # One block: a second one could tell the order from the causal mask alone.
    network, x = tiny(name, num_layers=1)
    exchanged = x[:, [1, 0, *range(2, 12)]] if name in DECODERS else x.roll(16, dims=-1)
    before, after = network(x), network(exchanged)
    if name in DECODERS:
        before, after = before[:, -1], after[:, -1]
    assert (after - before).abs().amax(dim=-1).min() > 1e-5


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_eager_attention_gives_the_numbers_and_the_macs_of_the_fused_one(name):
    (fused, x), (eager, _) = tiny(name), tiny(name, eager=True)
    torch.testing.assert_close(eager(x), fused(x))
    assert macs(eager.to("meta"), x.to("meta")) == macs(fused.to("meta"), x.to("meta"))


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_run_in_bfloat16(name):
    network, x = tiny(name)
    exact = network(x)
    network = network.to(torch.bfloat16)
    output = network(x if name in DECODERS else x.to(torch.bfloat16))
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), exact, atol=0.05, rtol=0.05)


def test_gpt2_without_training_is_as_unsure_as_a_guess():
    network, x = tiny("gpt2")
    loss = nn.functional.cross_entropy(network(x).flatten(0, 1), x.roll(-1, dims=1).flatten())
    assert loss.item() == pytest.approx(math.log(50), abs=0.1)


def test_eager_attention_is_the_formula():
    q, k, v = torch.randn(3, 1, 1, 5, 4, dtype=torch.float64)
    expected = torch.zeros(5, 4, dtype=torch.float64)
    for query in range(5):
        weights = [math.exp(float(q[0, 0, query] @ k[0, 0, key]) / 2) for key in range(query + 1)]
        expected[query] = sum(w * v[0, 0, key] for key, w in enumerate(weights)) / sum(weights)
    torch.testing.assert_close(attend(q, k, v, causal=True, eager=True)[0, 0], expected)


@pytest.mark.parametrize("eager", [False, True])
def test_query_heads_share_key_and_value_heads_in_groups_of_neighbours(eager):
    q, k, v = torch.randn(2, 6, 5, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    together = attend(q, k, v, causal=True, eager=eager)
    for head in range(6):
        group = slice(head // 3, head // 3 + 1)
        alone = attend(q[:, head : head + 1], k[:, group], v[:, group], causal=True, eager=eager)
        torch.testing.assert_close(together[:, head : head + 1], alone)


def test_self_attention_is_that_of_torch():
    ours, torchs = SelfAttention(16, 4, causal=False, eager=False), nn.MultiheadAttention(16, 4, batch_first=True)
    weights = [ours.qkv.weight, ours.qkv.bias, ours.projection.weight, ours.projection.bias]
    torchs.load_state_dict(
        dict(zip(["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"], weights, strict=True))
    )
    x = torch.randn(2, 6, 16)
    torch.testing.assert_close(ours(x), torchs(x, x, x)[0])


def test_the_transformer_block_is_torch_s_layer_with_normalization_first():
    ours = TransformerBlock(16, 4)
    torchs = nn.TransformerEncoderLayer(
        16, 4, 64, dropout=0.0, activation=nn.GELU(approximate="tanh"), batch_first=True, norm_first=True
    )
    for theirs, mine in [
        (torchs.norm1, ours.norm1),
        (torchs.norm2, ours.norm2),
        (torchs.linear1, ours.mlp[0]),
        (torchs.linear2, ours.mlp[2]),
        (torchs.self_attn.out_proj, ours.attention.projection),
    ]:
        theirs.load_state_dict(mine.state_dict())
    torchs.self_attn.in_proj_weight.data = ours.attention.qkv.weight.data
    torchs.self_attn.in_proj_bias.data = ours.attention.qkv.bias.data
    x = torch.randn(2, 6, 16)
    torch.testing.assert_close(ours(x), torchs(x))


def test_rotation_is_a_multiplication_of_complex_numbers():
    x = torch.randn(2, 3, 7, 8, dtype=torch.float64)
    angles = torch.tensor([[m * 100.0 ** (-2 * i / 8) for i in range(4)] for m in range(7)], dtype=torch.float64)
    expected = torch.view_as_complex(x.unflatten(-1, (4, 2))) * torch.polar(torch.ones_like(angles), angles)
    actual = rotate(x, rotation(7, 8, 100.0, like=x))
    torch.testing.assert_close(actual, torch.view_as_real(expected).flatten(-2), atol=1e-6, rtol=1e-5)


def test_rotated_scores_depend_on_the_distance_alone():
    query, key = torch.randn(2, 8, dtype=torch.float64)
    turns = rotation(20, 8, 10_000.0, like=query)
    q = rotate(query.expand(1, 1, 20, 8), turns)
    k = rotate(key.expand(1, 1, 20, 8), turns)
    scores = (q @ k.transpose(-2, -1))[0, 0]  # (20, 20)
    for distance in range(-19, 20):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0)
    assert scores[0].std() > 0.1  # and on the distance they do depend


def test_rotation_tells_neighbouring_positions_apart_in_bfloat16():
    turns = rotation(1002, 8, 500_000.0, like=torch.zeros(1, dtype=torch.bfloat16))
    assert turns.dtype == torch.bfloat16
    expected = torch.tensor([math.cos(1000), math.cos(1001)])
    torch.testing.assert_close(turns[0, 1000:, 0].float(), expected, atol=0.005, rtol=0)


def test_llama_has_neither_biases_nor_means_in_its_normalization():
    network, _ = tiny("llama3")
    assert not any(name.endswith("bias") for name, _ in network.named_parameters())
    block = network.blocks[0]
    assert isinstance(block, LlamaBlock)
    x = torch.randn(2, 3, 16)
    torch.testing.assert_close(block.norm1(x), x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt())


def test_the_perceptron_of_llama_is_swiglu():
    mlp = tiny("llama3")[0].blocks[0].mlp
    x = torch.randn(3, 16)
    gate, up, down = (layer.weight for layer in (mlp.gate, mlp.up, mlp.down))
    expected = ((x @ gate.T) * torch.sigmoid(x @ gate.T) * (x @ up.T)) @ down.T
    torch.testing.assert_close(mlp(x), expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit_b_16", {"num_heads": 7}, "num_heads must divide embed_dim: 7 does not divide 768"),
        ("vit_b_16", {"image_size": 230}, "patch_size must divide image_size: 16 does not divide 230"),
        ("gpt2", {"num_heads": 7}, "num_heads must divide embed_dim: 7 does not divide 768"),
        ("llama3", {"num_kv_heads": 7}, "num_kv_heads must divide num_heads: 7 does not divide 64"),
        ("llama3", {"embed_dim": 192}, r"2 \* num_heads must divide embed_dim: 128 does not divide 192"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        on_meta(getattr(zoo, name), **options)


def test_gpt2_refuses_more_tokens_than_it_has_positions_for():
    with pytest.raises(ValueError, match="a sequence of 1025 tokens is longer than context_length, 1024"):
        on_meta(zoo.gpt2)(tokens(1025))
