"""The `effkit profile` command, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from effkit import counts
from effkit.course.cli import main

ROOT = Path(__file__).parents[2]
MODELS = '''
import torch
from torch import nn

layer = nn.Linear(4, 8)
frozen = nn.Linear(4, 8).requires_grad_(False)
number = 3


class Group:
    class Inner(nn.Linear):
        def __init__(self):
            super().__init__(4, 8)


class Wide(nn.Module):
    def __init__(self, width):
        super().__init__()


class Chooses(nn.Module):
    """Looks at numbers when it is made and when it runs."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 8), torch.ones(2).sum().item()

    def forward(self, x):
        return self.layer(x) if x.sum() <= 0 else x


class Huge(nn.Linear):
    def __init__(self):
        super().__init__(10**7, 10**7, bias=False)


class Drops(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 8), nn.Dropout())


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        open("no/such/file")


class Two(nn.Module):
    def forward(self, x, indices):
        return x[indices] @ x.T


def function():
    return lambda x: x @ x.T


def fails():
    raise RuntimeError("first line\\nsecond line")
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a module of models, one that cannot be imported, and one that is no Python."""
    path = tmp_path_factory.mktemp("models")
    (path / "mymodels.py").write_text(MODELS)
    (path / "broken.py").write_text("import torch\nraise AttributeError('nothing here')\n")
    (path / "syntax.py").write_text("def f(:\n")
    return path


def as_a_user(folder, *arguments):
    """Run the command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "effkit", "profile", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def effkit(folder, monkeypatch, capsys):
    """Return what runs the command in that folder, here: starting torch takes longer than all the rest."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        try:
            status = main(["profile", *arguments])
        except SystemExit as ended:
            status = ended.code
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    yield run
    for name in ("mymodels", "broken", "syntax"):
        sys.modules.pop(name, None)


def test_a_model_of_the_zoo_is_profiled_on_a_device_and_in_training(folder):
    done = as_a_user(folder, "effkit.zoo:resnet18", "--input", "1x3x224x224", "--on", "t4:fp16", "--training")
    assert (done.returncode, done.stderr) == (0, "")
    profile, placement, training = done.stdout.rstrip("\n").split("\n\nT4, fp16: ")[0], *done.stdout.split("\n\n")[-2:]
    assert "MACs         1,814,073,344" in profile
    assert "FLOPs        3,628,146,688 (2 × MACs)" in profile
    assert "params       11,689,512 (and 9,620 in buffers)" in profile
    assert "Convention: 1 MAC = 2 FLOPs" in profile
    assert placement.startswith("T4, fp16: at least ") and "compute-bound" in placement
    assert training.startswith("Sequential: forward 3,628,146,688 FLOPs, backward ")


def test_json_has_everything(folder):
    done = as_a_user(folder, "mymodels:layer", "--input", "2x4", "--json", "--on", "t4:fp16", "--training")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    macs = counts.linear_macs(4, 8, batch=2)
    assert (found["macs"], found["params"], found["model"], found["on"]) == (macs, 40, "Linear", "t4:fp16")
    assert found["time_s"] == (8 + 40 + 16) * 2 / 320e9
    assert found["training"]["backward_macs"] == macs
    assert [layer["name"] for layer in found["layers"]] == ["Linear"]


def test_json_without_more_is_the_profile_alone(effkit):
    found = json.loads(effkit("mymodels:Group.Inner", "--input", "2x4", "--json").stdout)
    assert found["macs"] == counts.linear_macs(4, 8, batch=2)
    assert "training" not in found and "on" not in found


def test_evaluation_is_the_default_mode(effkit):
    evaluated, trained = (
        json.loads(effkit("mymodels:Drops", "--input", "2x4", "--json", *options).stdout) for options in ((), ("--train",))
    )
    assert [layer["kind"] for layer in evaluated["layers"]] == ["linear"]
    assert "elementwise" in [layer["kind"] for layer in trained["layers"]]
    assert evaluated["macs"] == trained["macs"]


def test_a_model_that_looks_at_its_numbers_is_made_with_numbers(effkit):
    done = effkit("mymodels:Chooses", "--input", "2x4", "--json")
    found = json.loads(done.stdout)
    assert (found["macs"], found["device"]) == (64, "cpu")
    assert found["notes"][0].startswith("Run with real numbers, because on the meta device it fails")


def test_a_model_that_no_memory_holds_is_profiled(effkit):
    found = json.loads(effkit("mymodels:Huge", "--input", "2x10000000", "--json").stdout)
    assert (found["macs"], found["model_size"], found["device"]) == (2 * 10**14, 4 * 10**14, "meta")


def test_inputs_have_dtypes_and_there_may_be_several(effkit):
    found = json.loads(effkit("mymodels:Two", "--input", "6x4", "--input", "3:int64", "--json").stdout)
    assert found["macs"] == 3 * 6 * 4
    assert found["layers"][0]["input_shapes"] == [[6, 4], [3]]


def test_a_function_may_make_a_function(effkit):
    assert json.loads(effkit("mymodels:function", "--input", "3x4", "--json").stdout)["macs"] == 36


ERRORS = {
    ("mymodels", "--input", "2x4"): "the model must be given as MODULE:NAME, such as effkit.zoo:resnet50, not 'mymodels'",
    (":layer",): "the model must be given as MODULE:NAME, such as effkit.zoo:resnet50, not ':layer'",
    ("nowhere:net",): "nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
    ("broken:net",): "broken cannot be imported: AttributeError: nothing here",
    ("syntax:net",): "syntax cannot be imported: SyntaxError: invalid syntax (syntax.py, line 1)",
    ("mymodels:nothing",): "mymodels has no 'nothing'",
    ("mymodels:Group.nothing",): "mymodels has no 'Group.nothing'",
    ("mymodels:number",): "mymodels:number is no model, class or function, but 3",
    ("mymodels:fails",): "mymodels:fails cannot be made: RuntimeError: first line",
    (
        "mymodels:Reads",
    ): "mymodels:Reads cannot be made: FileNotFoundError: [Errno 2] No such file or directory: 'no/such/file'",
    (
        "mymodels:Wide",
    ): "mymodels:Wide cannot be made: TypeError: Wide.__init__() missing 1 required positional argument: 'width'",
    ("mymodels:layer", "--input", "2x5"): "the pass failed in Linear: RuntimeError: ",
    (
        "mymodels:Chooses",
        "--input",
        "2x5",
    ): "the pass failed in layer: RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    (
        "mymodels:layer",
    ): "the pass failed in Linear: TypeError: Linear.forward() missing 1 required positional argument: 'input'",
    ("mymodels:layer", "--input", "2x4", "--on", "t4"): "--on must be DEVICE:DTYPE, such as t4:fp16, not 't4'",
    ("mymodels:layer", "--input", "2x4", "--on", "t5:fp16"): "effkit.hardware has no 't5'; did you mean 't4'",
    ("mymodels:layer", "--input", "2x4", "--on", "t4:bf16"): "dtype must be one that T4 has a peak for (fp32, fp16, int8",
    ("mymodels:frozen", "--input", "2x4", "--training"): "model must have an output that needs a gradient",
}


@pytest.mark.parametrize("arguments", [("mymodels:layer", "--input", "2x5"), ("mymodels:fails",)], ids=" ".join)
def test_an_error_of_the_model_has_no_traceback(folder, arguments):
    done = as_a_user(folder, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"effkit: {ERRORS[arguments]}")


@pytest.mark.parametrize("arguments", ERRORS, ids=" ".join)
def test_an_error_is_one_line_and_status_2(effkit, arguments):
    done = effkit(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"effkit: {ERRORS[arguments]}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("shape", ["2xa", "", "2x", "-2x4", "2x4:int99", "2x4:zeros", "2,4"])
def test_an_input_that_is_no_shape_is_refused_with_an_example(effkit, shape):
    done = effkit("mymodels:layer", f"--input={shape}")
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.splitlines()[-1]
    assert last == f"effkit profile: error: argument --input: must be like 1x3x224x224 or 1x128:int64, not {shape!r}"
