"""The timer, by a clock that only moves when a test moves it: nothing here waits or depends on the machine's speed."""

import gc
import json
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import effkit
from effkit import machine, timing
from effkit.timing import Timing, measure

ROOT = Path(__file__).parents[1]
MS = 1_000_000


class FakeMachine:
    """A clock in nanoseconds, a device and a function, which write down what happens.

    Each reading of the clock costs `tick` ns; each call of `work` takes the next of `durations` (the last one for ever).
    """

    def __init__(self, *durations, tick=0, sync_ns=0):
        self.durations, self.tick, self.sync_ns = list(durations), tick, sync_ns
        self.now = 0
        self.events = []

    def clock(self):
        self.now += self.tick
        self.events.append("clock")
        return self.now

    def work(self):
        self.now += self.durations[0] if len(self.durations) == 1 else self.durations.pop(0)
        self.events.append("run")

    def sync(self):
        self.now += self.sync_ns
        self.events.append("sync")

    def flush(self):
        self.now += 50 * MS
        self.events.append("flush")

    def measure(self, **options):
        return measure(self.work, **{"clock": self.clock, "sync": self.sync, **options})

    def events_from(self, first):
        """The events from the first of this name on, as one text."""
        return " ".join(self.events[self.events.index(first) :])


def a_timing(*samples_s, **fields):
    """Return a Timing with these samples, each one call by a clock of 1 ns."""
    conditions = {
        "inner_n": 1,
        "batch": None,
        "threads": 2,
        "device": "cpu",
        "dtype": "float32",
        "clock": "perf_counter_ns",
        "resolution_s": 1e-9,
        "cache": "hot",
    }
    return Timing(samples_s=samples_s, **{**conditions, **fields})


# The order of events


def test_a_sample_is_sync_start_calls_sync_stop_and_never_a_sync_between_calls():
    fake = FakeMachine(1000, tick=10)
    result = fake.measure(min_time_s=0, warmup_s=0)
    block = ["sync", "clock", *["run"] * result.inner_n, "sync", "clock"]
    # After the last block and between two of them the clock is read once more, for the time spent.
    assert result.inner_n > 1
    assert fake.events[-10 * (len(block) + 1) :] == 10 * [*block, "clock"]


def test_warm_up_comes_before_everything_and_waits_for_the_device_after_each_call():
    fake = FakeMachine(MS)
    fake.measure(warmup=3, warmup_s=0, min_time_s=0)
    before_readings = " ".join(fake.events[: fake.events.index("run") + 20])
    # The first call stands alone (it says which device to wait for); each later one is a block of one call.
    assert before_readings.startswith(
        "clock clock run sync clock clock sync clock run sync clock clock sync clock run sync clock"
    )


@pytest.mark.parametrize(
    ("warmup", "warmup_s", "calls"), [(5, 0, 5), (1, 0.02, 20), (3, 0.02, 20), (50, 0.02, 50), (1, 0, 1)]
)
def test_warm_up_is_by_count_and_by_time(warmup, warmup_s, calls):
    fake = FakeMachine(MS)
    result = fake.measure(warmup=warmup, warmup_s=warmup_s, min_time_s=0)
    assert fake.events.count("run") == calls + result.n * result.inner_n


def test_warm_up_is_discarded():
    result = FakeMachine(*[70 * MS] * 3, MS).measure(warmup=3, warmup_s=0)
    assert set(result.samples_s) == {0.001}


def test_a_first_call_far_slower_than_the_others_does_not_size_the_blocks():
    result = FakeMachine(70 * MS, 100, tick=10).measure(warmup=2, warmup_s=0, min_time_s=0)
    assert result.inner_n >= 100


@pytest.mark.parametrize("calls", [1, 40])
def test_sync_is_called_twice_for_each_block(calls):
    """A block of `calls` calls, told from the others by its length."""
    fake = FakeMachine(MS)
    stopwatch = timing._Stopwatch(fake.clock, fake.sync)
    assert stopwatch.block_ns(fake.work, calls) == calls * MS
    assert fake.events == ["sync", "clock", *["run"] * calls, "sync", "clock"]


def test_the_wait_for_the_device_is_inside_the_sample_and_what_was_queued_before_is_not():
    fake = FakeMachine(MS)
    queue = [7 * MS]  # work that an earlier caller left on the device

    def launch():
        queue.append(2 * MS)
        fake.events.append("run")

    def sync():
        fake.now += sum(queue)
        queue.clear()

    stopwatch = timing._Stopwatch(fake.clock, sync)
    assert stopwatch.block_ns(launch, 3) == 6 * MS


