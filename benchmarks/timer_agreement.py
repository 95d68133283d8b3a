"""Compare effkit's timer with torch.utils.benchmark on a matrix product, in turns in the same run.

    python -m benchmarks.timer_agreement [--size 512] [--threads 1] [--rounds 5]

Each round times the product with one timer and then with the other, so that both meet the same machine. Agreement means
that the two medians differ by less than effkit's IQR. It can be expected where both time the same number of calls in a
sample: where the processor is shared, a longer block meets more interruptions, so a median of ten calls lies above the
median of one (torch's blocks grow tenfold and last at least min_run_time / 1000).

The last lines are a self-test: a call that does nothing, and a sleep of known length.
"""

import argparse
import time

import torch
from torch.utils.benchmark import Timer

from effkit.timing import measure, overhead


def main() -> None:
    """Print a line for each round and the self-test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="rows and columns of both matrices")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    a, b = torch.randn(2, options.size, options.size)  # (size, size) each
    peer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=options.threads)

    shape = f"({options.size}, {options.size})"
    print(f"{shape} @ {shape}, float32, threads: {options.threads}; times in ms")
    print("round  effkit median    IQR      n  calls    torch median    IQR      n  calls    ratio  within effkit's IQR")
    ratios = []
    for i in range(1, options.rounds + 1):
        ours, theirs = measure(lambda: a @ b, min_time_s=1), peer.blocked_autorange(min_run_time=1)
        ratios.append(ours.median_s / theirs.median)
        agree = "yes" if abs(ours.median_s - theirs.median) <= ours.iqr_s else "no"
        effkit_row = f"{ours.median_s * 1e3:>13.4f} {ours.iqr_s * 1e3:>7.4f} {ours.n:>6} {ours.inner_n:>6}"
        torch_row = (
            f"{theirs.median * 1e3:>13.4f} {theirs.iqr * 1e3:>7.4f} {len(theirs.times):>6} {theirs.number_per_run:>6}"
        )
        print(f"{i:>5}  {effkit_row}  {torch_row}  {ratios[-1]:>6.3f}  {agree}")
    print(f"median ratio effkit / torch: {sorted(ratios)[len(ratios) // 2]:.3f}")

    nothing, sleep = overhead(), measure(lambda: time.sleep(0.01))
    print(f"self-test: a call that does nothing {nothing.median_s * 1e9:.1f} ns")
    print(f"self-test: a sleep of 10 ms {sleep.median_s * 1e3:.3f} ms")


if __name__ == "__main__":
    main()
