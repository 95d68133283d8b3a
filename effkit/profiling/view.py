"""A profile in words: as a text for a terminal and as HTML for a notebook."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effkit.profiling.result import Layer, Profile

ROWS = 40  # lines of layers in a text
_HEADS = ("layer", "kind", "output", "params", "MACs", "activations", "bytes", "FLOPs/byte")


def totals(profile: "Profile") -> list[tuple[str, str]]:
    """Return the name and the value, with its unit, of each total."""
    size = profile.model_size()
    return [
        ("params", f"{profile.params:,}" + (f" (and {profile.buffers:,} in buffers)" if profile.buffers else "")),
        ("model size", f"{size:,} bytes ({size / 1e6:,.4g} MB, {size / 2**20:,.4g} MiB)"),
        ("MACs", f"{profile.macs:,}"),
        ("FLOPs", f"{profile.flops:,} (2 × MACs)"),
        ("other ops", f"{profile.other_ops:,}"),
        ("activations", f"{profile.activations:,} elements"),
        ("peak", f"{profile.peak():,} elements in one layer; {profile.peak('live'):,} with everything still needed"),
        ("bytes moved", f"{profile.bytes_moved:,}"),
    ]


def as_text(profile: "Profile") -> str:
    """Return totals, the layers that multiply or are activations, what was not counted, and the convention."""
    rows = _rows(profile.layers)
    shown = rows if len(rows) <= ROWS else [*rows[: ROWS - 6], _gap(len(rows) - ROWS + 1), *rows[-5:]]
    lines = [f"{name:<12} {value}" for name, value in totals(profile)]
    return "\n".join([profile.model, *lines, "", *_aligned([_HEADS, *shown]), "", *_remarks(profile)])


def as_html(profile: "Profile") -> str:
    """Return the same as HTML, with every layer in a table that folds."""
    cell = "text-align:left;padding:.15em .8em .15em 0"
    number = "text-align:right;padding:.15em 0 .15em .8em"
    summary = "".join(
        f"<tr><th scope='row' style='{cell}'>{name}</th><td style='{cell}'>{escape(value)}</td></tr>"
        for name, value in totals(profile)
    )
    head = "".join(f"<th scope='col' style='{cell if i < 3 else number}'>{name}</th>" for i, name in enumerate(_HEADS))
    body = "".join(
        "<tr>"
        + "".join(f"<td style='{cell if i < 3 else number}'>{escape(text)}</td>" for i, text in enumerate(row))
        + "</tr>"
        for row in _rows(profile.layers)
    )
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in _remarks(profile))
    return (
        f"<div class='effkit-profile'><table><caption style='text-align:left'><b>{escape(profile.model)}</b></caption>"
        f"{summary}</table><details><summary>{len(profile.layers):,} operator calls</summary>"
        f"<table><tr>{head}</tr>{body}</table></details><ul>{remarks}</ul></div>"
    )


def _rows(layers: Iterable["Layer"]) -> list[tuple[str, ...]]:
    """Return a row for each layer; a run of equal calls in the same module is one row, "x 3"."""
    rows = []
    for (name, kind, output), run in groupby(layers, lambda layer: (layer.name, layer.kind, layer.output_shape)):
        calls = list(run)
        sums = [sum(getattr(call, figure) for call in calls) for figure in ("params", "macs", "activations", "bytes_moved")]
        intensity = sum(call.ops for call in calls) / sums[-1] if sums[-1] else 0.0
        times = f" × {len(calls)}" if len(calls) > 1 else ""
        shape = "×".join(map(str, output)) or "scalar"
        rows.append((name, kind + times, shape, *(f"{value:,}" if value else "" for value in sums), f"{intensity:.3g}"))
    return rows


def _gap(rows: int) -> tuple[str, ...]:
    return (f"... {rows} more (to_dataframe() has all)", *[""] * (len(_HEADS) - 1))


def _remarks(profile: "Profile") -> list[str]:
    from effkit.profiling.result import CONVENTION

    missing = ", ".join(f"{name} ({times} ×)" for name, times in profile.uncounted.items())
    warning = [f"NOT COUNTED, no formula (effkit.register teaches one): {missing}"] if missing else []
    return [*warning, *profile.notes, *(f"Convention: {line}." for line in CONVENTION)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


@dataclass(frozen=True)
class Comparison:
    """Two profiles side by side: every total and the ratio second / first."""

    first: "Profile"
    second: "Profile"

    def rows(self) -> list[tuple[str, int, int, float | None]]:
        """Return (total, first, second, second / first) rows; the ratio is None where the first is 0."""
        names = ("params", "macs", "flops", "other_ops", "activations", "peak_activations", "bytes_moved")
        values = [(name, getattr(self.first, name), getattr(self.second, name)) for name in names]
        values.append(("peak_live_activations", self.first.peak("live"), self.second.peak("live")))
        values.append(("model_size", self.first.model_size(), self.second.model_size()))
        return [(name, a, b, b / a if a else None) for name, a, b in values]

    def _cells(self) -> list[tuple[str, ...]]:
        return [(n, f"{a:,}", f"{b:,}", "" if ratio is None else f"{ratio:.4g}") for n, a, b, ratio in self.rows()]

    def __repr__(self) -> str:
        return "\n".join(_aligned([("", self.first.model, self.second.model, "ratio"), *self._cells()]))

    def _repr_html_(self) -> str:
        heads = ("", escape(self.first.model), escape(self.second.model), "ratio")
        head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in self._cells())
        return f"<table class='effkit-comparison'><tr>{head}</tr>{body}</table>"
