"""Compare what counting costs: time beside a bare forward pass, and memory beside the model.

    python -m benchmarks.profile_speed [--models resnet50 vit_b_16 llama3] [--rounds 7] [--slow 10]

Time: in each round a bare forward pass without gradients, effkit and every other counter take turns, each on a fresh copy of
the model on the meta device; a ratio compares times of one round. A counter that takes more than `--slow` seconds is
measured once. Memory: a process of its own for each counter, in which it has counted two small networks before, so that the
code that torch loads at first use (80 MB of it) is not taken for memory of the count; then the peak of its resident memory
beyond what it had with the model. (Where Linux's /proc is missing: the highest so far, which can only make it too small.)

The last lines are the time of ``import effkit`` in a fresh interpreter, in turns with one that imports nothing.
"""

import argparse
import copy
import gc
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeAlias

import torch
from torch import Tensor, nn

import effkit
from benchmarks.models import MACS, SIZES, build, describe, example, small
from benchmarks.peers import PEERS, Peer, quiet, unpatched

BARE, EFFKIT = "bare forward pass", f"effkit {effkit.__version__}"
Call: TypeAlias = Callable[[nn.Module, Tensor], int | None]  # returns MACs
Outcome: TypeAlias = int | Exception | None
HEADER = f"{'':<28} {'x bare pass':>11} {'min..max':>15} {'n':>3} {'time':>10} {'memory':>10}  count"


def calls() -> dict[str, Call]:
    """Return what is measured: the bare pass, effkit and each counter that is installed."""
    return {
        BARE: _forward,
        EFFKIT: lambda model, x: effkit.profile(model, x).macs,
        **{f"{peer.name} {peer.version}": _caller(peer) for peer in PEERS if peer.version},
    }


def _forward(model: nn.Module, x: Tensor) -> None:
    model(x)


def _caller(peer: Peer) -> Call:
    def call(model: nn.Module, x: Tensor) -> int | None:
        figure, _ = peer.count(model, (x,))
        return None if figure is None else figure // peer.per_mac

    return call


# Time


def seconds(call: Call, model: nn.Module, x: Tensor) -> tuple[float, Outcome]:
    """Return how long a call takes on a fresh copy of the model, and what it counts or raises."""
    fresh = copy.deepcopy(model)
    gc.collect()
    with quiet(), unpatched():
        start = time.perf_counter()
        try:
            result: Outcome = call(fresh, x)
        except Exception as error:  # noqa: BLE001  # whatever a counter does wrong is its result
            result = error
        return time.perf_counter() - start, result


def in_turns(name: str, rounds: int, slow_s: float) -> tuple[dict[str, list[float]], dict[str, Outcome]]:
    """Return the times of each call in each round, and what each counted, after a round that is not measured."""
    model, x = build(name), example(name)
    times: dict[str, list[float]] = {who: [] for who in calls()}
    results: dict[str, Outcome] = {}
    for number in range(rounds + 1):
        for who, call in calls().items():
            if isinstance(results.get(who), Exception) or (times[who] and times[who][0] > slow_s):
                continue
            elapsed, results[who] = seconds(call, model, x)
            if number or elapsed > slow_s:
                times[who].append(elapsed)
    return times, results


# Memory


def extra_memory(name: str, who: str) -> float:
    """Return by how many bytes the resident memory rises above that of the process with the model while a call runs."""
    call = calls()[who]
    for network, its_input in small():
        seconds(call, network, its_input)
    model, x = build(name), example(name)
    gc.collect()
    before = _restart_peak()
    with quiet(), unpatched():
        call(model, x)
    return _peak() - before


def _restart_peak() -> float:
    """Start a new peak of the resident memory, and return what is resident now."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5", encoding="ascii")  # see proc(5)
    return _peak()


def _peak() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_own_process(name: str, who: str) -> str:
    """Return the extra memory of a call in MB, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.profile_speed", "--memory", name, who]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"{float(run.stdout) / 1e6:.1f} MB" if run.returncode == 0 else "failed"


# Printing


def verdict(name: str, result: Outcome) -> str:
    """Say whether a count is right."""
    if isinstance(result, Exception):
        return f"fails: {type(result).__name__}"
    if result is None:
        return ""
    return "right" if result == MACS[name] else f"x {result / MACS[name]:.9f}"


def table(name: str, rounds: int, slow_s: float) -> None:
    """Print the costs of each call on one network."""
    times, results = in_turns(name, rounds, slow_s)
    print(f"{name}, {describe(name)}, on meta, {torch.get_num_threads()} threads; {MACS[name]:,} MACs", HEADER, sep="\n")
    for who, taken in times.items():
        if not taken:
            print(f"{who:<28} {verdict(name, results[who])}")
            continue
        ratios = [t / bare for t, bare in zip(taken, times[BARE], strict=False)]
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        cost = f"{median(ratios):>11.2f} {spread:>15} {len(taken):>3} {median(taken) * 1e3:>7.1f} ms"
        print(f"{who:<28} {cost} {in_own_process(name, who):>10}  {verdict(name, results[who])}", flush=True)
    print()


def import_time(rounds: int) -> None:
    """Print what ``import effkit`` costs a fresh interpreter, and which heavy packages it loads."""
    extra = []
    for _ in range(rounds):
        (wall, cpu), (wall_of_nothing, cpu_of_nothing) = _interpreter("import effkit"), _interpreter("pass")
        extra.append((wall - wall_of_nothing, cpu - cpu_of_nothing, wall / wall_of_nothing))
    wall, cpu, ratios = zip(*extra, strict=True)
    print(
        f"import effkit: {median(wall) * 1e3:.1f} ms ({min(wall) * 1e3:.1f}..{max(wall) * 1e3:.1f}, n = {rounds}) beyond an "
        f"interpreter that imports nothing, x {median(ratios):.2f}; {median(cpu) * 1e3:.1f} ms of it on the processor"
    )
    heavy = ("torch", "numpy", "matplotlib", "IPython")
    source = f"import effkit, sys; print(*sorted(sys.modules.keys() & set({heavy})))"
    loaded = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    print(f"of {', '.join(heavy)} it loads: {loaded.stdout.strip() or 'none'}")


def _interpreter(source: str) -> tuple[float, float]:
    """Return the time that a fresh interpreter takes for some source, by the clock and on the processor."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", source], check=True)
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table for each network and the cost of the import."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SIZES, default=["resnet50", "vit_b_16", "llama3"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slow", type=float, default=10, help="seconds above which a counter is measured once")
    parser.add_argument("--memory", nargs=2, metavar=("MODEL", "COUNTER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(extra_memory(*options.memory))
        return
    for name in options.models:
        table(name, options.rounds, options.slow)
    import_time(4 * options.rounds)


if __name__ == "__main__":
    main()
