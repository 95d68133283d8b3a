"""The ceilings of the machine at hand, on an invented device: its clock moves by each product and copy that it is given."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from effkit import ceilings, hardware, machine
from effkit.ceilings_result import MeasuredMachine
from effkit.formula import withheld
from effkit.roofline import Roofline, bandwidth_utilisation
from effkit.timing_result import Timing

ROOT = Path(__file__).parents[1]
MIB = 2**20
GIB = 2**30


class FakeDevice(TorchFunctionMode):
    """A device that does what torch is asked for in an exact time, and nothing else.

    `flops_per_ns` is a rate or a rate for each size of a product, `noise` what the times are multiplied by, in turn.
    Work takes effect on the clock when it is waited for (`sync`), as on a GPU.
    """

    def __init__(self, flops_per_ns=32, bytes_per_ns=8, noise=(1,), cannot=()):
        super().__init__()
        self.flops_per_ns, self.bytes_per_ns = flops_per_ns, bytes_per_ns
        self.noise, self.cannot = cycle(noise), cannot
        self.now = self.queued = 0
        self.copied, self.multiplied = [], []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = function.__name__
        if name == "mm":
            return self.multiply(*args, **kwargs)
        if name == "copy_":
            return self.copy(*args)
        if name in ("randn", "ones"):  # memory that is never touched costs nothing
            kwargs = {key: value for key, value in kwargs.items() if key != "generator"}
            return torch.empty(*args, **kwargs)
        return function(*args, **(kwargs or {}))

    def multiply(self, left, right, *, out):
        if out.dtype in self.cannot:
            raise RuntimeError("not implemented for this dtype")
        (rows, inner), columns = left.shape, right.shape[1]
        rates = self.flops_per_ns
        rate = (rates.get(rows) or 1) if isinstance(rates, dict) else rates
        self.queued += 2 * rows * inner * columns / rate * next(self.noise)
        self.multiplied.append(rows)
        return out

    def copy(self, destination, source):
        self.queued += (source.nbytes + destination.nbytes) / self.bytes_per_ns * next(self.noise)
        self.copied.append(source.nbytes)
        return destination

    def sync(self):
        self.now, self.queued = self.now + round(self.queued), 0

    def clock(self):
        return self.now

    def measure(self, dtype="fp32", **options):
        options = {
            "device": "cpu",
            "sizes": (128, 256),
            "copy_bytes": MIB,
            "clock": self.clock,
            "sync": self.sync,
            **options,
        }
        with self:
            return hardware.this_machine(dtype, **options)


@pytest.fixture(autouse=True)
def modest_machine(monkeypatch):
    """A last-level cache of a quarter MiB and 64 GiB of memory, whatever machine the tests run on."""
    monkeypatch.setattr(ceilings, "last_level_cache", lambda device, cores: MIB // 4)
    monkeypatch.setattr(ceilings, "available_memory", lambda device: 64 * GIB)


def a_machine(**fields):
    """Return a result with exact figures: 2 x 100^3 FLOPs in 1 ms, 2 x 4 MiB in 2 ms."""

    def timing(*samples_s):
        return Timing(samples_s, 1, None, 2, "cpu", "float32", "clock", 1e-9, "hot")

    values = {
        "dtype": "fp32",
        "device": "cpu",
        "multiplies_in": "fp32",
        "matmul_size": 100,
        "matmul": timing(*[1e-3] * 20),
        "sizes_tried": ((50, 1e9), (100, 2e9), (200, 1.5e9)),
        "stopped": "all that were to be tried",
        "copy_bytes": 4 * MIB,
        "copy": timing(*[2e-3] * 12),
        "cache_bytes": MIB,
    }
    return MeasuredMachine(**{**values, **fields})


# The two rates


@pytest.mark.parametrize(("flops_per_ns", "bytes_per_ns"), [(32, 8), (1024, 2)])
def test_the_ceilings_are_the_rates_of_the_device(flops_per_ns, bytes_per_ns):
    result = FakeDevice(flops_per_ns, bytes_per_ns).measure()
    assert result.peak_flops_per_s == pytest.approx(flops_per_ns * 1e9, rel=1e-6)
    assert result.bandwidth_bytes_per_s == pytest.approx(bytes_per_ns * 1e9, rel=1e-6)
    assert result.peak_iqr_flops_per_s == result.bandwidth_iqr_bytes_per_s == 0
    assert result.roofline() == Roofline(result.peak_flops_per_s, result.bandwidth_bytes_per_s)
    assert result.roofline().ridge_point == pytest.approx(flops_per_ns / bytes_per_ns, rel=1e-6)


@pytest.mark.parametrize(
    ("dtype", "torch_s_name"), [("fp32", "float32"), ("fp64", "float64"), ("bf16", "bfloat16"), ("fp16", "float16")]
)
def test_both_are_measured_at_the_dtype_and_bytes_are_bytes_at_any(dtype, torch_s_name):
    fake = FakeDevice()
    result = fake.measure(dtype)
    assert (result.dtype, result.matmul.dtype, result.copy.dtype) == (dtype, torch_s_name, torch_s_name)
    assert result.bandwidth_bytes_per_s == pytest.approx(8e9, rel=1e-6)
    assert set(fake.copied) == {result.copy_bytes} == {MIB}


def test_a_copy_counts_each_byte_read_and_each_byte_written():
    result = FakeDevice(bytes_per_ns=8).measure()
    assert bandwidth_utilisation(2 * result.copy_bytes, result.copy.median_s, 8e9) == pytest.approx(1, rel=1e-6)


def test_the_spread_is_that_of_the_rates():
    noise = (1, 1.25, 1.5, 2, 1.25)
    result = FakeDevice(32, 8, noise).measure(sizes=256)
    for timing, work, spread in (
        (result.matmul, 2 * 256**3, result.peak_iqr_flops_per_s),
        (result.copy, 2 * MIB, result.bandwidth_iqr_bytes_per_s),
    ):
        slow, fast = work / np.percentile(timing.samples_s, [75, 25])
        assert spread == pytest.approx(fast - slow, rel=1e-9)
        assert spread > 0


def test_the_result_keeps_the_samples_and_the_conditions():
    result = FakeDevice().measure()
    for timing in (result.matmul, result.copy):
        assert timing.n >= 10
        assert (timing.threads, timing.device, timing.clock) == (torch.get_num_threads(), "cpu", "clock")


# Which size is the fastest


@pytest.mark.parametrize(
    ("rates", "tried", "fastest", "stopped"),
    [
        ({32: 8, 64: 16, 128: 32, 256: 32, 512: 32, 1024: 64}, 5, 128, "two in a row gained nothing"),
        ({32: 8, 64: 4, 128: 16, 256: 8, 512: 32}, 5, 512, "all that were to be tried"),  # one bad size ends nothing
        ({32: 8, 64: 4, 128: 4, 256: 64}, 3, 32, "two in a row gained nothing"),
        ({64: 32, 128: 8, 256: 16, 512: 64}, 3, 64, "two in a row gained nothing"),  # better than a bad size is no gain
        ({64: 10, 128: 10.1, 256: 10.19, 512: 20}, 3, 256, "two in a row gained nothing"),  # less than 2 % is no gain
        ({64: 10, 128: 10.3, 256: 10.65, 512: 11}, 4, 512, "all that were to be tried"),
    ],
)
def test_sizes_grow_until_two_in_a_row_gain_nothing_and_the_best_rate_counts(rates, tried, fastest, stopped):
    result = FakeDevice(rates).measure(sizes=tuple(rates))
    found = dict(result.sizes_tried)
    assert found == pytest.approx({size: rates[size] * 1e9 for size in list(rates)[:tried]}, rel=1e-3)
    assert (result.matmul_size, result.stopped) == (fastest, stopped)
    assert result.peak_flops_per_s == found[fastest] == max(found.values())


def test_a_size_that_would_take_longer_than_what_is_left_is_not_begun():
    fake = FakeDevice(flops_per_ns=1)  # size 512 takes 0.27 s, thirteen times as long to be measured
    result = fake.measure(sizes=(128, 256, 512, 1024), max_time_s=3)
    assert [size for size, _ in result.sizes_tried] == [128, 256]
    assert result.stopped == "512 would have taken too long"
    assert max(fake.multiplied) == 256
    assert fake.now < 3e9


def test_a_size_gets_the_time_that_ten_samples_take():
    result = FakeDevice(flops_per_ns={128: 1, 256: 1, 512: 2}).measure(sizes=(128, 256, 512), max_time_s=6)
    assert (result.matmul_size, result.matmul.n >= 10) == (512, True)


def test_the_smallest_size_is_measured_however_slow_the_machine():
    result = FakeDevice(flops_per_ns=1e-3, bytes_per_ns=1e-3).measure(max_time_s=1)
    assert [size for size, _ in result.sizes_tried] == [128]
    assert result.peak_flops_per_s == pytest.approx(1e6, rel=1e-6)
    assert any(text.startswith("Product: Only") for text in result.warnings)


def test_a_noisy_machine_does_not_keep_the_other_sizes_from_their_turn():
    fake = FakeDevice(32, 8, noise=(1, 2, 4))
    result = fake.measure(sizes=(64, 128, 256), max_time_s=3)
    assert len(result.sizes_tried) == 3
    assert fake.now < 3e9


def test_a_size_that_would_not_fit_in_memory_is_not_begun(monkeypatch):
    monkeypatch.setattr(ceilings, "available_memory", lambda device: 8 * 3 * 256**2 * 4)
    result = FakeDevice().measure(sizes=(128, 256, 257))
    assert [size for size, _ in result.sizes_tried] == [128, 256]
    assert result.stopped == "257 would have taken too much memory"


def test_it_says_when_a_larger_product_may_be_faster_still():
    rising = FakeDevice({64: 8, 128: 16}).measure(sizes=(64, 128))
    assert rising.warnings == ("The product of size 128 was the fastest yet: a larger one may be faster still.",)
    assert FakeDevice({64: 16, 128: 16}).measure(sizes=(64, 128)).warnings == ()


# How much is copied


@pytest.mark.parametrize(
    ("cache", "memory", "copied"),
    [
        (32 * MIB, 64 * GIB, 128 * MIB),
        (2 * MIB, 64 * GIB, 64 * MIB),  # never less than 64 MiB
        (None, 64 * GIB, 512 * MIB),
        (4 * GIB, 8 * GIB, GIB),  # a server's cache, a container's memory
        (32 * MIB, GIB // 4, 32 * MIB),
        (None, None, 512 * MIB),
        (256 * MIB, None, 512 * MIB),
        (None, GIB, 128 * MIB),
        (32 * MIB, 0, 4),  # a full container: one element is copied, and the warning says what that is worth
    ],
)
def test_the_copy_is_four_times_the_cache_or_an_eighth_of_the_memory(monkeypatch, cache, memory, copied):
    monkeypatch.setattr(ceilings, "last_level_cache", lambda device, cores: cache)
    monkeypatch.setattr(ceilings, "available_memory", lambda device: memory)
    fake = FakeDevice(bytes_per_ns=copied / MIB)
    result = fake.measure(copy_bytes=None)
    assert (set(fake.copied), result.copy_bytes, result.cache_bytes) == ({copied}, copied, cache)
    too_small = "The copy is smaller than 4 x the last-level cache: part of it may have stayed there."
    assert (too_small in result.warnings) is (copied < 4 * (cache or 128 * MIB))


def test_the_caches_of_as_many_cores_as_there_are_threads_count(monkeypatch):
    monkeypatch.setattr(ceilings, "last_level_cache", lambda device, cores: cores * 20 * MIB)
    monkeypatch.setattr(ceilings, "threads", lambda: 3)
    assert FakeDevice(bytes_per_ns=64).measure(copy_bytes=None).copy_bytes == 4 * 60 * MIB


def test_what_is_copied_was_written_before():
    """Untouched pages of zeros are all the same page, which stays in the cache."""
    copy = ceilings._copy(1000, torch.float32, "cpu")
    (source,) = copy.args
    assert source.all()
    assert torch.equal(copy(), source)


# Device, state, waiting


def test_it_waits_for_the_device_through_the_timer():
    """The fake device's work takes time only where somebody waits; without waiting its clock would stand still."""
    with pytest.raises(ValueError, match="clock must move"):
        FakeDevice().measure(sync=lambda: None)


