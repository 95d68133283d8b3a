"""Models that are hard to count: they look at their numbers, are wrapped or compiled, fail, or use unknown operators."""

import functools
from collections import UserDict
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

import effkit
from effkit import ForwardError, profile, profile_training
from effkit.profiling import operators

LINEAR = 3 * 4 * 5  # the MACs of nn.Linear(4, 5) on three rows


def rows():
    return torch.ones(3, 4)


# Models that look at their numbers


class Chooses(nn.Module):
    """Calls one of two layers, by the numbers of its input."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide = nn.Linear(4, 5), nn.Linear(4, 50)

    def forward(self, x):
        return self.wide(x) if x.sum() > 0 else self.narrow(x)


@pytest.mark.parametrize(("sign", "expected", "layer"), [(1, 10 * LINEAR, "wide"), (-1, LINEAR, "narrow")])
def test_a_model_that_looks_at_its_numbers_is_run_with_them_and_says_so(sign, expected, layer):
    found = profile(Chooses(), sign * rows())
    assert found.macs == expected
    assert found.layers[-1].name == layer
    assert found.device == "cpu"
    assert found.params == 5 * 5 + 5 * 50  # of both layers
    assert found.notes == (
        "Run with real numbers, because on the meta device it fails: "
        "RuntimeError: Tensor.item() cannot be called on meta tensors",
    )
    assert found.notes[0] in repr(found)


def test_the_shape_of_a_result_can_follow_from_numbers():
    def positive_rows(x):
        return x[x[:, 0] > 0] @ torch.ones(4, 2)

    x = torch.tensor([[1.0] * 4, [-1.0] * 4, [2.0] * 4])
    assert profile(positive_rows, x).macs == 2 * 4 * 2

    def twice(x):  # the same call, of the same shapes, with another result
        return positive_rows(x), positive_rows(-x)

    found = profile(twice, x)
    assert found.macs == 2 * 4 * 2 + 1 * 4 * 2
    assert [layer.output_shape for layer in found.layers if layer.operator == "aten.index"] == [(2, 4), (1, 4)]


# Calls that differ in one thing alone, and what tells them apart. A call like an earlier one is not run again.
ALIKE = {
    "dtype": (lambda x: (x.relu(), x.half().relu()), "aten.relu", [(4, 4, 128), (4, 4, 64)]),
    "strides": (lambda x: (x + 1, x[:1].expand(4, 4) + 1), "aten.add", [(4, 4, 128), (4, 4, 80)]),
    "layout": (lambda x: (x.relu().reshape(16), x.t().relu().reshape(16)), "aten.clone", [(4, 4, 128)]),
    "kind of number": (lambda x: (x.long() + 1, x.long() + 1.0), "aten.add", [(4, 4, 256), (4, 4, 192)]),
    "argument": (lambda x: (x.sum(0), x.sum(0, keepdim=True)), "aten.sum", [(4, 80), (1, 4, 80)]),
    "order": (lambda x: (x[:2] @ x, x @ x[:, :2]), "aten.mm", [(2, 4, 128), (4, 2, 128)]),
    "operator": (lambda x: (x.tril(), x.triu()), "aten.triu", [(4, 4, 128)]),
}


@pytest.mark.parametrize("name", ALIKE)
def test_calls_that_look_alike_are_told_apart(name):
    function, operator, expected = ALIKE[name]
    found = profile(lambda x: (function(x), function(x)), torch.zeros(4, 4))
    assert [(*c.output_shape, c.bytes_moved) for c in found.layers if c.operator == operator] == 2 * expected


def test_a_product_with_a_weight_is_told_from_the_same_one_without():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 4))

        def forward(self, x):
            return x @ x @ self.weight @ x

    assert [layer.kind for layer in profile(Both(), torch.zeros(4, 4)).layers] == ["matmul", "linear", "matmul"]


def test_numpy_takes_a_model_off_the_meta_device():
    found = profile(lambda x: torch.from_numpy(x.numpy() * 2) @ torch.ones(4, 5), rows())
    assert (found.macs, found.device) == (LINEAR, "cpu")


def test_a_model_on_meta_that_looks_at_its_numbers_fails_by_name():
    with pytest.raises(
        ForwardError, match=r"^the pass failed in Chooses: RuntimeError: Tensor.item\(\) cannot be called on meta"
    ):
        profile(Chooses().to("meta"), rows().to("meta"))


class Constants(nn.Module):
    """Makes tensors on the CPU in its forward pass, and keeps others that are neither parameters nor buffers."""

    def __init__(self):
        super().__init__()
        self.plain, self.listed = torch.ones(5), [torch.ones(4, 5)]

    def forward(self, x):
        y = x @ self.listed[0] + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
        return y * torch.arange(5) + self.plain


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_constants_on_the_cpu_do_not_keep_a_model_off_the_meta_device(device):
    found = profile(Constants(), rows().to(device))
    assert (found.macs, found.device, found.notes) == (LINEAR, "meta", ())


@pytest.mark.parametrize(("model_on", "input_on"), [("meta", "cpu"), ("cpu", "meta"), ("meta", "meta")])
def test_model_and_input_may_be_on_different_devices(model_on, input_on):
    found = profile(nn.Linear(4, 5, device=model_on), rows().to(input_on))
    assert (found.macs, found.notes) == (LINEAR, ())


# Models that differentiate


class Gradient(nn.Module):
    """The gradient of a linear layer with respect to its input, as a physics-informed network has it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def forward(self, x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.linear(x).sum(), x)[0]


