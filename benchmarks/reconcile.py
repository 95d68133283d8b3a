"""Print effkit beside each other counter for a network, with the reason of each difference to the last unit.

    python -m benchmarks.reconcile [--model alexnet|resnet50|vit_b_16|gpt2|...] [--device cpu|meta] [--markdown]

What a counter adds and leaves out is written down below, in `CONVENTIONS`. How much that is for this network is counted, on
two roads that must agree (`benchmarks.quantities`). If the sum is the difference, the row is "explained exactly"; if not, it
says how much is "not explained".
"""

import argparse
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

import effkit
from benchmarks.models import SIZES, build, describe, example
from benchmarks.peers import ON_META, PEERS, Peer, Reading, ask, quiet
from benchmarks.quantities import WORDS, from_calls, from_profile


@dataclass(frozen=True)
class Term:
    """A habit of a counter: it takes a quantity so many times more than effkit's MACs do, perhaps on one device only."""

    times: int
    quantity: str
    why: str
    device: str = ""


@dataclass(frozen=True)
class Row:
    """A counter's reading, its difference from effkit, and what explains it: (amount, words) for each reason."""

    reading: Reading
    macs: int
    params: int
    reasons: tuple[tuple[int, str], ...]
    params_reasons: tuple[tuple[int, str], ...]

    @property
    def difference(self) -> int:
        """How many MACs the counter has more than effkit."""
        return (self.reading.macs or 0) - self.macs

    @property
    def unexplained(self) -> int:
        """What of the difference no reason accounts for."""
        return self.difference - sum(amount for amount, _ in self.reasons)

    @property
    def params_unexplained(self) -> int:
        """What of the difference in parameters no reason accounts for."""
        theirs = self.reading.params
        return 0 if theirs is None else theirs - self.params - sum(amount for amount, _ in self.params_reasons)


NO_FUSED_CPU = Term(-1, "attention", "it has no formula for the fused attention of the CPU", "cpu")
NO_FUSED = Term(-1, "attention", "it has no formula for fused attention")
NO_ATTENTION = Term(-1, "attention", "attention is no layer, and it counts layers alone")
BIAS = Term(1, "bias", "each bias addition counts")

# Each from the counter's source code, in the version that constraints.txt pins.
CONVENTIONS: Mapping[str, tuple[Term, ...]] = {
    "FlopCounterMode": (NO_FUSED_CPU,),
    "fvcore": (
        NO_FUSED,
        Term(2, "batch_norm", "each batch-normalized element counts 2"),
        Term(5, "layer_norm", "each layer-normalized element counts 5"),
        Term(1, "avg_in", "each input of average pooling counts"),
    ),
    "ptflops aten": (NO_FUSED_CPU, BIAS),
    "ptflops pytorch": (
        NO_FUSED,
        BIAS,
        Term(2, "batch_norm", "each batch-normalized element counts 2"),
        Term(1, "layer_norm", "each layer-normalized element counts"),
        Term(2, "activation", "each result of an activation counts twice: its module and the function in it"),
        Term(-1, "relu6", "but ReLU6 only once"),
        Term(1, "activation_function", "each result of an activation function counts"),
        Term(2, "pool_in", "each input of pooling counts twice: its module and the function in it"),
        Term(1, "biased_linear", "linear layers with a bias count again: on meta they call torch.addmm", "meta"),
    ),
    "ultralytics-thop": (
        Term(4, "batch_norm", "each batch-normalized element counts 4"),
        Term(4, "layer_norm", "each layer-normalized element counts 4"),
        Term(4, "rms_norm", "each RMS-normalized element counts 4"),
        Term(1, "avg_in", "each input of average pooling counts"),
        Term(1, "avg_out", "each result of average pooling counts"),
    ),
    "torchinfo": (
        NO_ATTENTION,
        BIAS,
        Term(-1, "later_positions", "a linear layer counts for the first position of a sequence alone"),
        Term(1, "norm_params", "each parameter of a normalization counts"),
        Term(1, "tables", "an embedding table counts as if it were a matrix to multiply by"),
    ),
    "calflops": (NO_FUSED,),
    "torchprofile": (
        Term(1, "batch_norm", "each batch-normalized element counts"),
        Term(1, "layer_norm", "each layer-normalized element counts"),
        Term(1, "avg_out", "each result of average pooling counts"),
    ),
    "torchscan": (NO_FUSED_CPU,),
}
PARAMS_CONVENTIONS: Mapping[str, tuple[Term, ...]] = {"torchinfo": (Term(1, "tied", "a tied weight counts twice"),)}


def reasons(terms: tuple[Term, ...], tally: Mapping[str, int], device: str) -> tuple[tuple[int, str], ...]:
    """Return the amount and the words of each habit that matters for a network with these quantities."""
    apply = [term for term in terms if term.device in ("", device) and tally[term.quantity]]
    return tuple((term.times * tally[term.quantity], term.why) for term in apply)


@dataclass(frozen=True)
class Reconciliation:
    """All counters beside effkit for one network: `tallies` are its quantities by the two roads."""

    title: str
    macs: int
    params: int
    tallies: tuple[Counter[str], Counter[str]]
    rows: tuple[Row, ...]