@pytest.mark.parametrize(
    ("accelerator", "asked", "chosen"),
    [
        (None, None, "cpu"),
        (None, "cpu", "cpu"),
        ("cuda", None, "cuda"),
        ("cuda", "cpu", "cpu"),
        ("cuda", "cuda:1", "cuda:1"),
        ("cuda", torch.device("cuda"), "cuda"),
        ("mps", None, "mps"),
        ("mps", "mps:0", "mps:0"),
    ],
)
def test_the_accelerator_is_measured_where_there_is_one_and_none_other_was_asked_for(
    monkeypatch, accelerator, asked, chosen
):
    pretend_to_have(monkeypatch, accelerator)
    assert machine.chosen_device(asked) == chosen


@pytest.mark.parametrize(
    ("accelerator", "asked", "there_are"),
    [
        (None, "cuda", "cpu"),
        (None, "gpu", "cpu"),
        (None, "", "cpu"),
        ("cuda", "cuda:2", "cpu, cuda:0, cuda:1"),
        ("cuda", "mps", "cpu, cuda:0, cuda:1"),
        (None, "meta", "cpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(monkeypatch, accelerator, asked, there_are):
    pretend_to_have(monkeypatch, accelerator)
    with pytest.raises(ValueError, match=re.escape(f"device must be one that torch has here ({there_are}), not '{asked}'")):
        hardware.this_machine(device=asked)


def pretend_to_have(monkeypatch, accelerator):
    """Let torch say that it has two accelerators of this kind, or none."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator is not None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: accelerator and torch.device(accelerator))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)


def test_a_cuda_device_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card of {device}")
    assert machine.described("cuda:1") == "cuda:1 (Card of cuda:1)"
    assert machine.described("cpu") == "cpu"


@pytest.mark.parametrize("dtype", ["int8", "float32", "", None, torch.float32])
def test_an_unknown_dtype_is_refused_with_those_that_can_be_measured(dtype):
    fake = FakeDevice()
    rule = f"dtype must be one that torch multiplies matrices of on cpu (fp32, fp64, bf16, fp16), not {dtype!r}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        fake.measure(dtype)
    assert fake.copied == []


def test_a_dtype_that_the_device_cannot_multiply_is_not_offered():
    fake = FakeDevice(cannot=(torch.float64, torch.bfloat16))
    with pytest.raises(ValueError, match=re.escape("on cpu (fp32, fp16), not 'fp64'")):
        fake.measure("fp64")
    assert fake.measure("fp16").dtype == "fp16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_time_s": 0}, "max_time_s must be more than 0, not 0"),
        ({"max_time_s": float("inf")}, "max_time_s must be a finite number"),
        ({"sizes": 0}, "sizes must be at least 1, not 0"),
        ({"sizes": (64, 1.5)}, r"sizes\[1\] must be an integer, not 1.5"),
        ({"sizes": ()}, "sizes must have at least one"),
        ({"copy_bytes": 0}, "copy_bytes must be at least 1, not 0"),
    ],
)
def test_an_impossible_argument_is_named_before_anything_is_measured(options, message):
    fake = FakeDevice()
    with pytest.raises(ValueError, match=message):
        fake.measure(**options)
    assert fake.now == 0


def test_torch_s_random_numbers_go_on_where_they_were():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    hardware.this_machine(device="cpu", sizes=16, copy_bytes=4096, max_time_s=0.02)
    assert torch.equal(torch.get_rng_state(), before)


def test_on_this_machine_it_gives_two_ceilings_above_zero():
    result = hardware.this_machine("fp32", device="cpu", sizes=(32, 64), copy_bytes=2**16, max_time_s=0.05)
    assert result.peak_flops_per_s > 0
    assert result.bandwidth_bytes_per_s > 0
    assert result.roofline().bound(0) == "memory-bound"
    assert result.device == "cpu"


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_it_says_when_torch_is_set_to_multiply_in_a_coarser_format(precision):
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = precision
    try:
        coarse, other = FakeDevice().measure(sizes=(128, 128)), FakeDevice().measure("fp64", sizes=(128, 128))
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    assert coarse.warnings == (f"torch is set to multiply fp32 in {precision}: this is not the peak of fp32.",)
    assert other.warnings == ()


# What the system tells of caches and memory


def system(root, files):
    """Write the files of a pretended system below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def caches(*rows):
    """Return the files of (cpu, index, level, KiB, sharing cpus)."""
    files = {}
    for cpu, index, level, kib, sharers in rows:
        folder = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
        files |= {f"{folder}/size": f"{kib}K", f"{folder}/level": f"{level}", f"{folder}/shared_cpu_list": sharers}
    return files


TWO_GROUPS = caches(
    *[(cpu, 0, 1, 32, f"{cpu}") for cpu in range(4)],
    *[(cpu, 2, 2, 99_999, f"{cpu}") for cpu in range(4)],
    *[(cpu, 3, 3, 16_384 if cpu < 2 else 32_768, "0-1" if cpu < 2 else "2-3") for cpu in range(4)],
)


@pytest.mark.parametrize(
    ("files", "cores", "kib"),
    [
        (TWO_GROUPS, 1, 32_768),
        (TWO_GROUPS, 2, 49_152),
        (TWO_GROUPS, 64, 49_152),
        (caches((0, 0, 1, 48, "0"), (0, 2, 2, 512, "0-3"), (1, 2, 2, 512, "0-3")), 4, 512),
    ],
)
def test_the_last_level_caches_are_those_of_the_highest_level_each_once(monkeypatch, tmp_path, files, cores, kib):
    monkeypatch.setattr(machine, "_SYSTEM", tmp_path)
    system(tmp_path, files)
    assert machine.last_level_cache("cpu", cores) == kib * 1024


def test_a_cache_that_nothing_tells_of_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_SYSTEM", tmp_path)
    assert machine.last_level_cache("cpu") is None
    system(tmp_path, TWO_GROUPS)
    pretend_to_have(monkeypatch, "mps")
    assert machine.last_level_cache("mps:0", 4) is None  # those files are the CPU's


MEMINFO = {"proc/meminfo": "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:    8000000 kB\nBuffers: 3 kB"}
LIMITED = {"sys/fs/cgroup/memory.max": f"{2 * GIB}", "sys/fs/cgroup/memory.stat": f"anon {GIB}\nfile {GIB}\nanon_thp 7"}
UNLIMITED = {**LIMITED, "sys/fs/cgroup/memory.max": "max"}
FIRST_VERSION = {
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3 * GIB}",
    "sys/fs/cgroup/memory/memory.stat": f"cache 5\nrss 1\ntotal_cache {GIB}\ntotal_rss {GIB}",
}
FULL = {**LIMITED, "sys/fs/cgroup/memory.max": f"{GIB // 2}"}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (MEMINFO, 8_000_000 * 1024),
        (MEMINFO | LIMITED, GIB),
        (MEMINFO | UNLIMITED, 8_000_000 * 1024),
        (MEMINFO | FIRST_VERSION, 2 * GIB),
        (LIMITED, GIB),
        (MEMINFO | FULL, 0),
    ],
)
def test_free_memory_is_the_system_s_or_what_is_left_of_the_container_s(monkeypatch, tmp_path, files, free):
    monkeypatch.setattr(machine, "_SYSTEM", tmp_path)
    system(tmp_path, files)
    assert machine.available_memory("cpu") == free


