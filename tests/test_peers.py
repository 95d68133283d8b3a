"""effkit held against other counters where they are right, against their own published figures, and beside them all."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import effkit
from benchmarks import peers, quantities, reconcile
from benchmarks.models import DECODERS, MACS, build, describe, example
from effkit import zoo
from effkit.zoo.layers import attend
from tests.test_zoo import TINY, on_meta, tiny

ROOT = Path(__file__).parents[1]
REQUIRED = ("FlopCounterMode", "fvcore", "ptflops aten", "ptflops pytorch", "torchinfo", "torchprofile")
TRACERS = ("fvcore", "torchprofile")


class Call(nn.Module):
    """A function as a module, because the other counters take no functions."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def macs_by(name, model, *args):
    """Return another counter's MACs; whatever it has to say instead of a figure fails the test."""
    reading = peers.ask(peers.by_name(name), model, *args)
    assert not reading.error
    return reading.macs


@pytest.fixture(autouse=True)
def _same_numbers_each_time():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", REQUIRED)
def test_the_counters_that_the_tests_need_are_installed_as_pinned(name):
    peer = peers.by_name(name)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\n{peer.distribution}=={peer.version}\n" in pins


# The networks of the zoo, beside torch's own counter


@pytest.mark.parametrize("name", MACS)
def test_torch_s_own_counter_agrees_on_meta_about_each_network(name):
    model, x = build(name), example(name)
    profile = effkit.profile(model, x)
    assert profile.flops == peers.ask(peers.by_name("FlopCounterMode"), model, x).figure
    assert profile.macs == MACS[name]
    assert not profile.uncounted


def test_every_network_of_the_zoo_is_compared():
    assert MACS.keys() == set(zoo.__all__)


# Layers on which other counters are right

X1, X2, X3 = (torch.zeros(2, 8, *[9] * dimensions) for dimensions in (1, 2, 3))
CONVOLUTIONS = {
    "1d": (nn.Conv1d(8, 12, 3, bias=False), X1),
    "2d": (nn.Conv2d(8, 12, 3, padding=1, bias=False), X2),
    "3d": (nn.Conv3d(8, 12, 3, bias=False), X3),
    "rectangular": (nn.Conv2d(8, 12, (1, 5), padding=(0, 2), bias=False), X2),
    "strided": (nn.Conv2d(8, 12, 4, stride=3, padding=2, bias=False), X2),
    "dilated": (nn.Conv2d(8, 12, 3, dilation=2, bias=False), X2),
    "grouped": (nn.Conv2d(8, 12, 3, groups=4, bias=False), X2),
    "depthwise": (nn.Conv2d(8, 8, 3, groups=8, bias=False), X2),
    "transposed 1d": (nn.ConvTranspose1d(8, 6, 4, stride=2, bias=False), X1),
    "transposed 2d": (nn.ConvTranspose2d(8, 12, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False), X2),
    "transposed 3d": (nn.ConvTranspose3d(8, 4, 3, bias=False), X3),
}
RIGHT_ON_CONVOLUTIONS = ("FlopCounterMode", "fvcore", "ptflops aten")