def test_a_model_that_calls_autograd_is_counted_with_its_gradients():
    assert profile(Gradient(), rows()).macs == 12 + 12
    assert profile(torch.func.grad(lambda x: (x @ x.T).sum()), rows()).macs == 3 * 36
    assert profile(torch.vmap(lambda x: x @ x.T), rows()[None]).macs == 36


def test_checkpointed_layers_are_counted_once_forward():
    encoder = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    x = torch.zeros(2, 5, 16)

    def recomputed(x):
        return checkpoint(encoder, x, use_reentrant=False)

    plain, again = profile_training(encoder, x), profile_training(nn.Sequential(nn.Identity(), Checkpointed(encoder)), x)
    assert profile(recomputed, x).macs == plain.forward_macs == again.forward_macs
    assert again.backward_macs == plain.backward_macs + plain.forward_macs
    assert again.saved_bytes == 4 * x.numel()
    assert again.notes == ()


class Checkpointed(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return checkpoint(self.layer, x, use_reentrant=False)


# Wrapped, compiled and changed modules


def compiled():
    return torch.compile(nn.Linear(4, 5))


def compiled_part():
    return nn.Sequential(torch.compile(nn.Linear(4, 5)), nn.ReLU())


def compiled_in_place():
    model = nn.Linear(4, 5)
    model.compile()
    return model


WRAPPED = {  # with how many parameters more than nn.Linear(4, 5)
    "compiled": (compiled, 0),
    "compiled part": (compiled_part, 0),
    "compiled in place": (compiled_in_place, 0),
    "scripted": (lambda: torch.jit.script(nn.Linear(4, 5)), 0),
    "scripted part": (lambda: nn.Sequential(torch.jit.script(nn.Linear(4, 5)), nn.ReLU()), 0),
    "traced": (lambda: torch.jit.trace(nn.Linear(4, 5), rows()), 0),
    "data parallel": (lambda: nn.DataParallel(nn.Linear(4, 5)), 0),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(4, 5)), 5),
    "old weight norm": (lambda: nn.utils.weight_norm(nn.Linear(4, 5)), 5),
    "pruned": (lambda: prune.l1_unstructured(nn.Linear(4, 5), "weight", 0.5), 0),
    "channels last": (lambda: nn.Linear(4, 5).to(memory_format=torch.channels_last), 0),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_layer_is_counted_like_the_layer(name):
    build, more = WRAPPED[name]
    found = profile(build(), rows())
    assert (found.macs, found.params, found.uncounted) == (LINEAR, 25 + more, {})
    assert sum(layer.params for layer in found.layers) == found.params