def test_a_gpu_tells_its_own_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(device[-1]) * GIB, 80 * GIB))
    assert machine.available_memory("cuda:3") == 3 * GIB


# How a result looks


def test_the_text_says_what_was_measured_and_how():
    assert repr(a_machine()).splitlines() == [
        "peak         2 GFLOPs/s, IQR 0 GFLOPs/s (0.0% of the median)",
        "bandwidth    4.194 GB/s, IQR 0 GB/s (0.0% of the median)",
        "ridge point  0.4768 FLOPs/byte",
        "measured on  cpu, 2 threads, fp32",
        "peak by      matrix product of size 100, median of 20 samples; tried: 50, 100, 200 (all that were to be tried)",
        "bandwidth by copy of 4 MiB (last-level cache 1 MiB), median of 12 samples; bytes read + bytes written count: "
        "a lower bound, write-allocate may move up to 1.5 x as many",
    ]


def test_how_has_the_sizes_threads_device_dtype_and_samples():
    how = a_machine().how
    for part in ("cpu, 2 threads, fp32", "size 100", "tried: 50, 100, 200", "20 samples", "copy of 4 MiB", "12 samples"):
        assert part in how
    assert "write-allocate" not in a_machine(device="cuda:0 (Tesla T4)").how
    assert "last-level cache unknown" in a_machine(cache_bytes=None).how


