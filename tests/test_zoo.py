"""Reference networks: their published sizes, and their agreement with the closed forms."""

import pytest
import torch
from torch import nn

from effkit import counts
from effkit.zoo import alexnet

PUBLISHED = {
    "conv1": 34_848,
    "conv2": 307_200,
    "conv3": 884_736,
    "conv4": 663_552,
    "conv5": 442_368,
    "fc6": 37_748_736,
    "fc7": 16_777_216,
    "fc8": 4_096_000,
}


def on_meta(**options):
    """Return AlexNet without memory for its weights."""
    with torch.device("meta"):
        return alexnet(**options)


def params_by_layer(network):
    """Return the number of parameters of each layer that has some."""
    counted = {name: sum(p.numel() for p in layer.parameters()) for name, layer in network.named_children()}
    return {name: params for name, params in counted.items() if params}


@pytest.mark.parametrize(("bias", "expected"), [(False, 60_954_656), (True, 60_965_224)])
def test_alexnet_has_the_published_number_of_parameters(bias, expected):
    network = on_meta(bias=bias)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_alexnet_has_biases_unless_told_otherwise():
    assert params_by_layer(on_meta()) == params_by_layer(on_meta(bias=True))


def test_each_layer_of_alexnet_has_its_published_number_of_parameters():
    assert params_by_layer(on_meta(bias=False)) == PUBLISHED


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
    assert params_by_layer(on_meta(bias=bias)) == expected


def test_the_feature_maps_of_alexnet_have_their_published_shapes():
    x = torch.empty(2, 3, 224, 224, device="meta")
    shapes = {}
    for name, layer in on_meta().named_children():
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


def test_num_classes_changes_the_last_layer_alone():
    changed = params_by_layer(on_meta(num_classes=10, bias=False))
    assert changed == {**PUBLISHED, "fc8": 40_960}
    assert on_meta(num_classes=10)(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 10)


def test_alexnet_on_meta_takes_no_memory():
    network = on_meta()
    assert all(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
