"""Lab 2: counting parameters and model size.

Every case is plain JSON, in the order of the task's arguments. The references are effkit's closed forms.
"""

from math import prod
from random import Random
from typing import Any

from effkit import counts
from effkit.grading.task import Case, Group, Misconception, Task

# -- linear -------------------------------------------------------------------------------------------------------------


def _linear(in_features: int, out_features: int, bias: bool) -> int:
    return counts.linear_params(in_features, out_features, bias=bias)


LINEAR = Task(
    "linear_params",
    ("in_features", "out_features", "bias"),
    _linear,
    (
        Group("without a bias", 1, ((4, 3, False),), lambda r: (r.randint(2, 999), r.randint(2, 999), False)),
        Group("with a bias", 1, ((4, 3, True), (7, 1, True)), lambda r: (r.randint(2, 999), r.randint(2, 999), True)),
    ),
    (
        Misconception("bias forgotten", lambda i, o, b: i * o, "With bias=True each output has one more parameter."),
        Misconception(
            "bias always added", lambda i, o, b: i * o + o, "With bias=False there is no bias: only the weight counts."
        ),
        Misconception(
            "one bias for each input",
            lambda i, o, b: i * o + i * b,
            "The bias is added to the output y, so it has as many entries as the layer has outputs.",
        ),
        Misconception("bias doubled", lambda i, o, b: i * o + 2 * o * b, "Each output has one bias, counted once."),
        Misconception(
            "sizes added",
            lambda i, o, b: i + o + o * b,
            "Every output is connected to every input: the weight is a matrix of out_features rows and in_features columns.",
        ),
    ),
)

# -- convolution --------------------------------------------------------------------------------------------------------


def _conv(in_channels: int, out_channels: int, kernel_size: list[int], bias: bool) -> int:
    return counts.conv_params(in_channels, out_channels, tuple(kernel_size), bias=bias)


def _random_conv(dimensions: int, bias: bool) -> Any:
    def sample(r: Random) -> Case:
        return r.randint(2, 256), r.randint(2, 256), [r.randint(2, 11) for _ in range(dimensions)], bias

    return sample


CONV = Task(
    "conv_params",
    ("in_channels", "out_channels", "kernel_size", "bias"),
    _conv,
    (
        Group("1-D convolution", 1, ((6, 8, [3], False),), _random_conv(1, False)),
        Group("2-D convolution", 1, ((3, 8, [5, 5], False), (3, 8, [1, 7], False)), _random_conv(2, False)),
        Group("with a bias", 1, ((3, 8, [5, 5], True), (6, 8, [3], True)), _random_conv(2, True)),
    ),
    (
        Misconception(
            "bias forgotten",
            lambda i, o, k, b: i * o * prod(k),
            "With bias=True each output channel has one more parameter.",
        ),
        Misconception(
            "bias always added",
            lambda i, o, k, b: i * o * prod(k) + o,
            "With bias=False there is no bias: only the weight counts.",
        ),
        Misconception(
            "kernel side counted once",
            lambda i, o, k, b: i * o * k[0] + o * b,
            "A filter covers kernel height x kernel width positions: multiply all sides of kernel_size.",
        ),
        Misconception(
            "kernel taken as square",
            lambda i, o, k, b: i * o * k[0] ** len(k) + o * b,
            "A kernel need not be square: multiply its own sides, not the first one by itself.",
        ),
        Misconception(
            "output channels forgotten",
            lambda i, o, k, b: i * prod(k) + o * b,
            "That is one filter. There is one for each output channel.",
        ),
        Misconception(
            "input channels forgotten",
            lambda i, o, k, b: o * prod(k) + o * b,
            "Each filter reaches through all input channels: one filter has in_channels x kernel weights.",
        ),
        Misconception(
            "one bias for each input channel",
            lambda i, o, k, b: i * o * prod(k) + i * b,
            "The bias is added to the output, so there is one for each output channel.",
        ),
        Misconception(
            "bias inside the kernel",
            lambda i, o, k, b: o * (i * prod(k) + prod(k) * b),
            "The bias is one number for each output channel, not one for each kernel position.",
        ),
    ),
)

# -- grouped convolution ------------------------------------------------------------------------------------------------