def test_a_compiled_model_goes_by_its_own_name():
    found = profile(compiled(), rows())
    assert (found.model, found.layers[0].name) == ("Linear", "Linear")


def test_hooks_run_and_what_they_compute_is_counted():
    model = nn.Sequential(nn.Linear(4, 5))
    model[0].register_forward_hook(lambda module, args, output: output @ output.T)
    model[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    found = profile(model, rows())
    assert found.macs == LINEAR + 3 * 3 * 5
    assert [layer.kind for layer in found.layers] == ["elementwise", "linear", "matmul"]


def test_a_quantized_model_is_refused_with_what_to_do_instead():
    class Packed(nn.Module):
        """Like the modules of torch.ao.nn.quantized, whose weights are no parameters."""

        def __init__(self):
            super().__init__()
            self._packed_params = object()

    with pytest.raises(
        TypeError, match=r"^block\.0 is a quantized module .* profile the model before .* model_size\(bits=8\)"
    ):
        profile(nn.ModuleDict({"block": nn.Sequential(Packed())}), rows())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dynamic_quantization_is_refused():
    quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 5)), {nn.Linear})
    with pytest.raises(TypeError, match=r"^0 is a quantized module with packed weights"):
        profile(quantized, rows())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, "model must be a torch module or another function of tensors, not int"),
        (None, "model must be a torch module or another function of tensors, not NoneType"),
        ([nn.Linear(4, 5)], "model must be a torch module or another function of tensors, not list"),
        (nn.Linear, r"model must be a module, not the class Linear: make one first, Linear\(\.\.\.\)"),
    ],
)
@pytest.mark.parametrize("count", [profile, profile_training])
def test_what_is_no_model_is_refused(model, message, count):
    with pytest.raises(TypeError, match=f"^{message}$"):
        count(model, rows())


def test_nested_tensors_are_refused():
    with pytest.raises(TypeError, match="not nested or MKL-DNN ones: pad or convert them"):
        profile(nn.Linear(4, 5), torch.nested.nested_tensor([torch.zeros(3, 4), torch.zeros(2, 4)]))