# How many calls, and for how long


@pytest.mark.parametrize("duration", [1, 37, 1000, 49_999])
@pytest.mark.parametrize("tick", [1, 41, 100])
def test_a_block_lasts_at_least_a_thousand_steps_of_the_clock(duration, tick):
    result = FakeMachine(duration, tick=tick).measure(warmup_s=0, min_time_s=0)
    assert result.resolution_s == pytest.approx(tick * 1e-9)
    assert result.inner_n * duration + tick >= 1000 * tick
    assert result.median_s == pytest.approx((result.inner_n * duration + tick) / result.inner_n / 1e9)
    assert result.warnings == ()


def test_a_block_lasts_at_least_a_thousand_waits_for_the_device():
    result = FakeMachine(MS, sync_ns=10_000).measure(min_time_s=0)
    assert result.inner_n * MS >= 1000 * 10_000
    assert result.median_s == pytest.approx(0.001, rel=1e-3)


def test_a_long_call_is_its_own_block():
    assert FakeMachine(MS, tick=100).measure(min_time_s=0).inner_n == 1


@pytest.mark.parametrize(
    ("min_time_s", "n"), [(0, 10), (0.01, 10), (0.0101, 11), (0.02, 20), (0.2, 200)], ids=lambda value: f"{value}"
)
def test_at_least_ten_samples_and_at_least_the_least_time(min_time_s, n):
    assert FakeMachine(MS).measure(min_time_s=min_time_s).n == n


def test_sampling_stops_at_the_most_time_while_the_machine_is_noisy():
    noisy = [MS, 2 * MS] * 1000
    result = FakeMachine(*noisy).measure(warmup=0, warmup_s=0, min_time_s=0.02, max_time_s=0.3)
    assert sum(result.samples_s) == pytest.approx(0.3, abs=0.002)


def test_sampling_goes_on_until_the_machine_is_quiet():
    noisy_at_first = [MS, 2 * MS] * 10 + [MS]
    result = FakeMachine(*noisy_at_first).measure(warmup=0, warmup_s=0, min_time_s=0.02, max_time_s=10)
    assert 0.05 < sum(result.samples_s) < 0.5
    assert result.iqr_s == 0


def test_a_function_slower_than_the_most_time_is_called_twice_and_the_result_says_so():
    fake = FakeMachine(30_000 * MS)
    result = fake.measure(max_time_s=10)
    assert fake.events.count("run") == 2
    assert (result.samples_s, result.n, result.median_s, result.iqr_s, result.p99) == ((30.0,), 1, 30.0, 0, 30.0)
    assert result.warnings == ("Only 1 sample within max_time_s; a median and its spread need 10.",)


def test_a_function_that_leaves_time_for_four_samples_says_so():
    result = FakeMachine(3000 * MS).measure(max_time_s=10)
    assert result.n == 4
    assert result.warnings[0].startswith("Only 4 samples")


def test_the_most_time_follows_a_long_least_time():
    assert FakeMachine(1000 * MS).measure(min_time_s=20).n == 20


def test_without_warm_up_the_first_sample_may_still_be_sized():
    result = FakeMachine(100, tick=10).measure(warmup=0, warmup_s=0, min_time_s=0)
    assert result.inner_n >= 99


# Cache


def test_the_cache_is_emptied_before_each_sample_and_outside_the_timed_region():
    fake = FakeMachine(MS)
    result = fake.measure(cache=fake.flush, min_time_s=0)
    assert set(result.samples_s) == {0.001}
    assert fake.events_from("flush") == " ".join(["flush sync clock run sync clock clock"] * 10)


def test_a_cold_cache_has_one_call_a_sample_and_warns_where_that_is_too_short(monkeypatch):
    monkeypatch.setattr(machine, "last_level_cache", lambda device: 640)
    result = FakeMachine(500, tick=10).measure(cache="cold", min_time_s=0)
    assert result.inner_n == 1
    assert result.warnings == ("A sample is shorter than 1000 steps of the clock (10 ns).",)
    assert result.cache == "cold (0 MiB overwritten before each sample)"


