"""Number formats, held against torch and against every code of a format read one by one."""

import math

import numpy as np
import pytest
import torch

from effkit import dtypes

TORCH_FLOATS = {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}
TORCH_INTEGERS = {"int32": torch.int32, "int8": torch.int8}


@pytest.mark.parametrize(("name", "dtype"), TORCH_FLOATS.items())
def test_floating_formats_are_torch_s(name, dtype):
    row, info = dtypes[name], torch.finfo(dtype)
    assert (row.bits, row.max, row.min) == (info.bits, info.max, info.min)
    assert (row.eps, row.min_normal) == (info.eps, info.smallest_normal)


@pytest.mark.parametrize(("name", "dtype"), TORCH_INTEGERS.items())
def test_integer_formats_are_torch_s(name, dtype):
    row, info = dtypes[name], torch.iinfo(dtype)
    assert (row.bits, row.max, row.min) == (info.bits, info.max, info.min)


@pytest.mark.parametrize("name", ["fp16", "bf16", "fp8_e4m3", "fp8_e5m2"])
def test_range_and_precision_are_those_of_every_code_that_torch_decodes(name):
    row, dtype = dtypes[name], TORCH_FLOATS[name]
    codes = torch.arange(2**row.bits, dtype=torch.int64).to(torch.uint8 if row.bits == 8 else torch.uint16)
    values = codes.view(dtype).to(torch.float64)
    finite = values[values.isfinite()]
    assert (finite.max(), finite.min(), finite[finite > 0].min()) == (row.max, row.min, row.min_subnormal)
    assert finite[finite > 1].min() - 1 == row.eps


def test_fp4_has_the_sixteen_values_of_its_specification():
    row = dtypes["fp4_e2m1"]
    values = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert (row.bits, row.max, row.min_normal, row.min_subnormal, row.eps) == (4, values[-1], 1, values[1], 0.5)


def test_tf32_has_the_range_of_fp32_and_the_precision_of_fp16_in_32_bits():
    row = dtypes["tf32"]
    assert row.bits == 32
    assert (row.min_normal, row.eps) == (dtypes["fp32"].min_normal, dtypes["fp16"].eps)
    assert row.max == (2 - 2**-10) * 2.0**127


def test_int4_has_sixteen_values():
    assert (dtypes["int4"].bits, dtypes["int4"].min, dtypes["int4"].max) == (4, -8, 7)
    assert (dtypes["int4"].eps, dtypes["int4"].min_normal) == (1, 1)


@pytest.mark.parametrize(
    ("name", "digits"), [("fp32", 7.22), ("fp16", 3.31), ("bf16", 2.41), ("tf32", 3.31), ("int8", 2.11), ("fp64", 15.95)]
)
def test_known_digits(name, digits):
    assert round(dtypes[name].digits, 2) == digits


@pytest.mark.parametrize(
    ("name", "guaranteed", "round_trip"), [("fp32", 6, 9), ("fp16", 3, 5), ("bf16", 2, 4), ("fp64", 15, 17)]
)
def test_digits_of_text(name, guaranteed, round_trip):
    assert (dtypes[name].guaranteed_digits, dtypes[name].round_trip_digits) == (guaranteed, round_trip)


def test_guaranteed_digits_survive_and_one_more_does_not():
    def survives(digits):
        texts = [f"{count}e{-power}" for power in (2, 3, 4) for count in range(10 ** (digits - 1), 10**digits)]
        return all(f"{np.float16(text):.{digits - 1}e}" == f"{float(text):.{digits - 1}e}" for text in texts)

    assert survives(dtypes["fp16"].guaranteed_digits)
    assert not survives(dtypes["fp16"].guaranteed_digits + 1)


def test_round_trip_digits_give_every_value_back_and_one_less_does_not():
    values = np.arange(0x0400, 0x7C00, dtype=np.uint16).view(np.float16)

    def given_back(digits):
        return all(np.float16(f"{value:.{digits - 1}e}") == value for value in values)

    assert given_back(dtypes["fp16"].round_trip_digits)
    assert not given_back(dtypes["fp16"].round_trip_digits - 1)


def test_known_values():
    assert dtypes["fp16"].max == 65504
    assert dtypes["fp8_e4m3"].max == 448
    assert dtypes["fp8_e5m2"].max == 57344
    assert math.isclose(dtypes["bf16"].max, 3.3895e38, rel_tol=1e-4)


def test_the_module_is_a_table_of_its_formats():
    assert "bf16" in dtypes
    assert "float16" not in dtypes
    assert list(dtypes) == dtypes.keys()
    assert len(dtypes) == len(list(dtypes))
    assert [dtypes[name].name for name in dtypes] == list(dtypes)
    assert "effkit.dtypes['bf16']  16 bits, max 3.3895e+38" in repr(dtypes)


@pytest.mark.parametrize(("key", "offer"), [("fp8", "'fp8_e5m2' or 'fp8_e4m3'"), ("float16", "'fp16'"), (16, "'")])
def test_an_unknown_format_offers_the_nearest_names(key, offer):
    with pytest.raises(KeyError, match=f"effkit.dtypes has no {key!r}; did you mean .*{offer}"):
        dtypes[key]
