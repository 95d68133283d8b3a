"""Energy estimates: the published ratios, and that each figure has a source."""

import pytest

from effkit import energy
from effkit.energy import estimate
from effkit.formula import Withheld, withheld


@pytest.mark.parametrize(
    ("process", "dtype", "picojoules"),
    [("45nm", "int8", 0.23), ("45nm", "fp32", 4.6), ("7nm", "int8", 0.077), ("7nm", "fp32", 1.69), ("7nm", "bf16", 0.32)],
)
def test_energy_of_a_mac_is_a_multiplication_and_an_addition(process, dtype, picojoules):
    assert estimate(macs=1, dtype=dtype, process=process).energy_j == pytest.approx(picojoules * 1e-12)


def ratio(above, below):
    return round(above.energy_j / below.energy_j, 1)


def test_known_ratios():
    assert ratio(estimate(bytes_moved=4), estimate(macs=1)) == 139.1
    assert ratio(estimate(macs=1), estimate(macs=1, dtype="int8")) == 20
    assert ratio(estimate(macs=1, process="7nm"), estimate(macs=1, dtype="int8", process="7nm")) == 21.9
    assert ratio(estimate(bytes_moved=4), estimate(bytes_moved=4, memory="sram_8kb")) == 128
    assert ratio(estimate(bytes_moved=4), estimate(bytes_moved=4, memory="register")) == 640
    assert ratio(estimate(bytes_moved=4), estimate(ops=1, dtype="int32")) == 6400
    # HBM costs a fraction of what DDR4 does, for as many bits.
    assert ratio(estimate(bytes_moved=8, process="7nm"), estimate(bytes_moved=8, process="7nm", memory="hbm")) == 3.7


def test_the_parts_add_up_and_scale():
    whole = estimate(macs=1000, ops=50, bytes_moved=400, dtype="fp16", memory="sram_32kb")
    assert whole.compute_j == pytest.approx((1000 * 1.5 + 50 * 0.4) * 1e-12)
    assert whole.memory_j == pytest.approx(100 * 10e-12)
    assert whole.energy_j == whole.compute_j + whole.memory_j
    assert estimate().energy_j == 0


def test_each_cost_has_a_source_and_each_table_both_processes():
    for table in (energy.ADD, energy.MULTIPLY, energy.FETCH):
        assert table.keys() == {"45nm", "7nm"}
        for costs in table.values():
            for cost in costs.values():
                assert cost.picojoules > 0
                assert cost.source.startswith(("J", "H"))
    assert all(energy.ADD[process].keys() == energy.MULTIPLY[process].keys() for process in energy.ADD)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"dtype": "bf16"}, "dtype must be one of 'int8', 'int32', 'fp16', 'fp32', not 'bf16'"),
        ({"memory": "hbm"}, "memory must be one of .*, not 'hbm'"),
        ({"process": "5nm"}, "process must be one of '45nm', '7nm', not '5nm'"),
        ({"dtype": None}, "dtype must be one of .*, not None"),
        ({"memory": []}, r"memory must be one of .*, not \[\]"),
        ({"macs": -1}, "macs must be at least 0, not -1"),
        ({"ops": "1"}, "ops must be a finite number, not '1'"),
        ({"bytes_moved": float("nan")}, "bytes_moved must be a finite number, not nan"),
    ],
)
def test_a_broken_rule_is_named(options, rule):
    with pytest.raises(ValueError, match=f"^{rule}$"):
        estimate(**options)


def test_a_withheld_estimate_says_why():
    with withheld("write it yourself"), pytest.raises(Withheld, match="estimate does not answer here"):
        estimate(macs=1)