@pytest.mark.parametrize(("cache_bytes", "buffer_bytes"), [(640, 1280), (3 * 2**20, 6 * 2**20), (None, 256 * 2**20)])
def test_the_buffer_is_twice_the_last_level_cache_and_each_line_of_it_is_written(monkeypatch, cache_bytes, buffer_bytes):
    monkeypatch.setattr(machine, "last_level_cache", lambda device: cache_bytes)
    flush, name = machine.emptied("cold", "cpu")
    buffer = flush.func.__self__
    assert len(buffer) == buffer_bytes
    assert not any(buffer[::64])
    flush()
    assert all(buffer[::64])
    assert f"{buffer_bytes / 2**20:.0f} MiB" in name


def test_the_last_level_cache_of_this_machine_is_a_size_or_unknown():
    size = machine.last_level_cache("cpu")
    assert size is None or size >= 2**15


# Percentiles, noise, outliers

SAMPLES = st.lists(st.floats(1e-9, 1e3), min_size=2, max_size=300)


@given(SAMPLES, st.integers(1, 99))
def test_percentiles_are_those_of_numpy_and_statistics(samples, percent):
    result = a_timing(*samples)
    assert result.percentile(percent) == pytest.approx(np.percentile(samples, percent), rel=1e-9)
    assert result.percentile(percent) == pytest.approx(
        statistics.quantiles(samples, n=100, method="inclusive")[percent - 1], rel=1e-9
    )


@given(SAMPLES)
def test_each_statistic_is_the_one_that_numpy_gives(samples):
    result = a_timing(*samples)
    q25, q50, q75, q95, q99 = np.percentile(samples, [25, 50, 75, 95, 99])
    assert (result.median_s, result.p50) == pytest.approx((q50, q50), rel=1e-9)
    assert (result.p95, result.p99, result.min_s) == pytest.approx((q95, q99, min(samples)), rel=1e-9)
    assert result.iqr_s == pytest.approx(q75 - q25, rel=1e-6, abs=1e-9 * q75)


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        (0.08, None),
        (0.12, "IQR is 12% of the median (limit 10%): the machine fluctuates."),
        (0.24, "IQR is 24% of the median (limit 10%): the machine fluctuates."),
        (0.27, "IQR is 27% of the median (limit 10%): something else disturbs this machine."),
    ],
)
def test_noise_is_a_warning_from_ten_percent_and_a_stronger_one_from_twenty_five(spread, words):
    quarter = (1 - spread / 2, 1, 1 + spread / 2)
    samples = [value for value in quarter for _ in range(40)]
    assert a_timing(*samples).iqr_s == pytest.approx(spread)
    assert a_timing(*samples).warnings == ((words,) if words else ())


def test_an_outlier_is_reported_and_kept():
    result = FakeMachine(*[MS] * 30, 9 * MS, MS).measure(warmup=1, warmup_s=0, min_time_s=0.1)
    assert result.outliers_s == (0.009,)
    assert 0.009 in result.samples_s
    assert max(result.samples_s) == result.percentile(100) == 0.009
    assert result.warnings == (
        f"Outliers: 1 of {result.n} samples further than 14.826 MAD from the median, such as 9 ms; kept.",
    )


@pytest.mark.parametrize(("distance", "found"), [(14.7, 0), (14.9, 1), (-14.7, 0), (-14.9, 1)])
def test_an_outlier_is_further_than_14_826_median_absolute_deviations(distance, found):
    samples = [100.0] * 3 + [99.0] * 5 + [101.0] * 5  # median 100, MAD 1
    assert len(a_timing(*samples, 100 + distance).outliers_s) == found


def test_one_step_of_the_clock_is_no_outlier():
    steady = a_timing(*[1e-3] * 20, 1e-3 + 41e-9, resolution_s=42e-9)
    assert steady.outliers_s == ()
    assert len(replace(steady, resolution_s=40e-9).outliers_s) == 1
    assert len(replace(steady, inner_n=2).outliers_s) == 1  # the clock's step is spread over the calls of a block


@pytest.mark.parametrize(("n", "reliable"), [(99, False), (100, True)])
def test_p99_of_fewer_than_a_hundred_samples_is_called_unreliable(n, reliable):
    result = a_timing(*[0.5] * n)
    assert result.p99_reliable is reliable
    assert result.to_dict()["p99_reliable"] is reliable
    for shown in (repr(result), result._repr_html_()):
        assert (f"unreliable: n = {n}" in shown) is not reliable


# Latency and throughput


def test_throughput_is_batch_over_median_and_latency_does_not_depend_on_the_batch():
    alone, batched = FakeMachine(4 * MS).measure(), FakeMachine(4 * MS).measure(batch=32)
    assert (alone.throughput_per_s, batched.throughput_per_s) == (250.0, 8000.0)
    assert alone.median_s == batched.median_s == 0.004
    assert "250 calls/s" in repr(alone)
    assert "8,000 items/s (batch 32 / median)" in repr(batched)