@pytest.mark.parametrize("name", RIGHT_ON_CONVOLUTIONS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(name, case):
    assert effkit.profile(*CONVOLUTIONS[case]).macs == macs_by(name, *CONVOLUTIONS[case])


@pytest.mark.parametrize("name", ["torchinfo", "torchprofile"])
@pytest.mark.parametrize("case", [case for case in CONVOLUTIONS if not case.startswith("transposed")])
def test_convolutions_that_are_not_transposed(name, case):
    assert effkit.profile(*CONVOLUTIONS[case]).macs == macs_by(name, *CONVOLUTIONS[case])


class Shared(nn.Module):
    """A layer used three times, and an output layer tied to a table."""

    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.Embedding(50, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(self.layer(self.layer(self.layer(self.table(tokens)))))


def functional(x):
    """Three products in the spelling of functions: 2 x 9 x 9 x 12 x 8 x 9, 2 x 12 x 81 x 5 and 2 x 12 x 12 x 5."""
    maps = nn.functional.conv2d(x, torch.zeros(12, 8, 3, 3), padding=1)
    rows = nn.functional.linear(maps.flatten(2), torch.zeros(5, 81))  # (2, 12, 5)
    return torch.matmul(rows, rows.transpose(1, 2))  # (2, 12, 12)


Q, KV = torch.zeros(2, 6, 7, 4), torch.zeros(2, 3, 7, 4)
OTHERS = {
    "linear on a sequence": (nn.Linear(16, 24), torch.zeros(2, 7, 16)),
    "linear on two dimensions before": (nn.Linear(16, 24), torch.zeros(2, 3, 7, 16)),
    "shared and tied": (Shared(), torch.zeros(2, 7, dtype=torch.long)),
    "functions": (Call(functional), X2),
    "attention in steps": (Call(lambda q, k, v: attend(q, k, v, causal=True, eager=True)), Q, Q, Q),
    "grouped-query attention in steps": (Call(lambda q, k, v: attend(q, k, v, eager=True)), Q, KV, KV),
}


@pytest.mark.parametrize("name", ["FlopCounterMode", "fvcore", "torchprofile"])
@pytest.mark.parametrize("case", OTHERS)
def test_linear_layers_functions_and_attention_in_steps(name, case):
    model, *args = OTHERS[case]
    assert effkit.profile(model, *args).macs == macs_by(name, model, *args)


def test_fused_attention_as_torchprofile_counts_it():
    model = Call(lambda q, k, v: nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True))
    assert effkit.profile(model, Q, Q, Q).macs == macs_by("torchprofile", model, Q, Q, Q) == 2 * 6 * 7 * 7 * 8


@pytest.mark.parametrize("name", ["FlopCounterMode", "torchprofile"])
def test_alexnet_on_the_cpu(name):
    model, x = build("alexnet", "cpu"), example("alexnet", "cpu")
    assert effkit.profile(model, x).macs == macs_by(name, model, x) == 724_406_816


# Figures that other counters publish, in their own words


class TheExample(nn.Module):
    """The network in the docstring of fvcore's FlopCountAnalysis."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1000, 10)
        self.conv = nn.Conv2d(3, 10, 1)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.fc(self.act(self.conv(x)).flatten(1))


def test_the_example_of_fvcore():
    profile = effkit.profile(TheExample(), torch.zeros(1, 3, 10, 10))
    by_layer = {layer.name: layer.macs for layer in profile.layers if layer.macs}
    assert (profile.macs, by_layer) == (13_000, {"fc": 10_000, "conv": 3_000})


# What tests/test_flop_count.py of fvcore expects: batch, channels in and out, side, kernel, padding, stride, groups, MACs.
FVCORE_CONVOLUTIONS = [
    (nn.Conv2d, 5, 10, 3, 15, 3, 1, 1, 1, 303_750),
    (nn.Conv2d, 2, 10, 6, 20, 3, 1, 2, 1, 108_000),
    (nn.Conv2d, 3, 16, 8, 15, 5, 2, 1, 4, 540_000),
    (nn.Conv2d, 5, 16, 8, 15, 3, 1, 1, 8, 162_000),
    (nn.Conv1d, 5, 10, 3, 15, 3, 1, 1, 1, 6_750),
    (nn.Conv3d, 5, 10, 3, 15, 3, 1, 1, 1, 13_668_750),
    (nn.ConvTranspose2d, 5, 10, 3, 15, 3, 1, 1, 1, 303_750),
]


@pytest.mark.parametrize("case", FVCORE_CONVOLUTIONS, ids=lambda case: f"{case[0].__name__}-{case[-1]}")
def test_the_convolutions_of_fvcore_s_tests(case):
    kind, n, c_in, c_out, side, kernel, padding, stride, groups, expected = case
    layer = kind(c_in, c_out, kernel, stride, padding, groups=groups)
    x = torch.zeros(n, c_in, *[side] * (layer.weight.dim() - 2))
    assert effkit.profile(layer, x).macs == expected


# What tests/test_ops.py of torchprofile expects of operators that multiply.
TORCHPROFILE_OPERATORS = {
    "linear_16x32": (nn.Linear(16, 32), [(1, 16)], 512),
    "linear_batched": (nn.Linear(16, 32), [(4, 16)], 2048),
    "matmul_mv": (torch.matmul, [(3, 4), (4,)], 12),
    "matmul_mm": (torch.matmul, [(3, 4), (4, 5)], 60),
    "bmm": (torch.bmm, [(2, 3, 4), (2, 4, 5)], 120),
    "conv1d_k3": (nn.Conv1d(3, 16, 3, bias=False), [(1, 3, 32)], 4_320),
    "conv2d_k3_pad1": (nn.Conv2d(3, 16, 3, padding=1, bias=False), [(1, 3, 8, 8)], 27_648),
    "depthwise_conv2d": (nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), [(1, 16, 8, 8)], 9_216),
    "lstm_1layer": (nn.LSTM(16, 32), [(5, 1, 16)], 30_720),
    "lstm_2layer_bidir": (nn.LSTM(32, 64, 2, bidirectional=True, batch_first=True), [(1, 10, 32)], 1_474_560),
    "einsum_bmm": (lambda a, b: torch.einsum("bij,bjk->bik", a, b), [(2, 3, 4), (2, 4, 5)], 120),
    "einsum_attention": (lambda q, k: torch.einsum("bhqd,bhkd->bhqk", q, k), [(1, 8, 16, 64)] * 2, 131_072),
}


@pytest.mark.parametrize("case", TORCHPROFILE_OPERATORS)
def test_the_operators_of_torchprofile_s_tests(case):
    function, shapes, expected = TORCHPROFILE_OPERATORS[case]
    model = function if isinstance(function, nn.Module) else Call(function)
    args = [torch.zeros(shape) for shape in shapes]
    assert effkit.profile(model, *args).macs == expected == macs_by("torchprofile", model, *args)


def test_llama_2_as_calflops_publishes_it():
    """README of calflops: llama2-7b, 128 tokens, 6,738,415,616 parameters, 850 GMACs."""
    sizes = {"vocab_size": 32_000, "embed_dim": 4_096, "num_layers": 32, "num_heads": 32, "num_kv_heads": 32}
    with torch.device("meta"):
        profile = effkit.profile(zoo.llama3(**sizes, ffn_dim=11_008), example("llama3"))
    assert profile.params == 6_738_415_616
    assert f"{profile.macs / 1e9:.2f}" == "850.00"


def test_bert_as_calflops_publishes_it():
    """README of calflops: a BERT-base encoder with its pooler, 128 tokens: 11.17 GMACs."""
    layer = nn.TransformerEncoderLayer(768, 12, 3_072, batch_first=True, device="meta")
    encoder, pooler = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False), nn.Linear(768, 768, device="meta")
    profile = effkit.profile(Call(lambda x: pooler(encoder(x)[:, 0])), torch.empty(1, 128, 768, device="meta"))
    assert f"{profile.macs / 1e9:.2f}" == "11.17"


# Every counter beside effkit, each difference explained


@pytest.mark.parametrize("name", MACS)
def test_both_roads_to_the_quantities_agree(name):
    model, x = build(name), example(name)
    assert quantities.from_profile(effkit.profile(model, x), model) == quantities.from_calls(model, x)


def unexplained(result):
    """Return what is left over for each required counter: of its MACs, of its parameters, and its error."""
    rows = {row.reading.peer.name: row for row in result.rows}
    return {name: (rows[name].unexplained, rows[name].params_unexplained, rows[name].reading.error) for name in REQUIRED}


@pytest.mark.parametrize("name", ["vgg_cifar", "resnet18", "vit_b_16", "gpt2"])
def test_each_difference_on_a_small_network_is_explained(name):
    model, x = tiny(name)
    assert unexplained(reconcile.reconcile(name, model, x[:1])) == dict.fromkeys(REQUIRED, (0, 0, ""))


@pytest.mark.parametrize("name", TINY)
def test_each_difference_on_meta_is_explained(name):
    options, size = TINY[name]
    x = torch.zeros(1, size, dtype=torch.long) if name in DECODERS else torch.zeros(1, 3, size, size)
    left = unexplained(reconcile.reconcile(name, on_meta(getattr(zoo, name), **options), x.to("meta")))
    on_meta_too = [peer for peer in REQUIRED if peer not in TRACERS]
    assert {peer: left[peer] for peer in on_meta_too} == dict.fromkeys(on_meta_too, (0, 0, ""))


def test_what_no_reason_explains_is_said(monkeypatch):
    monkeypatch.setitem(reconcile.CONVENTIONS, "ptflops aten", ())
    monkeypatch.setattr(reconcile, "PARAMS_CONVENTIONS", {})
    model, x = tiny("gpt2")
    result = reconcile.reconcile("gpt2", model, x[:1])
    rows = {row.reading.peer.name: row for row in result.rows}
    attention, bias, tied = 2 * 2 * 12 * 12 * 16, 2 * 12 * (48 + 16 + 64 + 16), 50 * 16
    assert reconcile.explanation(rows["ptflops aten"]) == [f"not explained: {bias - attention:+,}"]
    assert reconcile.params(rows["torchinfo"])[1:] == [f"not explained: {tied:+,}"]


# The page of the documentation

PAGE = (ROOT / "docs" / "counters.md").read_text(encoding="utf-8").splitlines()
ON_THE_PAGE = ["alexnet", "resnet50", "vit_b_16", "gpt2"]


def test_the_page_shows_what_the_command_prints():
    result = reconcile.of_zoo("alexnet", "cpu")  # the others would take the CPU too long
    installed = [row.reading.peer.name for row in result.rows if not row.reading.error]
    assert {*REQUIRED, "FlopCounterMode on meta"} <= set(installed)
    shown = tuple(f"| {peer} " for peer in installed)
    assert [line for line in reconcile.as_markdown(result).splitlines() if line.startswith(shown) and line not in PAGE] == []


@pytest.mark.parametrize("name", ON_THE_PAGE)
def test_the_page_shows_what_effkit_counts(name):
    model, x = build(name), example(name)
    profile = effkit.profile(model, x)
    tally = quantities.from_profile(profile, model)
    title = f"{name}, {describe(name)}, on the CPU"
    result = reconcile.Reconciliation(title, profile.macs, profile.params, (tally, tally), ())
    first, *lists = (f"**{reconcile.headline(result)}.**", *reconcile.quantities(result))
    begin = PAGE.index(first)
    end = begin + PAGE[begin:].index("### Row by row")
    assert PAGE[end - len(lists[1:]) - 1 : end - 1] == lists[1:]


def integers(cell):
    """Return the numbers at the beginning of each line of a cell."""
    return [int(number.replace(",", "")) for number in re.findall(r"(?:^|<br>)([+-]?[\d,]+)(?=:|$| )", cell)]


def test_the_reasons_on_the_page_add_up():
    macs, rows = 0, 0
    for line in PAGE:
        if line.startswith("**"):
            macs = int(re.search(r"counts ([\d,]+) MACs", line)[1].replace(",", ""))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[1][:1].isdigit():
            (figure,), (difference,) = integers(cells[1]), integers(cells[3])
            unit = 2 if cells[4].startswith("1 MAC is 2 FLOPs") else 1
            reasons = integers(cells[4].removeprefix("1 MAC is 2 FLOPs<br>"))
            assert figure == unit * (macs + difference)
            assert sum(reasons) == difference
            assert cells[4].endswith("explained exactly" if reasons else "equal")
            rows += 1
    assert rows == len(ON_THE_PAGE) * (len(peers.PEERS) + 1)


# The adapters


def state(model):
    """Return what a counter could change in a model."""
    modules = [
        (name, module.training, sorted(vars(module)), len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in model.named_modules()
    ]
    return modules, list(model.state_dict())


def torch_functions():
    """Return what a counter could change in torch."""
    return [dict(vars(place)) for place in (torch, torch.Tensor, nn.functional)]


@pytest.mark.parametrize("peer", [p for p in peers.PEERS if p.version], ids=lambda peer: peer.name)
@pytest.mark.parametrize("fails", [False, True])
def test_a_counter_leaves_nothing_behind_and_prints_nothing(peer, fails, capfd):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2 if fails else 4))
    x = torch.zeros(1, 3, 5, 5) if fails else torch.zeros(1, 3, 3, 3)
    before, functions = state(model), torch_functions()
    reading = peers.ask(peer, model, x)
    assert bool(reading.error) == fails == (reading.figure is None)
    assert state(model) == before
    assert torch_functions() == functions
    assert capfd.readouterr() == ("", "")


def misbehave(model, args):
    """Count as badly as can be."""
    print("hello")
    model.register_buffer("total_ops", torch.zeros(1))
    torch.add = torch.Tensor.new_name = None
    raise KeyError("no such layer")


def test_what_a_counter_does_wrong_is_its_result(capfd):
    model = nn.Linear(2, 2)
    before, functions = state(model), torch_functions()
    reading = peers.ask(peers.Peer("bad", "torch", "MACs", 1, misbehave), model, torch.zeros(1, 2))
    assert reading.error == "KeyError: 'no such layer'"
    assert (state(model), torch_functions(), capfd.readouterr()) == (before, functions, ("", ""))


def test_a_counter_that_is_not_installed_says_so():
    reading = peers.ask(peers.Peer("absent", "no-such-counter", "MACs", 1, misbehave), nn.Linear(2, 2), torch.zeros(1, 2))
    assert reading.error == "not installed: pip install no-such-counter"
    assert reading.macs is None