def reconcile(title: str, model: nn.Module, x: torch.Tensor) -> Reconciliation:
    """Count a network with effkit and with each counter, where its weights and its input are."""
    profile = effkit.profile(model, x)
    with quiet():
        tallies = from_profile(profile, model), from_calls(model, x)

    def row(peer: Peer) -> Row:
        habits, params_habits = CONVENTIONS.get(peer.name, ()), PARAMS_CONVENTIONS.get(peer.name, ())
        why, params_why = (reasons(terms, tallies[0], x.device.type) for terms in (habits, params_habits))
        return Row(ask(peer, model, x), profile.macs, profile.params, why, params_why)

    counters = PEERS if x.is_meta else (PEERS[0], ON_META, *PEERS[1:])
    return Reconciliation(title, profile.macs, profile.params, tallies, tuple(map(row, counters)))


def of_zoo(name: str, device: str) -> Reconciliation:
    """Count a network of the zoo at its published size."""
    title = f"{name}, {describe(name)}, on {'the CPU' if device == 'cpu' else device}"
    return reconcile(title, build(name, device), example(name, device))


# Printing


def explanation(row: Row) -> list[str]:
    """Return the reasons of the difference, and whether they add up to it; of a counter that failed, its error."""
    if row.reading.error:
        return [row.reading.error]
    peer = row.reading.peer
    lines = [f"1 MAC is {peer.per_mac} {peer.unit}"] if peer.per_mac > 1 else []
    lines += [f"{amount:+,}: {why}" for amount, why in row.reasons]
    if row.unexplained:
        return [*lines, f"not explained: {row.unexplained:+,}"]
    return [*lines, "explained exactly" if row.reasons else "equal"]


def params(row: Row) -> list[str]:
    """Return the counter's number of parameters and why it differs."""
    theirs = row.reading.params
    if theirs is None:
        return ["" if row.reading.error else "none given"]
    lines = [f"{theirs:,}"]
    if theirs != row.params:
        lines += [f"{amount:+,}: {why}" for amount, why in row.params_reasons]
        lines += [f"not explained: {row.params_unexplained:+,}" if row.params_unexplained else "explained exactly"]
    return lines


def figures(row: Row) -> tuple[str, str, str, str]:
    """Return the counter's own figure with its unit, that in MACs, the ratio to effkit's and the difference."""
    if row.reading.macs is None:
        return "", "", "", ""
    ratio = f"{row.reading.macs / row.macs:.9f}" if row.difference else "1"
    return f"{row.reading.figure:,} {row.reading.peer.unit}", f"{row.reading.macs:,}", ratio, f"{row.difference:+,}"


def version(peer: Peer) -> str:
    """Return a counter's name and version."""
    return f"{peer.name} {peer.version or '(not installed)'}"


def headline(result: Reconciliation) -> str:
    """Return effkit's own counts."""
    flops = 2 * result.macs
    return f"{result.title}: effkit counts {result.macs:,} MACs ({flops:,} FLOPs) and {result.params:,} parameters"


def quantities(result: Reconciliation) -> list[str]:
    """Return a line for each quantity that the network has beside its MACs, and whether the two roads agree on it."""
    lines = ["Beside its MACs it has, by effkit's records and again by the functions that it calls:"]
    from_records, from_functions = result.tallies
    for name, words in WORDS.items():
        here, there = from_records[name], from_functions[name]
        if here or there:
            lines.append(f"- {here:,} {words}" + ("" if here == there else f" (THE ROADS DISAGREE: {there:,} by the calls)"))
    return lines


def as_text(result: Reconciliation) -> str:
    """Return the comparison as text."""
    lines = [headline(result), "", *quantities(result), ""]
    lines.append(f"{'counter':<30} {'its own figure':>31} {'in MACs':>22} {'ratio':>13} {'difference':>22}")
    for row in result.rows:
        own, macs, ratio, difference = figures(row)
        lines.append(f"{version(row.reading.peer):<30} {own:>31} {macs:>22} {ratio:>13} {difference:>22}".rstrip())
        lines += [f"    {line}" for line in explanation(row)]
        lines += [f"    parameters {line}" for line in params(row) if line]
    return "\n".join(lines)


def as_markdown(result: Reconciliation) -> str:
    """Return the comparison as a Markdown table."""
    lines = [f"**{headline(result)}.**", "", "| counter | its own figure | ratio | difference in MACs | why | parameters |"]
    lines += ["|---|---:|---:|---:|---|---|"]
    for row in result.rows:
        own, _, ratio, difference = figures(row)
        cells = (version(row.reading.peer), own, ratio, difference, "<br>".join(explanation(row)), "<br>".join(params(row)))
        lines.append(f"| {' | '.join(cells)} |")
    first, *rest = quantities(result)
    return "\n".join([*lines, "", first, "", *rest])


def main() -> None:
    """Print the comparison of one network, or of the four of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SIZES, help="by default alexnet, resnet50, vit_b_16 and gpt2, one after another")
    parser.add_argument("--device", choices=("cpu", "meta"), help="by default the CPU, and meta for llama3")
    parser.add_argument("--markdown", action="store_true", help="print tables for docs/counters.md")
    options = parser.parse_args()
    show = as_markdown if options.markdown else as_text
    print(
        f"effkit {effkit.__version__}, torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}",
        end="\n\n",
    )
    for name in [options.model] if options.model else ["alexnet", "resnet50", "vit_b_16", "gpt2"]:
        device = options.device or ("meta" if name == "llama3" else "cpu")
        print(show(of_zoo(name, device)), end="\n\n")


if __name__ == "__main__":
    main()