# What surrounds a measurement


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("fails", [None, 1, 3, 20])
def test_garbage_collection_is_off_meanwhile_and_afterwards_as_it_was(on, fails):
    seen = []
    fake = FakeMachine(MS)

    def work():
        seen.append(gc.isenabled())
        if len(seen) == fails:
            raise KeyError("from fn")
        fake.work()

    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        if fails:
            with pytest.raises(KeyError, match="from fn"):
                measure(work, clock=fake.clock, warmup_s=0)
        else:
            measure(work, clock=fake.clock, warmup_s=0)
        after = gc.isenabled()
    finally:
        (gc.enable if was_on else gc.disable)()
    assert after is on
    assert not any(seen)


def test_a_clock_in_seconds_gives_the_same_as_one_in_nanoseconds():
    fake = FakeMachine(3 * MS)
    result = measure(fake.work, clock=lambda: fake.now / 1e9, min_time_s=0.03)
    assert result.n == 10
    assert result.median_s == pytest.approx(0.003)


@pytest.mark.parametrize(
    "options", [{}, {"warmup_s": 0}, {"warmup_s": 0, "min_time_s": 0}, {"warmup_s": 0, "cache": lambda: None}]
)
def test_a_clock_that_stands_still_is_refused_and_does_not_hang(options):
    with pytest.raises(ValueError, match=r"clock must move: it stood still during [0-9,]+ calls of fn"):
        FakeMachine(0).measure(**options)


def test_the_conditions_are_recorded():
    fake = FakeMachine(MS)
    tensor = torch.zeros(2, dtype=torch.bfloat16)

    def work():
        fake.work()
        return tensor

    result = measure(work, clock=fake.clock)
    assert (result.device, result.dtype, result.clock) == ("cpu", "bfloat16", "clock")
    assert (result.threads, result.cache, result.batch) == (torch.get_num_threads(), "hot", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"cache": "warm"}, "cache must be 'hot', 'cold' or a function that empties it, not 'warm'"),
        ({"min_time_s": -1}, "0 <= min_time_s <= max_time_s"),
        ({"min_time_s": 2, "max_time_s": 1}, "0 <= min_time_s <= max_time_s"),
        ({"max_time_s": float("inf")}, "all finite"),
        ({"min_time_s": float("nan")}, "0 <= min_time_s"),
        ({"warmup_s": -0.1}, "0 <= warmup_s"),
    ],
)
def test_an_impossible_argument_is_named_before_anything_runs(options, message):
    fake = FakeMachine(MS)
    with pytest.raises(ValueError, match=message):
        fake.measure(**options)
    assert fake.events == []


def test_a_result_in_place_of_a_function_is_refused_with_advice():
    with pytest.raises(
        TypeError, match=r"fn must be a function of no arguments, not Tensor: write measure\(lambda: f\(x\)\)"
    ):
        measure(torch.zeros(2))


# Which device is waited for, and that torch is never imported for it


def fake_torch(monkeypatch, accelerator):
    """Put a torch with this accelerator (or None) where the timer looks; return the list of devices waited for."""
    waited = []
    device = accelerator and torch.device(accelerator)
    accelerators = SimpleNamespace(
        is_available=lambda: accelerator is not None, current_accelerator=lambda: device, synchronize=waited.append
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(accelerator=accelerators, get_num_threads=lambda: 6))
    return waited


@pytest.mark.parametrize(
    ("accelerator", "result_on", "device", "waited_for"),
    [
        ("cuda", "cuda:1", "cuda:1", "cuda:1"),
        ("cuda", None, "cuda", "cuda"),
        ("cuda", "cpu", "cpu", None),  # a copy to the CPU may be the last of the work: the current GPU is waited for
        ("mps", "mps:0", "mps:0", "mps:0"),
        ("mps", None, "mps", "mps"),
    ],
)
def test_the_accelerator_that_torch_has_is_waited_for(monkeypatch, accelerator, result_on, device, waited_for):
    waited = fake_torch(monkeypatch, accelerator)
    fake = FakeMachine(MS)

    def work():
        fake.work()
        return SimpleNamespace(device=result_on) if result_on else [1.0]

    result = measure(work, clock=fake.clock, min_time_s=0)
    assert (result.device, result.threads) == (device, 6)
    assert len(waited) > 2 * result.n
    assert set(waited) == {waited_for}


