"""A profile as a text, as HTML, as JSON, as a table, beside another one, and on a machine."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pandas
import pytest
import torch
from torch import nn

from effkit import Roofline, hardware, profile, zoo


@pytest.fixture(scope="module")
def perceptron():
    model = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10))
    return profile(model, torch.zeros(32, 200))


@pytest.fixture(scope="module")
def decoder():
    model = zoo.gpt2(vocab_size=50, context_length=8, embed_dim=16, num_layers=2, num_heads=2)
    return profile(model, torch.zeros(2, 8, dtype=torch.long))


# Text


def test_the_text_has_every_total_with_its_unit(perceptron):
    lines = dict(re.split(r"\s{2,}|(?<=\S) (?=\d)", line, maxsplit=1) for line in repr(perceptron).splitlines()[1:9])
    assert lines == {
        "params": "21,110",
        "model size": "84,440 bytes (0.08444 MB, 0.08053 MiB)",
        "MACs": "672,000",
        "FLOPs": "1,344,000 (2 × MACs)",
        "other ops": "6,720",
        "activations": "9,920 elements",
        "peak": "9,600 elements in one layer; 9,600 with everything still needed",
        "bytes moved": "162,520",
    }


def test_the_text_has_a_row_for_each_layer_and_the_convention(perceptron):
    text = repr(perceptron)
    assert re.search(r"^0 +linear +32×100 +20,100 +640,000 +3,200 +118,800 +10\.8$", text, re.MULTILINE)
    assert re.search(r"^1 +activation +32×100 +25,600 +0\.125$", text, re.MULTILINE)
    assert "Convention: 1 MAC = 2 FLOPs; biases," in text
    assert "padding taps count, causal attention is not halved" in text
    assert "NOT COUNTED" not in text
    assert max(map(len, text.splitlines()[:14])) < 125


def test_buffers_are_told_apart_from_parameters():
    found = profile(nn.BatchNorm1d(10).eval(), torch.zeros(2, 10))
    assert (found.params, found.buffers) == (20, 21)
    assert "params       20 (and 21 in buffers)" in repr(found)


def test_a_long_model_is_shortened_and_equal_calls_share_a_row():
    found = profile(nn.Sequential(*[nn.Linear(4, 4) for _ in range(100)]), torch.zeros(1, 4))
    text = repr(found)
    assert len(text.splitlines()) < 60
    assert "... 61 more (to_dataframe() has all)" in text
    assert re.search(r"^33 +linear", text, re.MULTILINE) and re.search(r"^95 +linear", text, re.MULTILINE)
    shown = [line for line in text.splitlines() if " linear " in line]
    assert len(shown) + 61 == 100
    again = profile(lambda x: x @ x @ x @ x, torch.zeros(4, 4))
    assert re.search(r"matmul × 3 +4×4 +192 +48 +576 +0\.667$", repr(again), re.MULTILINE)


def test_a_profile_of_nothing_has_a_text():
    assert "MACs         0" in repr(profile(nn.Identity(), torch.zeros(3)))
    assert "scalar" in repr(profile(lambda x: x.sum(), torch.zeros(3)))


# HTML


class Tags(HTMLParser):
    """Checks that each tag is closed, and counts them."""

    def __init__(self):
        super().__init__()
        self.open, self.counts, self.text = [], {}, []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(html):
    tags = Tags()
    tags.feed(html)
    tags.close()
    assert tags.open == []
    return tags


def test_the_html_is_well_formed_and_has_all_layers(decoder):
    tags = parsed(decoder._repr_html_())
    assert tags.counts["table"] == 2
    assert f"{len(decoder.layers):,} operator calls" in tags.text
    assert f"{decoder.macs:,}" in tags.text
    assert any(text.startswith("Convention: 1 MAC = 2 FLOPs") for text in tags.text)


def test_names_are_escaped_in_html():
    class Odd(nn.Module):
        def forward(self, x):
            return x * 2

    Odd.__name__ = "<script>&\"'"
    found = profile(nn.ModuleDict({"<b>&": Odd()})["<b>&"], torch.zeros(3))
    for html in (found._repr_html_(), found.compare(found)._repr_html_()):
        assert "<script>" not in html
        assert "<script>&\"'" in parsed(html).text
    assert "<script>" in repr(found)


# JSON and tables


def test_a_profile_survives_json(decoder):
    record = json.loads(decoder.to_json())
    assert record == json.loads(json.dumps(decoder.to_dict())) == decoder.to_dict()
    totals = ("params", "buffers", "macs", "flops", "other_ops", "activations", "peak_activations", "bytes_moved")
    assert {name: record[name] for name in totals} == {name: getattr(decoder, name) for name in totals}
    assert record["peak_live_activations"] == decoder.peak("live")
    assert record["model_size"] == decoder.model_size()
    assert record["matmul_activations"] == decoder.matmul_activations < decoder.activations
    assert (record["model"], record["device"], record["uncounted"], record["notes"]) == ("Sequential", "meta", {}, [])
    assert decoder.to_json(indent=2).startswith('{\n  "model"')


def test_the_totals_are_the_sums_over_the_layers(decoder):
    layers = decoder.to_dict()["layers"]
    for name in ("macs", "flops", "other_ops", "bytes_moved", "params"):
        assert sum(layer[name] for layer in layers) == getattr(decoder, name)
    assert decoder.input_elements + sum(layer["activations"] for layer in layers) == decoder.activations
    assert all(layer["flops"] == 2 * layer["macs"] for layer in layers)
    first = layers[1]  # after the positions
    assert (first["name"], first["kind"], first["operator"]) == ("embedding.tokens", "embedding", "aten.embedding")
    assert (first["input_shapes"], first["output_shape"], first["bits"]) == ([[2, 8]], [2, 8, 16], 32)


def test_the_bytes_of_a_layer_are_those_of_its_numbers_and_its_integers(decoder):
    for layer in decoder.layers:
        assert layer.bytes_moved == 4 * layer.elements_moved + layer.other_bytes
    assert decoder.layers[1].other_bytes == 16 * 8  # the indices of the embedding


def test_a_table_has_a_row_for_each_layer(decoder):
    table = decoder.to_dataframe()
    assert isinstance(table, pandas.DataFrame)
    assert len(table) == len(decoder.layers)
    assert table["macs"].sum() == decoder.macs
    assert list(table["name"]) == [layer.name for layer in decoder.layers]


def test_without_pandas_a_table_says_what_to_install(decoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_dataframe needs pandas: pip install pandas"):
        decoder.to_dataframe()


def test_records_and_results_cannot_be_changed(decoder):
    for record, name in ((decoder, "params"), (decoder.layers[0], "macs"), (decoder.on("t4", "fp16"), "layers")):
        with pytest.raises(AttributeError):
            setattr(record, name, 0)


# Sizes


def test_a_model_has_a_size_at_any_number_of_bits(perceptron):
    assert perceptron.model_size() == 4 * 21_110
    assert perceptron.model_size(bits=8) == 21_110
    assert perceptron.model_size(bits=4) == 21_110 // 2
    assert perceptron.model_size(bits=1) == -(-21_110 // 8)  # rounded up
    assert perceptron.peak_size(bits=1) == 9_600 // 8
    assert profile(nn.Identity(), torch.zeros(3)).peak_size(bits=4) == 2
    assert profile(nn.Identity(), torch.zeros(3)).peak_size("live", bits=4) == 2
    assert profile(nn.Identity(), torch.zeros(3, dtype=torch.float16)).peak_size() == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.model_size(bits=0), "bits must be at least 1, not 0"),
        (lambda p: p.model_size(2.5), "bits must be an integer, not 2.5"),
        (lambda p: p.peak_size(bits=0), "bits must be at least 1, not 0"),
        (lambda p: p.peak("both"), "rule must be 'layer' or 'live', not 'both'"),
        (lambda p: p.peak_size("both"), "rule must be 'layer' or 'live', not 'both'"),
        (lambda p: p.peak("live", inplace_depthwise=True), "inplace_depthwise goes with the rule 'layer'"),
    ],
)
def test_sizes_and_rules_that_make_no_sense_are_refused(perceptron, call, message):
    with pytest.raises(ValueError, match=message):
        call(perceptron)


# Comparison


def test_two_profiles_are_compared_total_by_total(perceptron, decoder):
    found = perceptron.compare(decoder)
    rows = {name: (a, b, ratio) for name, a, b, ratio in found.rows()}
    assert rows["macs"] == (perceptron.macs, decoder.macs, decoder.macs / perceptron.macs)
    assert rows["peak_live_activations"][:2] == (perceptron.peak("live"), decoder.peak("live"))
    assert set(rows) == {
        *("params", "macs", "flops", "other_ops", "activations", "peak_activations", "bytes_moved"),
        *("peak_live_activations", "model_size"),
    }
    assert re.search(rf"^params +21,110 +{decoder.params:,} +0\.\d+$", repr(found), re.MULTILINE)
    assert parsed(found._repr_html_()).counts["tr"] == 1 + len(rows)


def test_a_ratio_to_nothing_is_left_out(perceptron):
    nothing = profile(nn.Identity(), torch.zeros(3))
    ratios = {name: ratio for name, _, _, ratio in nothing.compare(perceptron).rows()}
    assert ratios["macs"] is None
    assert ratios["activations"] == perceptron.activations / 3
    assert re.search(r"^macs +0 +672,000$", repr(nothing.compare(perceptron)), re.MULTILINE)


# On a machine

MACHINE = Roofline(peak_flops_per_s=1e6, bandwidth_bytes_per_s=1e5)  # ridge point 10 FLOPs/byte


def test_each_layer_takes_the_longer_of_computing_and_moving(perceptron):
    placed = perceptron.on(MACHINE, "fp32")
    assert [p.layer for p in placed.layers] == list(perceptron.layers)
    first, relu, last = placed.layers
    assert (first.bound, first.time_s) == ("compute-bound", 1_280_000 / 1e6)
    assert (relu.bound, relu.time_s) == ("memory-bound", 25_600 / 1e5)
    assert (last.bound, last.time_s) == ("memory-bound", 18_120 / 1e5)
    assert first.arithmetic_intensity == 1_280_000 / 118_800
    assert placed.time_s == sum(p.time_s for p in placed.layers)
    memory = sum(p.time_s for p in placed.layers if p.bound == "memory-bound")
    assert placed.memory_bound_share == memory / placed.time_s
    assert placed.flops_per_s == perceptron.flops / placed.time_s <= MACHINE.peak_flops_per_s


BITS = {"fp64": 64, "fp32": 32, "tf32": 32, "bf16": 16, "fp16": 16, "fp16_fp16acc": 16, "fp8": 8, "fp8_e4m3": 8, "fp4": 4}


@pytest.mark.parametrize(("dtype", "bits"), {**BITS, "int8": 8, "int4": 4}.items())
def test_the_dtype_of_the_run_sets_the_size_of_each_number(perceptron, decoder, dtype, bits):
    for found in (perceptron, decoder):
        for placed in found.on(MACHINE, dtype).layers:
            expected = placed.layer.elements_moved * bits / 8 + placed.layer.other_bytes  # integers keep their size
            assert placed.bytes_moved == expected
            assert placed.time_s == max(placed.layer.ops / 1e6, expected / 1e5)
    assert any(layer.other_bytes for layer in decoder.layers)


def test_half_the_bytes_make_a_layer_compute_bound(perceptron):
    machine = Roofline(peak_flops_per_s=1.5e6, bandwidth_bytes_per_s=1e5)
    assert perceptron.on(machine, "fp32").layers[0].bound == "memory-bound"
    assert perceptron.on(machine, "fp16").layers[0].bound == "compute-bound"


def test_a_layer_without_macs_takes_the_time_of_its_other_operations(perceptron):
    slow = perceptron.on(Roofline(peak_flops_per_s=100, bandwidth_bytes_per_s=1e9), "fp32")
    assert (slow.layers[1].bound, slow.layers[1].time_s) == ("compute-bound", 32)


def test_a_device_is_given_by_key_by_its_beginning_or_itself(perceptron):
    by_key = perceptron.on("a100-80gb-sxm", "fp16")
    assert by_key.layers == perceptron.on(hardware["a100-80gb-sxm"], "fp16").layers
    assert by_key.layers == perceptron.on(hardware["a100-80gb-sxm"].roofline("fp16"), "fp16").layers
    assert by_key.machine == "A100 80GB SXM"
    assert perceptron.on("h100", "fp8").machine == perceptron.on("h100-sxm5", "fp8").machine
    assert perceptron.on("rtx-4090", "fp16_fp16acc").time_s <= perceptron.on("rtx-4090", "fp16").time_s


@pytest.mark.parametrize(
    ("machine", "dtype", "error", "message"),
    [
        ("a1000", "fp16", KeyError, "effkit.hardware has no 'a1000'; did you mean 'a100-80gb-sxm'"),
        ("t4", "bf16", ValueError, r"dtype must be one that T4 has a peak for \(fp32, fp16, int8, int4\), not 'bf16'"),
        ("t4", "fp17", ValueError, "dtype must be one of fp64, fp32, tf32, bf16, fp16, .* not 'fp17'"),
        ("t4", 16, ValueError, "dtype must be one of .* not 16"),
        (MACHINE, "fp", ValueError, "dtype must be one of .* not 'fp'"),
        (312e12, "fp16", TypeError, "hardware must be a key of effkit.hardware, one of its devices or a Roofline, not 312"),
    ],
)
def test_a_machine_or_dtype_that_is_unknown_is_refused(perceptron, machine, dtype, error, message):
    with pytest.raises(error, match=message):
        perceptron.on(machine, dtype)


def test_a_placement_is_summed_up_by_kind_of_layer(perceptron):
    placed = perceptron.on("t4", "fp16")
    text = repr(placed)
    assert re.match(
        r"T4, fp16: at least [\d.e-]+ ms, 100% of it in memory-bound layers \(ridge point 203\.1 FLOPs/byte\)\n", text
    )
    assert re.search(r"^linear +2 +[\d.]+ µs +[\d.]+% +0 of 2$", text, re.MULTILINE)
    shares = [float(share) for share in re.findall(r"([\d.]+)%  ", text)]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert shares == sorted(shares, reverse=True)
    tags = parsed(placed._repr_html_())
    assert tags.counts["tr"] == 3
    assert text.splitlines()[0] in tags.text


def test_nothing_takes_no_time():
    placed = profile(nn.Identity(), torch.zeros(3)).on("t4", "fp16")
    assert (placed.time_s, placed.memory_bound_share, placed.flops_per_s, placed.layers) == (0, 0, 0, ())
    assert "at least 0 ms" in repr(placed)


def test_an_empty_batch_moves_its_weights_alone():
    found = profile(nn.Linear(4, 5), torch.zeros(0, 4))
    assert (found.macs, found.bytes_moved, found.activations) == (0, 4 * 25, 0)
    assert found.on("t4", "fp32").layers[0].bound == "memory-bound"


def test_importing_effkit_does_not_import_torch():
    code = "import sys, effkit; effkit.profile; print('torch' in sys.modules)"
    before = "import sys, effkit; print('torch' in sys.modules, 'profile' in dir(effkit))"
    run = [
        subprocess.run([sys.executable, "-c", c], capture_output=True, text=True, check=True).stdout for c in (before, code)
    ]
    assert run == ["False True\n", "True\n"]
