"""Sizes of feature maps, held against torch's own layers and against what a gradient reaches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv1d

from effkit import conv_output_size, receptive_field, same_padding

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def torch_output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """Return the spatial shape of a real convolution's output, computed on the meta device."""
    convolution = CONVOLUTIONS[len(size)](1, 1, kernel_size, stride, padding, dilation, device="meta")
    return tuple(convolution(torch.empty(1, 1, *size, device="meta")).shape[2:])


@st.composite
def convolutions(draw):
    """Sizes that torch accepts, in one to three dimensions; each argument but the first may also be an int."""
    dimensions = draw(st.integers(1, 3))

    def argument(least, most):
        number = st.integers(least, most)
        return draw(number | st.tuples(*[number] * dimensions))

    size = draw(st.tuples(*[st.integers(13, 60)] * dimensions))  # the widest kernel spans 3 * (5 - 1) + 1 = 13
    return size, argument(1, 5), argument(1, 4), argument(0, 3), argument(1, 3)


@given(convolutions())
def test_output_size_is_that_of_a_torch_convolution(arguments):
    assert conv_output_size(*arguments) == torch_output_size(*arguments)


@given(st.integers(1, 12), st.integers(1, 7), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_a_kernel_is_refused_exactly_where_torch_refuses_it(size, kernel_size, stride, padding, dilation):
    arguments = size, kernel_size, stride, padding, dilation
    convolution = nn.Conv1d(1, 1, kernel_size, stride, padding, dilation)
    try:
        expected = convolution(torch.zeros(1, 1, size)).shape[-1]
    except RuntimeError:
        with pytest.raises(ValueError, match=r"^kernel_size must fit the padded input"):
            conv_output_size(*arguments)
    else:
        assert conv_output_size(*arguments) == expected


@given(st.integers(13, 60), st.integers(2, 5), st.integers(1, 4), st.integers(0, 1), st.integers(1, 3))
def test_output_size_is_that_of_a_torch_pooling(size, kernel_size, stride, padding, dilation):
    pooling = nn.MaxPool1d(kernel_size, stride, padding, dilation)
    assert conv_output_size(size, kernel_size, stride, padding, dilation) == pooling(torch.zeros(1, 1, size)).shape[-1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param((4, 2), 3, id="four elements, kernel two"),
        pytest.param((224, 11, 4, 2), 55, id="AlexNet's first layer, where the division has a remainder"),
        pytest.param((55, 3, 2), 27, id="AlexNet's first pooling"),
        pytest.param(((224, 224), 11, 4, 2), (55, 55), id="a tuple gives a tuple"),
        pytest.param(((32,), 5), (28,), id="a tuple of one gives a tuple of one"),
    ],
)
def test_known_output_sizes(arguments, expected):
    assert conv_output_size(*arguments) == expected


@given(st.integers(1, 9), st.integers(1, 4))
def test_same_padding_keeps_the_size_or_is_refused_for_an_even_span(kernel_size, dilation):
    if dilation * (kernel_size - 1) % 2:
        with pytest.raises(ValueError, match="spans an even number of elements"):
            same_padding(kernel_size, dilation)
    else:
        padding = same_padding(kernel_size, dilation)
        assert torch_output_size((20,), kernel_size, padding=padding, dilation=dilation) == (20,)


@given(st.lists(st.tuples(st.sampled_from([1, 3, 5, 7]), st.integers(1, 4)), min_size=1, max_size=3))
def test_same_padding_of_a_tuple_keeps_each_size(layers):
    kernel_size, dilation = zip(*layers, strict=True)
    size = (20, 30, 40)[: len(layers)]
    padding = same_padding(kernel_size, dilation)
    assert torch_output_size(size, kernel_size, padding=padding, dilation=dilation) == size


def inputs_reached(layers):
    """Return the input positions on which the middle output of a stack of convolutions depends."""
    signal = torch.ones(1, 1, 1000, dtype=torch.float64, requires_grad=True)
    output = signal
    for kernel_size, stride, dilation in layers:
        weight = torch.ones(1, 1, kernel_size, dtype=torch.float64)
        output = conv1d(output, weight, stride=stride, dilation=dilation)
    output[0, 0, output.shape[-1] // 2].backward()
    return signal.grad[0, 0].nonzero().flatten().tolist()


WITHOUT_GAPS = [(kernel_size, stride) for kernel_size in range(1, 6) for stride in range(1, 4) if stride <= kernel_size]


@given(st.lists(st.sampled_from(WITHOUT_GAPS), max_size=4))
def test_receptive_field_is_the_number_of_inputs_with_a_gradient(layers):
    assert receptive_field(layers) == len(inputs_reached([(k, s, 1) for k, s in layers]))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)), max_size=4))
def test_receptive_field_of_any_layers_is_the_span_from_the_first_such_input_to_the_last(layers):
    reached = inputs_reached(layers)
    assert receptive_field(layers) == reached[-1] - reached[0] + 1


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], 1),
        ([(3, 1)] * 2, 5),
        ([(3, 1)] * 3, 7),
        ([(3, 2)] * 2, 7),
        ([(3, 2)] * 3, 15),
        ([(3, 1, 2)], 5),
    ],
)
def test_known_receptive_fields(layers, expected):
    assert receptive_field(layers) == expected
    assert receptive_field(iter(layers)) == expected