def test_the_timer_s_warnings_are_passed_on_with_what_they_are_about():
    result = a_machine()
    noisy, few = replace(result.matmul, samples_s=(1e-3, 2e-3) * 10), replace(result.copy, samples_s=(1e-3,) * 3)
    assert result.warnings == ()
    assert a_machine(matmul=noisy).warnings == tuple(f"Product: {text}" for text in noisy.warnings) != ()
    assert a_machine(copy=few).warnings == tuple(f"Copy: {text}" for text in few.warnings) != ()
    assert "WARNING      Copy: Only 3 samples" in repr(a_machine(copy=few))


def test_the_html_has_the_figures_and_warnings_of_the_text_and_escapes_names():
    result = a_machine(device="cuda:0 (<card>)", copy_bytes=1)
    page = result._repr_html_()
    assert page.count("scope='row'") == len(repr(result).splitlines()) == 7
    assert "&lt;card&gt;" in page
    assert "The copy is smaller than" in page


@pytest.mark.parametrize(
    ("scale", "text"), [(1e-6, "2,000 F"), (1e-3, "2 MF"), (1, "2 GF"), (1e3, "2 TF"), (1e6, "2,000 TF")]
)
def test_a_rate_is_written_in_the_unit_that_suits_it(scale, text):
    result = a_machine()
    fast = replace(result.matmul, samples_s=(1e-3 / scale,) * 20)
    assert repr(a_machine(matmul=fast)).startswith(f"peak         {text}LOPs/s")