def test_a_model_that_cannot_be_copied_is_refused():
    class Uncopied(nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError("there can be only one")

    with pytest.raises(
        TypeError, match="counts on a copy of the model, and this one cannot be copied: RuntimeError: there can"
    ):
        profile(Uncopied(4, 5), rows())


# Functions, and arguments of every shape


@dataclass
class Batch:
    x: Tensor
    others: dict[str, Tensor]


class Structured(nn.Module):
    """Takes tensors in a dataclass and in a mapping, and returns a dataclass."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 5)

    def forward(self, batch, mapping, scale=1.0):
        y = self.linear(batch.x) * scale + batch.others["bias"]
        return Batch(y, {"kept": y + mapping["more"]})


@pytest.mark.parametrize("mapping", [dict, UserDict])
def test_tensors_are_found_in_dataclasses_and_mappings(mapping):
    batch = Batch(rows(), {"bias": torch.zeros(5)})
    found = profile(Structured(), batch, mapping(more=torch.zeros(3, 5)), scale=2.0)
    assert (found.macs, found.device, found.input_elements) == (LINEAR, "meta", 12 + 5 + 15)
    assert [live for _, live in found.timeline()] == [12 + 5 + 15 + 15, 15 + 5 + 15, 15 + 5 + 15, 15 + 15]
    batch.x.requires_grad_()
    assert profile_training(Structured(), batch, mapping(more=torch.zeros(3, 5))).backward_macs == 2 * LINEAR


def test_a_model_without_inputs_is_counted():
    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.start, self.linear = nn.Parameter(torch.zeros(3, 4)), nn.Linear(4, 5)

        def forward(self):
            return self.linear(self.start)

    found = profile(Alone())
    assert (found.macs, found.params, found.input_elements, found.activations) == (LINEAR, 12 + 25, 0, 15)


class Callable:
    def __call__(self, x, weight):
        return F.linear(x, weight)


@pytest.mark.parametrize(
    "function",
    [
        F.linear,
        lambda x, weight: x @ weight.T,
        functools.partial(F.linear),
        Callable(),
        torch.ops.aten.linear,
        torch.ops.aten.linear.default,
        torch.compile(lambda x, weight: x @ weight.T),
    ],
)
def test_a_function_of_tensors_is_counted(function):
    found = profile(function, rows(), torch.zeros(5, 4))
    assert (found.macs, found.params, found.device) == (LINEAR, 0, "meta")


def test_a_method_runs_on_a_copy_of_its_module():
    model = nn.BatchNorm1d(4)
    assert profile(model.forward, rows()).model == "forward"
    assert model.num_batches_tracked == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_dtype_changes_bytes_and_no_counts(dtype):
    found = profile(nn.Conv2d(3, 4, 3).to(dtype), torch.zeros(2, 3, 8, 8, dtype=dtype))
    assert found.macs == 2 * 4 * 36 * 27
    assert found.model_size() == 112 * dtype.itemsize
    assert found.bytes_moved == (2 * 3 * 64 + 112 + 2 * 4 * 36) * dtype.itemsize
    assert found.peak_size() == found.peak_size("live") == found.peak() * dtype.itemsize


def test_channels_last_is_counted_like_channels_first():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2)), torch.zeros(2, 3, 8, 8)
    expected = profile(model, x)
    found = profile(model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last))
    assert found.layers == expected.layers


def test_autocast_changes_no_macs():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert profile(nn.Linear(4, 5), rows()).macs == LINEAR
        assert torch.is_autocast_enabled("cpu")


def test_a_model_made_in_inference_mode_is_counted():
    with torch.inference_mode():
        model, x = Chooses(), rows()
    assert profile(model, x).macs == 10 * LINEAR
    assert profile_training(nn.Sequential(nn.Linear(4, 4), model), x).forward_macs in (48 + LINEAR, 48 + 10 * LINEAR)


def test_two_parameters_in_the_same_memory_are_two():
    first, second = nn.Linear(4, 5, bias=False), nn.Linear(5, 4, bias=False)
    second.weight = nn.Parameter(first.weight.T)
    assert profile(nn.Sequential(first, second), rows()).params == 40
    second.weight = first.weight = nn.Parameter(torch.zeros(4, 4))
    assert profile(nn.Sequential(first, second), rows()).params == 16 + 0


# Failures


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 5))

    def forward(self, x):
        return self.encoder(x)


def test_an_error_names_the_layer_and_keeps_its_cause():
    with pytest.raises(ForwardError, match=r"^the pass failed in encoder\.1: RuntimeError: mat1 and mat2 shapes") as caught:
        profile(Broken(), rows())
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(ForwardError, match=r"^the pass failed in encoder\.1: RuntimeError"):
        profile_training(Broken(), rows())


def test_the_layer_that_is_named_is_that_of_the_last_error():
    class Survives(Broken):
        def forward(self, x):
            try:
                return self.encoder(x)
            except RuntimeError:
                raise KeyError("weights") from None

    with pytest.raises(ForwardError, match=r"^the pass failed in Survives: KeyError: 'weights'$"):
        profile(Survives(), rows())


def test_an_error_that_the_model_handles_is_none():
    class Recovers(Broken):
        def forward(self, x):
            try:
                return self.encoder(x)
            except RuntimeError:
                return self.encoder[0](x)

    assert profile(Recovers(), rows()).macs == 2 * 48


def test_missing_arguments_are_an_error_of_the_model():
    with pytest.raises(
        ForwardError, match=r"^the pass failed in Linear: TypeError: .*missing 1 required positional argument"
    ):
        profile(nn.Linear(4, 5))


# Operators without a formula


@torch.library.custom_op("effkit_tests::gram", mutates_args=())
def gram(x: Tensor) -> Tensor:
    """The products of all pairs of rows, by an operator that nobody knows."""
    return x @ x.T


@gram.register_fake
def _(x):
    return x.new_empty(x.shape[0], x.shape[0])


@pytest.fixture
def registry(monkeypatch):
    """The registry, and as it was after the test."""
    monkeypatch.setattr(operators, "REGISTERED", {})
    return operators.REGISTERED


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (torch.fft.fft, {"aten._fft_r2c": 1}),
        (lambda x: x.sort()[0].sort()[0], {"aten.sort": 2}),
        (torch.linalg.svdvals, {"aten._linalg_svd": 1}),
        (gram, {"effkit_tests.gram": 1}),
        (lambda x: gram(x) @ gram(x), {"effkit_tests.gram": 2}),
        (lambda x: torch.cond(x.sum() > 0, lambda x: x @ x.T, lambda x: x @ x.T, (x,)), {"cond": 1}),
    ],
)
def test_an_operator_without_a_formula_is_named_and_nothing_is_dropped_in_silence(function, names):
    found = profile(function, rows())
    assert found.uncounted == names
    assert "NOT COUNTED, no formula (effkit.register teaches one): " in repr(found)
    for name, times in names.items():
        assert f"{name} ({times} ×)" in repr(found)
        assert f"{name} ({times} ×)" in found._repr_html_()
    assert found.to_dict()["uncounted"] == names


def test_the_bytes_of_an_uncounted_operator_are_counted():
    (layer,) = profile(gram, rows()).layers
    assert (layer.kind, layer.macs, layer.bytes_moved, layer.output_shape) == ("uncounted", 0, 4 * (12 + 9), (3, 3))


@pytest.mark.parametrize(
    "operator", [gram, torch.ops.effkit_tests.gram, torch.ops.effkit_tests.gram.default, "effkit_tests::gram"]
)
def test_an_operator_of_one_s_own_is_counted_once_it_is_registered(registry, operator):
    effkit.register(operator, lambda x: x.shape[0] ** 2 * x.shape[1], kind="gram", other_ops=lambda x, out: out.numel())
    found = profile(lambda x: gram(x), rows())
    assert (found.macs, found.other_ops, found.uncounted) == (36, 9, {})
    (layer,) = found.layers
    assert (layer.kind, layer.activations, layer.input_activations) == ("gram", 9, 12)
    effkit.register(operator, lambda x, **options: 7)
    assert profile(lambda x: gram(x), rows()).macs == 7


def test_a_formula_replaces_that_of_an_operator_of_torch(registry):
    effkit.register(torch.ops.aten.linear, lambda x, weight, bias=None, out=None: out.numel())
    assert profile(nn.Linear(4, 5), rows()).macs == 15
    registry.clear()
    assert profile(nn.Linear(4, 5), rows()).macs == LINEAR


@pytest.mark.parametrize(
    ("operator", "formula", "options", "message"),
    [
        (len, lambda x: 0, {}, "operator must be a torch operator such as torch.ops.aten.mm, or its name, not <built-in"),
        (3, lambda x: 0, {}, "operator must be a torch operator .* not 3"),
        (gram, 36, {}, "formula must be a function that returns an integer, not 36"),
        (gram, None, {}, "formula must be a function that returns an integer, not None"),
        (gram, lambda x: 0, {"other_ops": 9}, "other_ops must be a function that returns an integer, not 9"),
    ],
)
def test_a_registration_that_cannot_work_is_refused(registry, operator, formula, options, message):
    with pytest.raises(TypeError, match=message):
        effkit.register(operator, formula, **options)
    assert registry == {}


@pytest.mark.parametrize("result", [None, 1.5, "many"])
def test_a_formula_that_returns_no_integer_is_named(registry, result):
    effkit.register(gram, lambda x: result)
    with pytest.raises(ForwardError, match=f"the formula of effkit_tests.gram must return an integer, not {result!r}"):
        profile(lambda x: gram(x), rows())
