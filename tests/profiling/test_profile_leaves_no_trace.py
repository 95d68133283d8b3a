"""A profile leaves the caller's model, inputs and process as they were, also when the forward pass fails."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from effkit import ForwardError, profile, profile_training
from tests.profiling.roads import Looks


class Restless(nn.Module):
    """Changes everything that a forward pass can change: itself, its input, its weights and the random states."""

    def __init__(self, looks, fails):
        super().__init__()
        self.looks, self.fails = looks, fails
        self.norm, self.linear, self.drop = nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Dropout()
        self.spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.average = nn.Parameter(torch.ones(4), requires_grad=False)
        self.register_buffer("steps", torch.zeros(()))
        self.cache, self.seen, self.by_name, self.calls = torch.zeros(3, 4), [torch.zeros(1)], {"x": torch.zeros(2)}, 0

    def forward(self, x, log):
        self.calls += 1
        self.steps += 1
        self.cache.add_(1)
        self.seen.append(x)
        self.by_name["x"].fill_(7)
        self.last = x
        with torch.no_grad():
            self.average.mul_(0.9).add_(x[0], alpha=0.1)
            self.linear.weight.t()[1].zero_()  # through a view
            self.linear.bias.data.clamp_(-0.1, 0.1)
        x.mul_(2)
        log.append("called")
        torch.manual_seed(5)
        random.seed(5)
        self.train(not self.training)
        y = self.drop(self.spectral(self.linear(self.norm(x))))
        y = self.attention(y[None], y[None], y[None])[0]
        if self.looks:
            assert not (self.average == 1).any().item()  # what was written is there while the pass runs
            assert not self.linear.weight[:, 1].any()
        if self.fails:
            raise ValueError("on purpose")
        return y


def state(model, x, log):
    """Return all that a caller can see, as a structure of values that can be compared."""
    seen = {"x": x.clone(), "x._version": x._version, "log": list(log)}
    for name, module in model.named_modules():
        for kind, tensors in (("param", module._parameters), ("buffer", module._buffers)):
            for key, tensor in tensors.items():
                if tensor is not None:
                    numbers = None if tensor.is_meta else tensor.detach().clone()
                    grad = None if tensor.grad is None else tensor.grad.clone()
                    identity = id(tensor), tensor._version, tensor.device, tensor.dtype, tensor.requires_grad
                    seen[f"{kind} {name}.{key}"] = identity, numbers, grad
        seen[f"attributes {name}"] = {key: id(value) for key, value in vars(module).items()}
        seen[f"mode {name}"] = module.training
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._state_dict_hooks)
        seen[f"hooks {name}"] = [list(dictionary) for dictionary in hooks]
        seen[f"forward {name}"] = module.forward.__func__ if hasattr(module.forward, "__func__") else module.forward
    seen["own"] = (model.cache.clone(), [t.clone() for t in model.seen], model.by_name["x"].clone(), model.calls)
    seen["keys"] = list(model.state_dict())
    seen["random"] = torch.get_rng_state(), random.getstate()
    seen["process"] = (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        F.scaled_dot_product_attention,
        torch.get_default_dtype(),
    )
    return seen


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def restless(looks, fails, train):
    torch.manual_seed(0)
    model = Restless(looks, fails).train(train)
    model.linear(torch.rand(2, 4)).sum().backward()  # now it has gradients
    model.norm.register_forward_hook(lambda *_: None)
    return model


@pytest.mark.parametrize("count", [profile, profile_training])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("looks", [False, True])
def test_nothing_that_the_caller_can_see_changes(count, looks, fails, train):
    model, x, log = restless(looks, fails, train), torch.rand(3, 4), []
    before = state(model, x, log)
    if fails:
        with pytest.raises(ForwardError, match="on purpose"):
            count(model, x, log)
    else:
        assert bool(count(model, x, log).notes) == looks
    after = state(model, x, log)
    assert [key for key in before if not same(before[key], after.get(key))] == []
    assert before.keys() == after.keys()


@pytest.mark.parametrize("count", [profile, profile_training])
def test_a_graph_that_waits_for_its_backward_pass_still_has_its_numbers(count):
    model = restless(looks=True, fails=False, train=True)
    loss = model.linear(torch.rand(2, 4, requires_grad=True)).sum()
    count(model, torch.rand(3, 4), [])
    loss.backward()  # raises if a weight was changed meanwhile


@pytest.mark.parametrize("gradients", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_mode_of_autograd_around_a_profile_neither_matters_nor_changes(gradients):
    class TokenIntoSubmodule(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.linear = nn.Parameter(torch.zeros(1, 1, 4)), nn.Linear(4, 5)

        def forward(self, x):
            return self.linear(self.token) + self.linear(x)

    model, x = TokenIntoSubmodule(), torch.zeros(2, 3, 4)
    with gradients():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        assert profile(model, x).macs == 20 + 120
        assert profile_training(model, x).macs == 2 * (20 + 120) + 20
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before


def test_a_disabled_fast_path_stays_disabled():
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        profile(nn.Linear(2, 2), torch.zeros(1, 2))
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_an_attention_of_somebody_else_s_stays_in_place(monkeypatch):
    def theirs(*args, **kwargs):
        return args[0]

    monkeypatch.setattr(F, "scaled_dot_product_attention", theirs)
    profile_training(nn.Linear(2, 2), torch.zeros(1, 2))
    assert F.scaled_dot_product_attention is theirs


def test_what_cannot_be_copied_is_shared():
    class Locked(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.lock = nn.Linear(4, 5), threading.Lock()

        def forward(self, x, other_lock):
            with self.lock, other_lock:
                return self.linear(x)

    model, lock = Locked(), threading.Lock()
    assert profile(model, torch.zeros(3, 4), lock).macs == 60
    assert not model.lock.locked() and not lock.locked()

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.inner = nn.BatchNorm1d(4), model

        def forward(self, x):
            return self.inner(self.norm(x), lock)

    outer = Outer()
    assert profile(Looks(outer, looks=True), torch.rand(3, 4)).macs == 60
    assert outer.norm.num_batches_tracked == 0 and not outer.norm.running_mean.any()


def test_a_model_that_keeps_results_of_earlier_passes_can_be_profiled():
    class Keeps(nn.Linear):
        def __init__(self):
            super().__init__(4, 4)
            self.kept = []

        def forward(self, x):
            y = super().forward(x)
            self.kept.append(y)
            return y

    model = Keeps()
    y = model(torch.rand(3, 4))  # has a graph, which copy.deepcopy refuses
    assert profile(model, torch.rand(3, 4)).macs == 48
    assert len(model.kept) == 1 and model.kept[0] is y


def test_lazy_modules_stay_lazy():
    model = nn.Sequential(nn.LazyConv2d(5, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(7))
    found = profile(model, torch.zeros(2, 3, 8, 8))
    assert found.params == 5 * 27 + 5 + 10 + 5 * 36 * 7 + 7
    assert found.macs == 2 * (5 * 36 * 27 + 5 * 36 * 7)
    assert all(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters())
    assert model[0].in_channels == 0
    assert profile_training(model, torch.zeros(2, 3, 8, 8)).forward_macs == found.macs
    model(torch.zeros(2, 3, 8, 8))  # and can still be initialized
    assert profile(model, torch.zeros(2, 3, 8, 8)).params == found.params


def test_the_first_pass_of_a_lazy_module_draws_no_random_numbers_of_the_caller():
    model = Looks(nn.Sequential(nn.LazyLinear(5), nn.Dropout()), looks=True)
    before = torch.get_rng_state()
    assert profile(model, torch.rand(3, 4, generator=torch.Generator())).macs == 60
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_in_use_by_several_threads_is_counted_right_in_each():
    encoder, x = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval(), torch.zeros(2, 5, 16)
    expected = profile(encoder, x).macs
    with ThreadPoolExecutor(4) as pool:
        counted = list(pool.map(lambda count: count(encoder, x), [profile, profile_training] * 8))
    assert [one.macs for one in counted[::2]] == [expected] * 8
    assert [one.forward_macs for one in counted[1::2]] == [expected] * 8
    assert torch.backends.mha.get_fastpath_enabled()
    assert F.scaled_dot_product_attention is torch._C._nn.scaled_dot_product_attention


def test_a_model_still_runs_and_trains_after_it_was_profiled():
    torch.manual_seed(1)
    model, x = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2)), torch.rand(6, 4)

    def two_steps(profiled):
        torch.manual_seed(2)
        copied = torch.nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
        copied.load_state_dict(model.state_dict())
        optimizer = torch.optim.SGD(copied.parameters(), lr=0.1)
        for _ in range(2):
            if profiled:
                profile(copied, x)
                profile_training(copied, x)
            optimizer.zero_grad()
            copied(x).square().sum().backward()
            optimizer.step()
        return copied.state_dict()

    assert same(dict(two_steps(profiled=True)), dict(two_steps(profiled=False)))