def test_the_dict_is_json_with_the_ceilings_the_conditions_and_the_samples():
    result = FakeDevice(noise=(1, 1.5)).measure()
    data = json.loads(json.dumps(result.to_dict()))
    names = ("dtype", "device", "matmul_size", "copy_bytes", "cache_bytes", "stopped", "how", "multiplies_in")
    rates = ("peak_flops_per_s", "peak_iqr_flops_per_s", "bandwidth_bytes_per_s", "bandwidth_iqr_bytes_per_s")
    for name in (*names, *rates):
        assert data[name] == getattr(result, name)
    assert data["sizes_tried"] == [list(pair) for pair in result.sizes_tried]
    assert data["matmul"]["samples_s"] == list(result.matmul.samples_s)
    assert data["copy"]["median_s"] == result.copy.median_s
    assert data["warnings"] == list(result.warnings) != []


def test_a_result_cannot_be_changed():
    with pytest.raises(AttributeError):
        a_machine().copy_bytes = 1


def test_the_roofline_is_of_the_dtype_that_was_measured():
    assert a_machine().roofline("fp32") == a_machine().roofline()
    with pytest.raises(ValueError, match="dtype must be the one that was measured, 'fp32', not 'fp16'"):
        a_machine().roofline("fp16")


# The way in


WITHOUT_TORCH = """
import sys
import effkit.hardware
print(sorted(sys.modules.keys() & {"torch", "numpy"}), callable(effkit.hardware.this_machine))
print(effkit.hardware.this_machine(device="cpu", sizes=8, copy_bytes=64, max_time_s=0.01).device, "torch" in sys.modules)
"""


def test_hardware_does_not_import_torch_before_something_is_measured():
    run = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["[] True", "cpu True"], run.stderr


def test_the_table_stays_one_of_presets():
    assert "this_machine" not in list(hardware)
    assert all(hardware[key].key == key for key in hardware)


def test_a_measurement_answers_where_closed_forms_are_withheld():
    with withheld("implement this yourself"):
        assert "FLOPs/byte" in repr(FakeDevice().measure())