def test_an_accelerator_s_cache_is_emptied_on_the_accelerator(monkeypatch):
    fake_torch(monkeypatch, "cuda")
    made = []

    def empty(size, *, dtype, device):
        made.append((size, device))
        return SimpleNamespace(zero_=lambda: made.append("zeroed"))

    cuda = SimpleNamespace(get_device_properties=lambda device: SimpleNamespace(L2_cache_size=50 * 2**20))
    sys.modules["torch"].__dict__.update(empty=empty, uint8="uint8", cuda=cuda)
    flush, name = machine.emptied("cold", "cuda:0")
    flush()
    assert made == [(100 * 2**20, "cuda:0"), "zeroed"]
    assert name == "cold (100 MiB overwritten before each sample)"


def test_without_an_accelerator_nothing_is_waited_for(monkeypatch):
    waited = fake_torch(monkeypatch, None)
    fake = FakeMachine(MS)
    assert measure(fake.work, clock=fake.clock, min_time_s=0).device == "cpu"
    assert waited == []


def test_a_wait_of_the_caller_s_own_replaces_the_accelerator_s(monkeypatch):
    waited = fake_torch(monkeypatch, "cuda")
    fake = FakeMachine(MS)
    fake.measure(min_time_s=0)
    assert waited == []
    assert "sync" in fake.events


WITHOUT_TORCH = """
import sys
import effkit
print("effkit.timing" in sys.modules)
now = [0]
def work(): now[0] += 10**6
result = effkit.measure(work, clock=lambda: now[0], cache="cold", min_time_s=0)
print(sorted(sys.modules.keys() & {"torch", "numpy"}), result.device, result.threads, result.median_s)
"""


def test_measuring_imports_neither_torch_nor_numpy_and_says_that_threads_are_unknown():
    run = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["False", "[] cpu None 0.001"], run.stderr
    assert "threads unknown" in repr(a_timing(1.0, threads=None))


def test_the_package_offers_the_timer():
    assert effkit.measure is measure
    assert effkit.timing is timing


# The self-test and how a result looks


def test_the_overhead_is_that_of_a_call_that_does_nothing(monkeypatch):
    fake = FakeMachine(40_000)
    monkeypatch.setattr(timing, "nothing", fake.work)
    result = timing.overhead(clock=fake.clock, sync=fake.sync)
    assert result.median_s == pytest.approx(40e-6)
    assert "run" in fake.events


def test_the_text_has_every_figure_with_its_unit():
    result = a_timing(*[1.2e-3] * 99, 0.5, inner_n=12, batch=8, resolution_s=69e-9)
    assert repr(result).splitlines() == [
        "median p50 1.2 ms per call",
        "IQR        0 ns (0.0% of the median)",
        "min        1.2 ms",
        "p95        1.2 ms",
        "p99        6.188 ms",
        "throughput 6,667 items/s (batch 8 / median)",
        "samples    100, each the mean of 12 calls",
        "device     cpu, 2 threads, float32",
        "clock      perf_counter_ns, step 69 ns",
        "cache      hot",
        "WARNING    Outliers: 1 of 100 samples further than 14.826 MAD from the median, such as 500 ms; kept.",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2, "2 s"), (0.5, "500 ms"), (1.23456e-3, "1.235 ms"), (59e-6, "59 µs"), (41e-9, "41 ns"), (0, "0 ns")],
)
def test_a_time_is_written_in_the_unit_that_suits_it(seconds, text):
    assert f"min        {text}" in repr(a_timing(seconds)).splitlines()


def test_the_html_has_the_figures_and_warnings_of_the_text_and_escapes_names():
    result = a_timing(*[1e-3] * 5, clock="<lambda>")
    page = result._repr_html_()
    assert page.count("scope='row'") == len(repr(result).splitlines()) == 11
    assert "&lt;lambda&gt;" in page
    assert "Only 5 samples" in page


def test_the_dict_is_json_with_samples_conditions_statistics_and_warnings():
    result = a_timing(1e-3, 1e-3, 2e-3, batch=4)
    data = json.loads(json.dumps(result.to_dict()))
    assert data["samples_s"] == [1e-3, 1e-3, 2e-3]
    for name in ("n", "median_s", "iqr_s", "min_s", "p50", "p95", "p99", "throughput_per_s", "inner_n", "threads", "device"):
        assert data[name] == getattr(result, name)
    assert data["warnings"] == list(result.warnings)


def test_a_result_cannot_be_changed():
    with pytest.raises(AttributeError):
        a_timing(1.0).inner_n = 2