def _grouped(in_channels: int, out_channels: int, kernel_size: list[int], groups: int, bias: bool) -> int:
    return counts.conv_params(in_channels, out_channels, tuple(kernel_size), groups=groups, bias=bias)


def _random_grouped(groups: tuple[int, ...], bias: bool) -> Any:
    def sample(r: Random) -> Case:
        g = r.choice(groups)
        return g * r.randint(2, 40), g * r.randint(2, 40), [r.randint(2, 7), r.randint(2, 7)], g, bias

    return sample


GROUPED = Task(
    "grouped_conv_params",
    ("in_channels", "out_channels", "kernel_size", "groups", "bias"),
    _grouped,
    (
        Group("one group", 1, ((4, 6, [3, 3], 1, True),), _random_grouped((1,), False), 2),
        Group("several groups", 1, ((4, 2, [2, 2], 2, False),), _random_grouped((2, 3, 4, 8), False)),
        Group("several groups, with a bias", 1, ((4, 2, [2, 2], 2, True),), _random_grouped((2, 3, 4, 8), True)),
    ),
    (
        Misconception(
            "groups ignored",
            lambda i, o, k, g, b: i * o * prod(k) + o * b,
            "Each output channel sees only in_channels / groups input channels.",
        ),
        Misconception(
            "groups multiplied",
            lambda i, o, k, g, b: g * i * o * prod(k) + o * b,
            "Groups cut connections: a grouped convolution has fewer weights, not more.",
        ),
        Misconception(
            "divided by groups twice",
            lambda i, o, k, g, b: (i // g) * (o // g) * prod(k) + o * b,
            "That is one group. There are `groups` of them, each with in_channels / groups inputs and out_channels / groups"
            " outputs.",
        ),
        Misconception(
            "bias divided by groups",
            lambda i, o, k, g, b: i * o * prod(k) // g + (o // g) * b,
            "Every output channel has its own bias, whatever the number of groups.",
        ),
        Misconception(
            "one bias set for each group",
            lambda i, o, k, g, b: i * o * prod(k) // g + o * g * b,
            "The groups share out the output channels: there are out_channels biases in all.",
        ),
        Misconception(
            "bias forgotten",
            lambda i, o, k, g, b: i * o * prod(k) // g,
            "With bias=True each output channel has one more parameter.",
        ),
    ),
)

# -- depthwise separable ------------------------------------------------------------------------------------------------


def _depthwise_separable(in_channels: int, out_channels: int, kernel_size: int, bias: bool) -> int:
    depthwise = counts.conv_params(in_channels, in_channels, kernel_size, groups=in_channels, bias=bias)
    return depthwise + counts.conv_params(in_channels, out_channels, 1, bias=bias)


DEPTHWISE = Task(
    "depthwise_separable_params",
    ("in_channels", "out_channels", "kernel_size", "bias"),
    _depthwise_separable,
    (
        Group(
            "without biases",
            1,
            ((8, 16, 3, False),),
            lambda r: (r.randint(2, 256), r.randint(2, 256), r.choice((3, 5, 7)), False),
        ),
        Group(
            "with biases",
            1,
            ((8, 16, 3, True),),
            lambda r: (r.randint(2, 256), r.randint(2, 256), r.choice((3, 5, 7)), True),
        ),
    ),
    (
        Misconception(
            "an ordinary convolution",
            lambda i, o, k, b: i * o * k * k + o * b,
            "Depthwise separable is two layers: a depthwise k x k convolution, then a 1 x 1 convolution.",
        ),
        Misconception(
            "pointwise layer forgotten",
            lambda i, o, k, b: i * k * k + i * b,
            "After the depthwise layer comes a 1 x 1 convolution from in_channels to out_channels.",
        ),
        Misconception(
            "depthwise layer not grouped",
            lambda i, o, k, b: i * i * k * k + i * b + i * o + o * b,
            "In the depthwise layer groups = in_channels: each filter sees one channel only.",
        ),
        Misconception(
            "depthwise filters for the output channels",
            lambda i, o, k, b: o * k * k + o * b + i * o + o * b,
            "The depthwise layer keeps the number of channels: it has in_channels filters.",
        ),
        Misconception(
            "biases forgotten",
            lambda i, o, k, b: i * k * k + i * o,
            "With bias=True both layers have a bias: one for each of their output channels.",
        ),
        Misconception(
            "bias of one layer only",
            lambda i, o, k, b: i * k * k + i * o + o * b,
            "Both layers have a bias: the depthwise one has in_channels, the pointwise one out_channels.",
        ),
    ),
)

# -- normalization ------------------------------------------------------------------------------------------------------


def _norm(num_features: int, bias: bool) -> int:
    return counts.norm_params(num_features, bias=bias)


NORM = Task(
    "norm_params",
    ("num_features", "bias"),
    _norm,
    (
        Group("scale and shift", 1, ((10, True),), lambda r: (r.randint(2, 4096), True)),
        Group("scale only", 1, ((10, False),), lambda r: (r.randint(2, 4096), False)),
    ),
    (
        Misconception(
            "running statistics counted",
            lambda c, b: (4 if b else 3) * c,
            "Running mean and variance are buffers: they are measured, not learned, so they are not parameters.",
        ),
        Misconception(
            "running statistics counted, whatever the bias",
            lambda c, b: 4 * c,
            "Running mean and variance are buffers: they are measured, not learned, so they are not parameters.",
        ),
        Misconception("shift forgotten", lambda c, b: c, "With bias=True each feature has a scale and a shift."),
        Misconception("shift always counted", lambda c, b: 2 * c, "With bias=False there is a scale only, as in RMSNorm."),
        Misconception("no parameters", lambda c, b: 0, "An affine normalization learns a scale for each feature."),
        Misconception(
            "one shift for the whole layer", lambda c, b: c + b, "The shift has one entry for each feature, like the scale."
        ),
    ),
)

# -- attention ----------------------------------------------------------------------------------------------------------


def _attention(embed_dim: int, num_heads: int, num_kv_heads: int, bias: bool) -> int:
    return counts.attention_params(embed_dim, num_heads, num_kv_heads=num_kv_heads, bias=bias)


def _random_attention(grouped: bool, bias: bool) -> Any:
    def sample(r: Random) -> Case:
        heads = r.choice((4, 6, 8, 12))
        kv_heads = r.choice([h for h in range(1, heads) if heads % h == 0]) if grouped else heads
        return heads * r.randint(8, 64), heads, kv_heads, bias

    return sample


def _attention_weights(d: int, kv_dim: int) -> int:
    return 2 * d * d + 2 * d * kv_dim


ATTENTION = Task(
    "attention_params",
    ("embed_dim", "num_heads", "num_kv_heads", "bias"),
    _attention,
    (
        Group("multi-head attention", 1, ((16, 4, 4, False),), _random_attention(False, False)),
        Group("with biases", 1, ((16, 4, 4, True),), _random_attention(False, True)),
        Group("grouped-query attention", 1, ((16, 4, 1, False), (16, 4, 2, True)), _random_attention(True, True)),
    ),
    (
        Misconception(
            "output projection forgotten",
            lambda d, h, kv, b: d * d + 2 * d * (d // h * kv) + (d + 2 * (d // h * kv)) * b,
            "After the heads are joined there is a fourth matrix, from embed_dim to embed_dim.",
        ),
        Misconception(
            "only query, key and value",
            lambda d, h, kv, b: 3 * d * d + 3 * d * b,
            "After the heads are joined there is a fourth matrix; and key and value have only num_kv_heads heads each.",
        ),
        Misconception(
            "only three weights",
            lambda d, h, kv, b: 3 * d * d,
            "There are four projections (query, key, value, output), and with bias=True each has a bias.",
        ),
        Misconception(
            "four equal weights",
            lambda d, h, kv, b: 4 * d * d,
            "Key and value have only num_kv_heads heads of size embed_dim / num_heads; with bias=True each projection has"
            " one.",
        ),
        Misconception(
            "multiplied by the number of heads",
            lambda d, h, kv, b: h * (_attention_weights(d, d // h * kv) + (2 * d + 2 * (d // h * kv)) * b),
            "The heads share out embed_dim: each has size embed_dim / num_heads, so their number does not change the total.",
        ),
        Misconception(
            "divided among the heads",
            lambda d, h, kv, b: 4 * d * (d // h) + 4 * (d // h) * b,
            "That is one head's share: there are num_heads query heads, and their sizes add up to embed_dim.",
        ),
        Misconception(
            "key and value heads ignored",
            lambda d, h, kv, b: 4 * d * d + 4 * d * b,
            "Key and value have only num_kv_heads heads of size embed_dim / num_heads each.",
        ),
        Misconception(
            "biases forgotten",
            lambda d, h, kv, b: _attention_weights(d, d // h * kv),
            "With bias=True each of the four projections has one, as long as its output.",
        ),
        Misconception(
            "key and value biases of full length",
            lambda d, h, kv, b: _attention_weights(d, d // h * kv) + 4 * d * b,
            "A bias is as long as its projection's output: for key and value num_kv_heads x head size.",
        ),
    ),
)

# -- AlexNet ------------------------------------------------------------------------------------------------------------

# (in_channels, out_channels, kernel_size, groups) of the convolutions at width 1. At another width every channel count but
# the image's three is a multiple, and so are the 4096 features between the fully connected layers: random widths make the
# table worth computing rather than copying.
ALEXNET_CONVS = {
    "conv1": (3, 96, 11, 1),
    "conv2": (96, 256, 5, 2),
    "conv3": (256, 384, 3, 1),
    "conv4": (384, 384, 3, 2),
    "conv5": (384, 256, 3, 2),
}
ALEXNET_LINEARS = ("fc6", "fc7", "fc8")


def _alexnet_table(
    num_classes: int,
    width: int,
    bias: bool,
    *,
    grouped: bool = True,
    shrunk: int = 1,
    map_size: int = 36,
    image_channels: int = 3,
    flattened: int | None = None,
) -> dict[str, int]:
    """Return the table, right by default; each option makes one mistake that a student makes."""
    table = {}
    for name, (c_in, c_out, kernel_size, groups) in ALEXNET_CONVS.items():
        c_in, c_out = image_channels if name == "conv1" else c_in * width, c_out * width
        groups = groups if grouped else 1
        weights = counts.conv_params(c_in, c_out, kernel_size, groups=groups, bias=False)
        table[name] = weights // (shrunk if groups > 1 else 1) + c_out * bias
    features = [flattened or 256 * width * map_size, 4096 * width, 4096 * width, num_classes]
    for name, f_in, f_out in zip(ALEXNET_LINEARS, features[:-1], features[1:], strict=True):
        table[name] = counts.linear_params(f_in, f_out, bias=bias)
    return table


def _alexnet(num_classes: int, width: int, bias: bool) -> dict[str, int]:
    return _alexnet_table(num_classes, width, bias)


def _random_alexnet(bias: bool) -> Any:
    def sample(r: Random) -> Case:
        return r.randint(2, 2000), r.randint(2, 9), bias

    return sample


ALEXNET = Task(
    "alexnet_table",
    ("num_classes", "width", "bias"),
    _alexnet,
    (
        Group("convolutions", 2, ((1000, 1, False),), _random_alexnet(False), 2, entries=tuple(ALEXNET_CONVS)),
        Group("fully connected layers", 1, ((1000, 1, False),), _random_alexnet(False), 2, entries=ALEXNET_LINEARS),
        Group("with biases", 1, ((1000, 1, True),), _random_alexnet(True), 2),
    ),
    (
        Misconception(
            "groups ignored",
            lambda n, w, b: _alexnet_table(n, w, b, grouped=False),
            "conv2, conv4 and conv5 have two groups: each of their filters sees half of the input channels.",
        ),
        Misconception(
            "divided by groups twice",
            lambda n, w, b: _alexnet_table(n, w, b, shrunk=2),
            "conv2, conv4 and conv5 have two groups of (in / 2) x (out / 2) channels: count both groups.",
        ),
        Misconception(
            "flattened map forgotten",
            lambda n, w, b: _alexnet_table(n, w, b, map_size=1),
            "fc6 sees every position of the last map: 256 x 6 x 6 inputs at width 1, not 256.",
        ),
        Misconception(
            "last pooling forgotten",
            lambda n, w, b: _alexnet_table(n, w, b, map_size=13 * 13),
            "The last pooling layer makes the map 6 x 6 before it is flattened, not 13 x 13.",
        ),
        Misconception(
            "1000 classes fixed",
            lambda n, w, b: _alexnet(1000, w, b),
            "The last layer has num_classes outputs: use the argument.",
        ),
        Misconception(
            "width ignored",
            lambda n, w, b: _alexnet(n, 1, b),
            "At width 2 every layer is twice as wide: multiply the channel counts and the 4096 by width.",
        ),
        Misconception(
            "classes widened too",
            lambda n, w, b: _alexnet(n * w, w, b),
            "The network is widened, the classes stay: the last layer has num_classes outputs.",
        ),
        Misconception(
            "flattened map not widened",
            lambda n, w, b: _alexnet_table(n, w, b, flattened=9216),
            "At width w the last map has 256 w channels, so that fc6 has 256 w x 6 x 6 inputs.",
        ),
        Misconception(
            "image widened too",
            lambda n, w, b: _alexnet_table(n, w, b, image_channels=3 * w),
            "The network is widened, the image is not: it keeps its 3 channels.",
        ),
        Misconception("biases forgotten", lambda n, w, b: _alexnet(n, w, False), "With bias=True each layer has a bias."),
        Misconception("biases always added", lambda n, w, b: _alexnet(n, w, True), "With bias=False no layer has a bias."),
    ),
)

# -- a whole module -----------------------------------------------------------------------------------------------------

# A model is a dict: "layers" is a list of [kind, *sizes, bias]; the optional "tie" names two layers that share one weight,
# "reuse" a layer that appears a second time at the end, and "freeze" a layer that is not trained.
_LAYER_WORDS = {
    "linear": "Linear({}, {}, bias={})",
    "conv": "Conv2d({}, {}, {}, bias={})",
    "batchnorm": "BatchNorm2d({})",
    "layernorm": "LayerNorm({})",
    "embedding": "Embedding({}, {})",
}


def _layer_params(layer: list[Any]) -> int:
    kind, *sizes = layer
    match kind:
        case "linear":
            return counts.linear_params(sizes[0], sizes[1], bias=sizes[2])
        case "conv":
            return counts.conv_params(sizes[0], sizes[1], sizes[2], bias=sizes[3])
        case "batchnorm" | "layernorm":
            return counts.norm_params(sizes[0])
        case _:  # embedding
            return sizes[0] * sizes[1]


def _weight_only(layer: list[Any]) -> int:
    return _layer_params([*layer[:-1], False]) if layer[0] in ("linear", "conv") else _layer_params(layer)


def _all_layers(model: dict[str, Any]) -> int:
    return sum(_layer_params(layer) for layer in model["layers"])


def _tied_weight(model: dict[str, Any]) -> int:
    """Return the parameters that two layers share, which count once."""
    return _weight_only(model["layers"][model["tie"][0]]) if "tie" in model else 0


def _count_params(model: dict[str, Any]) -> int:
    return _all_layers(model) - _tied_weight(model)


def _buffers(model: dict[str, Any]) -> int:
    """Return the elements of running mean, running variance and the batch counter."""
    return sum(2 * layer[1] + 1 for layer in model["layers"] if layer[0] == "batchnorm")


def _build_model(model: dict[str, Any]) -> tuple[Any, ...]:
    from torch import nn

    makers: dict[str, Any] = {
        "linear": lambda i, o, b: nn.Linear(i, o, bias=b),
        "conv": lambda i, o, k, b: nn.Conv2d(i, o, k, bias=b),
        "batchnorm": nn.BatchNorm2d,
        "layernorm": nn.LayerNorm,
        "embedding": nn.Embedding,
    }
    layers = [makers[kind](*sizes) for kind, *sizes in model["layers"]]
    if "tie" in model:
        first, second = model["tie"]
        layers[second].weight = layers[first].weight
    if "freeze" in model:
        layers[model["freeze"]].requires_grad_(False)
    if "reuse" in model:
        layers.append(layers[model["reuse"]])
    half = len(layers) // 2
    return (nn.Sequential(nn.Sequential(*layers[:half]), nn.Sequential(*layers[half:])),)


def _describe_model(model: dict[str, Any]) -> str:
    words = [_LAYER_WORDS[kind].format(*sizes) for kind, *sizes in model["layers"]]
    notes = [f"layer {model['tie'][1] + 1} has the weight of layer {model['tie'][0] + 1}"] if "tie" in model else []
    notes += [f"layer {model['freeze'] + 1} is frozen"] if "freeze" in model else []
    notes += [f"layer {model['reuse'] + 1} is used again at the end"] if "reuse" in model else []
    return f"a model of {', '.join(words)}" + (f"; {'; '.join(notes)}" if notes else "")


def _random_plain(r: Random) -> Case:
    a, b, c = (r.randint(2, 64) for _ in range(3))
    return (
        {"layers": [["conv", 3, a, r.choice((1, 3)), False], ["linear", a, b, True], ["linear", b, c, r.random() < 0.5]]},
    )


def _random_tied(r: Random) -> Case:
    words, d = r.randint(20, 90), r.randint(2, 32)
    layers = [["embedding", words, d], ["layernorm", d], ["linear", d, d, True], ["linear", d, words, False]]
    return ({"layers": layers, "tie": [0, 3], "reuse": 2},)


def _random_buffered(r: Random) -> Case:
    a, b = r.randint(2, 32), r.randint(2, 32)
    return (
        {"layers": [["conv", 3, a, 3, True], ["batchnorm", a], ["conv", a, b, 1, False], ["batchnorm", b]], "freeze": 0},
    )


COUNT = Task(
    "count_params",
    ("model",),
    _count_params,
    (
        Group("plain layers", 1, (({"layers": [["linear", 8, 4, True], ["linear", 4, 2, True]]},),), _random_plain, 3),
        Group("frozen layers and buffers", 1, (), _random_buffered, 3),
        Group("tied weights", 2, (), _random_tied, 3),
    ),
    (
        Misconception(
            "tied weights counted twice",
            lambda m: _all_layers(m) + (_layer_params(m["layers"][m["reuse"]]) if "reuse" in m else 0),
            "Two layers that share one tensor store it once: count each distinct Parameter once.",
        ),
        Misconception(
            "a tied weight counted twice, a reused layer once",
            _all_layers,
            "`embedding.weight is linear.weight` can be true for two different layers: count each distinct Parameter once.",
        ),
        Misconception(
            "buffers counted",
            lambda m: _count_params(m) + _buffers(m),
            "Running mean and variance are buffers: they are saved with the model, but they are not parameters.",
        ),
        Misconception(
            "everything in state_dict counted",
            lambda m: _all_layers(m) + _buffers(m) + (_layer_params(m["layers"][m["reuse"]]) if "reuse" in m else 0),
            "state_dict holds buffers too, and a tied weight under each of its names. Use model.parameters().",
        ),
        Misconception(
            "frozen parameters left out",
            lambda m: _count_params(m) - (_layer_params(m["layers"][m["freeze"]]) if "freeze" in m else 0),
            "A frozen parameter is not trained, but it is still a parameter of the model.",
        ),
        Misconception(
            "tensors counted",
            lambda m: (
                sum(
                    1 + (layer[0] in ("batchnorm", "layernorm") or (layer[0] in ("linear", "conv") and layer[-1]))
                    for layer in m["layers"]
                )
                - ("tie" in m)
            ),
            "That is the number of tensors. Each holds numel() parameters.",
        ),
        Misconception(
            "parameters of the outer module only",
            lambda m: 0,
            "The outer module holds other modules: look at the parameters of all of them.",
        ),
    ),
    build=_build_model,
    describe=_describe_model,
)

# -- model size ---------------------------------------------------------------------------------------------------------

_BITS = (32, 16, 8, 4)


def _random_params(r: Random) -> int:
    return 8 * r.randint(1_000, 10_000_000)  # whole bytes at every width


SIZE_BYTES = Task(
    "model_size_bytes",
    ("params", "bits"),
    counts.model_size,
    (
        Group(
            "whole bytes: 32, 16 and 8 bits",
            1,
            ((1000, 32), (1000, 16), (1000, 8)),
            lambda r: (_random_params(r), r.choice((32, 16, 8))),
        ),
        Group("half bytes: 4 bits", 1, ((1000, 4),), lambda r: (_random_params(r), 4)),
    ),
    (
        Misconception("bits for bytes", lambda n, b: n * b, "params x bits is the size in bits; 8 bits make a byte."),
        Misconception("always 32 bits", lambda n, b: 4 * n, "Each parameter takes `bits` bits: use the argument."),
        Misconception(
            "4 bits taken as a whole byte",
            lambda n, b: n * max(1, b // 8),
            "Two 4-bit parameters share a byte: divide by 8 after multiplying, not before.",
        ),
        Misconception(
            "divided before multiplying", lambda n, b: n * (b // 8), "4 // 8 is 0: multiply first, then divide by 8."
        ),
        Misconception("upside down", lambda n, b: n * 8 // b, "More bits make a larger model: multiply by bits."),
    ),
)

SIZE_MIB = Task(
    "model_size_mib",
    ("params", "bits"),
    lambda params, bits: params * bits / 8 / 2**20,
    (
        Group("32 bits", 1, ((2**20, 32),), lambda r: (_random_params(r), 32)),
        Group("16, 8 and 4 bits", 1, ((2**20, 8),), lambda r: (_random_params(r), r.choice((16, 8, 4)))),
    ),
    (
        Misconception("MB for MiB", lambda n, b: n * b / 8 / 1e6, "1 MB is 10**6 bytes; 1 MiB is 2**20 = 1,048,576 bytes."),
        Misconception("bits for bytes", lambda n, b: n * b / 2**20, "Convert bits to bytes first: 8 bits make a byte."),
        Misconception("KiB for MiB", lambda n, b: n * b / 8 / 2**10, "2**10 bytes are a KiB; a MiB is 2**20 bytes."),
        Misconception("GiB for MiB", lambda n, b: n * b / 8 / 2**30, "2**30 bytes are a GiB; a MiB is 2**20 bytes."),
        Misconception(
            "MB for MiB, and bits for bytes",
            lambda n, b: n * b / 1e6,
            "Two steps: bits to bytes (8), then bytes to MiB (2**20).",
        ),
        Misconception("always 32 bits", lambda n, b: n * 4 / 2**20, "Each parameter takes `bits` bits: use the argument."),
        Misconception(
            "rounded to whole MiB",
            lambda n, b: n * b // 8 // 2**20,
            "Divide with /, not //: a size in MiB is seldom a whole number.",
        ),
    ),
)


def _mixed(layers: list[list[int]]) -> int:
    return sum(params * bits for params, bits in layers) // 8


def _random_mixed(r: Random) -> Case:
    return ([[_random_params(r), bits] for bits in r.sample(_BITS, r.randint(2, 4))],)


MIXED = Task(
    "mixed_precision_bytes",
    ("layers",),
    _mixed,
    (
        Group("one precision for all layers", 1, (([[1000, 8], [200, 8]],), ([[1000, 4]],))),
        Group("mixed precision", 2, (([[1000, 4], [200, 16]],), ([[8, 32], [800, 4], [80, 8]],)), _random_mixed),
    ),
    (
        Misconception(
            "average of the bits",
            lambda layers: sum(n for n, _ in layers) * sum(b for _, b in layers) // len(layers) // 8,
            "Layers differ in size: add up params x bits layer by layer instead of averaging the bits.",
        ),
        Misconception(
            "the widest precision for all",
            lambda layers: sum(n for n, _ in layers) * max(b for _, b in layers) // 8,
            "Each layer is stored at its own number of bits.",
        ),
        Misconception(
            "the first precision for all",
            lambda layers: sum(n for n, _ in layers) * layers[0][1] // 8,
            "Each layer is stored at its own number of bits.",
        ),
        Misconception("bits for bytes", lambda layers: sum(n * b for n, b in layers), "8 bits make a byte."),
        Misconception(
            "4 bits taken as a whole byte",
            lambda layers: sum(n * max(1, b // 8) for n, b in layers),
            "Two 4-bit parameters share a byte: divide by 8 after multiplying, not before.",
        ),
        Misconception(
            "the first layer only",
            lambda layers: layers[0][0] * layers[0][1] // 8,
            "Add up all layers: is the `return` inside the loop?",
        ),
        Misconception(
            "the last layer only",
            lambda layers: layers[-1][0] * layers[-1][1] // 8,
            "Add up all layers: is the sum overwritten in the loop?",
        ),
    ),
)

TASKS = (LINEAR, CONV, GROUPED, DEPTHWISE, NORM, ATTENTION, ALEXNET, COUNT, SIZE_BYTES, SIZE_MIB, MIXED)
