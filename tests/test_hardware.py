"""The presets: an audit of every figure, ridge points against the published table, and no sparse peaks."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import effkit
from effkit import hardware

ROOT = Path(__file__).parents[1]
RECORDS = json.loads((ROOT / "effkit" / "hardware.json").read_text(encoding="utf-8"))
RIDGE_POINTS = list(csv.DictReader((ROOT / "tests" / "data" / "ridge_points.csv").open(encoding="utf-8")))
DEVICES = [hardware[key] for key in hardware]


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def key_of(dtype):
    """Return the key of a peak that the published table names with the unit that it runs on."""
    if dtype == "fp16_tc_fp16acc":
        return "fp16_fp16acc"
    return dtype.split("_")[0]


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.key)
def test_no_figure_lacks_its_unit_source_and_confidence(device):
    figures = [device.bandwidth, *([device.memory] if device.memory else []), *device.peaks.values()]
    assert device.peaks
    for figure in figures:
        assert figure.value > 0
        assert figure.unit in ("bytes/s", "bytes", "FLOP/s", "OP/s")
        assert figure.confidence in ("high", "medium", "low")
        assert len(figure.source) > 10


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
def test_no_figure_of_the_file_lacks_its_confidence_or_a_source(record):
    assert record["source"]
    assert record["note"]
    figures = [record[name] for name in ("bandwidth", "memory", "on_chip") if name in record]
    for figure in [*figures, *record["peaks"].values()]:
        assert figure["confidence"] in ("high", "medium", "low")


def test_the_table_has_each_device_and_each_of_its_peaks():
    published = {(slug(row["device"]), key_of(row["dtype"])) for row in RIDGE_POINTS}
    assert published == {(device.key, dtype) for device in DEVICES for dtype in device.peaks}


@pytest.mark.parametrize("row", RIDGE_POINTS, ids=lambda row: f"{slug(row['device'])} {row['dtype']}")
def test_ridge_points_are_those_of_the_published_table(row):
    ridge_point = hardware[slug(row["device"])].roofline(key_of(row["dtype"])).ridge_point
    assert ridge_point == pytest.approx(float(row["ridge_point"]), abs=0.0051)


# What the makers print with 2:4 sparsity, in 10^12 a second.
SPARSE = {
    "a100-40gb-sxm-pcie": {"tf32": 312, "fp16": 624, "bf16": 624, "int8": 1248},
    "a100-80gb-sxm": {"tf32": 312, "fp16": 624, "bf16": 624, "int8": 1248},
    "h100-sxm5": {"tf32": 989.4, "fp16": 1979, "bf16": 1979, "fp8": 3958, "int8": 3958},
    "h200-sxm": {"tf32": 989.4, "fp16": 1979, "bf16": 1979, "fp8": 3958, "int8": 3958},
    "b200-sxm-hgx-dgx": {"tf32": 2250, "fp16": 4500, "bf16": 4500, "fp8": 9000, "int8": 9000, "fp4": 18000},
    "l4": {"tf32": 120, "fp16": 242, "bf16": 242, "fp8": 485, "int8": 485},
    "rtx-4090": {"tf32": 165.2, "fp16": 330.4, "bf16": 330.4, "fp16_fp16acc": 660.6, "fp8": 660.6, "int8": 1321.2},
    "jetson-orin-nano-8gb": {"int8": 40},
    "jetson-orin-nano-super": {"int8": 67},
}


@pytest.mark.parametrize("key", SPARSE)
def test_no_peak_is_a_sparse_one(key):
    peaks = {dtype: figure.value for dtype, figure in hardware[key].peaks.items() if dtype in SPARSE[key]}
    halves = {dtype: sparse * 1e12 / 2 for dtype, sparse in SPARSE[key].items()}
    assert peaks == pytest.approx(halves, rel=0.005)


@pytest.mark.parametrize(
    ("key", "dtype", "units", "fma", "hertz"),
    [
        ("a100-80gb-sxm", "fp16", 432, 256, 1.41e9),
        ("a100-40gb-sxm-pcie", "bf16", 432, 256, 1.41e9),
        ("h100-sxm5", "fp16", 528, 512, 1.83e9),
        ("h200-sxm", "bf16", 528, 512, 1.83e9),
        ("v100-sxm2", "fp16", 640, 64, 1.53e9),
        ("t4", "fp16", 320, 64, 1.59e9),
        ("rtx-4090", "fp32", 16384, 1, 2.52e9),
        ("jetson-orin-nano-8gb", "fp16", 32, 256, 0.625e9),
        ("jetson-orin-nano-super", "fp16", 32, 256, 1.02e9),
        ("jetson-nano-maxwell", "fp16", 128, 2, 0.9216e9),
        ("amd-epyc-7763", "fp32", 64, 16, 2.45e9),
        ("raspberry-pi-4b", "fp32", 4, 4, 1.5e9),
        ("raspberry-pi-5", "fp32", 4, 8, 2.4e9),
        ("stm32f746", "fp32", 1, 1, 216e6),
    ],
)
def test_peaks_are_units_times_two_flops_times_clock(key, dtype, units, fma, hertz):
    assert hardware[key].peaks[dtype].value == pytest.approx(units * fma * 2 * hertz, rel=0.005)


def test_tensor_core_peaks_add_in_fp32_where_the_device_has_both():
    peaks = hardware["rtx-4090"].peaks
    assert peaks["fp16"].value == 165.2e12
    assert peaks["fp16"].unit_used == "tensor cores, FP32 accumulation"
    assert peaks["fp16_fp16acc"].value == 330.3e12
    assert hardware["a100-80gb-sxm"].roofline("fp32").peak_flops_per_s == 19.5e12  # CUDA cores, not TF32


def test_module_and_table_are_one_object():
    code = (
        "import effkit.hardware as h, effkit; from effkit import hardware; print(h is hardware is effkit.hardware, len(h))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.stdout == f"True {len(DEVICES)}\n", run.stderr
    assert effkit.hardware["t4"] is hardware["t4"]


def test_keys_are_slugs_of_the_names():
    assert list(hardware) == [slug(record["name"]) for record in RECORDS]
    assert "a100-80gb-sxm" in hardware


def test_a_key_may_be_cut_short_where_one_device_begins_so():
    assert hardware["a100-80gb"] is hardware["a100-80gb-sxm"]
    assert hardware["tpu-v4"].name == "TPU v4 (chip)"


@pytest.mark.parametrize(
    ("key", "offer"),
    [
        ("a100", "'a100-40gb-sxm-pcie' or 'a100-80gb-sxm'"),
        ("H100-SXM", "'h100-sxm5'"),
        ("jetson-orin-nano", "'jetson-orin-nano-8gb' or 'jetson-orin-nano-super'"),
        ("a100-80gb-sx", "'a100-80gb-sxm'"),
    ],
)
def test_an_unknown_device_offers_the_nearest_names(key, offer):
    with pytest.raises(KeyError, match=f"effkit.hardware has no '{key}'; did you mean .*{offer}"):
        hardware[key]


@pytest.mark.parametrize("dtype", ["bf16", "fp16_tc", "", None])
def test_a_dtype_without_a_peak_names_those_that_there_are(dtype):
    with pytest.raises(ValueError, match=r"dtype must be one that T4 has a peak for \(fp32, fp16, int8, int4\), not"):
        hardware["t4"].roofline(dtype)


def test_a_device_is_shown_with_its_bandwidth_and_dense_peaks():
    assert repr(hardware["l4"]) == (
        "L4: 300 GB/s to 24 GB; dense peaks in 10^12 a second: fp32 30.3, tf32 60, fp16 121, bf16 121, fp8 242.5, int8 242.5"
    )
    assert repr(hardware["amd-epyc-7763"]).startswith("AMD EPYC 7763 (64c Zen3, 8ch DDR4-3200): 204.8 GB/s; dense peaks")
    assert "effkit.hardware['l4']  L4: 300 GB/s" in repr(hardware)


def test_presets_cannot_be_changed():
    with pytest.raises(AttributeError):
        hardware["t4"].name = "T5"
    with pytest.raises(TypeError):
        hardware["t4"].peaks["fp16"] = None
