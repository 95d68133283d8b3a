"""A verdict as text and as HTML: what was expected, what came, for which arguments, and which mistake it was."""

from collections.abc import Iterable
from html import escape

from effkit.grading.judge import Finding, Part, Verdict

_SHOWN = 3  # failing calls shown for each group; one is enough where the mistake is known or the advice says it

_TABLE = "border-collapse:collapse;margin:.3em 0 .6em 1.4em;text-align:left"
_CELL = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top;overflow-wrap:anywhere"
_NAME = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top;white-space:nowrap"
_HINT = "border-left:4px solid #b35c00;padding:.3em .8em;margin:.5em 0"
_NO_MATH = "tex2jax_ignore mathjax_ignore"  # what a student's code printed must not be read as a formula: they hold links
_NOTE = "border-left:4px solid #888;padding:.3em .8em;margin:.5em 0"


def points_text(earned: float, points: float) -> str:
    """Return a score as "2 of 3 points"."""
    return f"{earned:g} of {points:g} point{'' if points == 1 else 's'}"


def state(verdict: Verdict) -> str:
    """Return in one word or two how far a task is."""
    if verdict.problem:
        return "not solved"
    if verdict.score == verdict.points:
        return "solved"
    return "partly solved" if verdict.score else "wrong"


def text(verdict: Verdict, notes: Iterable[str] = ()) -> str:
    """Return the verdict as plain text."""
    lines = [f"{verdict.task}: {points_text(verdict.score, verdict.points)} ({state(verdict)})"]
    lines += [f"  {note}" for note in notes]
    if verdict.problem:
        return "\n".join([*lines, f"  {verdict.problem}"])
    if verdict.mistake:
        lines += [f"  Known mistake: {verdict.mistake.name}.", f"  {verdict.mistake.hint}"]
    for part in verdict.parts:
        lines.append(f"  {_part_line(part)}")
        shown, more = _chosen(part, verdict)
        for finding in shown:
            lines += [f"    {finding.call}", f"      expected {finding.expected}", f"      came     {finding.came}"]
            lines += [f"      {finding.advice}"] if finding.advice else []
        lines += [f"    {more}"] if more else []
    return "\n".join(lines)


def _part_line(part: Part) -> str:
    result = "right" if not part.findings else f"{len(part.findings)} of {part.calls} calls without the right answer"
    mark = "✗" if part.findings else "✓"
    return f"{mark} {part.name}: {points_text(part.earned, part.points)}, {result}"


def _chosen(part: Part, verdict: Verdict) -> tuple[list[Finding], str]:
    """Return the findings worth showing, no two with the same outcome, and a line about the others."""
    different = {finding.came: finding for finding in reversed(part.findings)}
    understood = verdict.mistake or all(finding.advice for finding in different.values())
    shown = list(reversed(different.values()))[: 1 if understood else _SHOWN]
    hidden = len(part.findings) - len(shown)
    return shown, f"and {hidden} more call{'s' if hidden > 1 else ''}" if hidden else ""


def html(verdict: Verdict, notes: Iterable[str] = (), printed: str = "") -> str:
    """Return the verdict as HTML. Everything that came from a student's code is escaped."""
    head = f"<strong>{escape(verdict.task)}: {points_text(verdict.score, verdict.points)}</strong> ({state(verdict)})"
    body = [f"<p style='margin:.2em 0'>{head}</p>"]
    body += [f"<p style='{_NOTE}'>{escape(note)}</p>" for note in notes]
    if verdict.problem:
        body.append(f"<p style='{_HINT}'>{escape(verdict.problem)}</p>")
    if verdict.mistake:
        name, hint = escape(verdict.mistake.name), escape(verdict.mistake.hint)
        body.append(f"<p style='{_HINT}'><strong>Known mistake: {name}.</strong><br>{hint}</p>")
    body += [_part_html(part, verdict) for part in verdict.parts]
    if printed:
        shown = f"<pre style='margin:.2em 0'>{escape(printed)}</pre>"
        body.append(f"<details><summary>What your function printed</summary>{shown}</details>")
    return f"<div class='effkit-verdict {_NO_MATH}'>{''.join(body)}</div>"


def _part_html(part: Part, verdict: Verdict) -> str:
    line = f"<p style='margin:.2em 0'>{escape(_part_line(part))}</p>"
    if not part.findings:
        return line
    shown, more = _chosen(part, verdict)
    head = "".join(f"<th scope='col' style='{_CELL}'>{title}</th>" for title in ("Call", "Expected", "Your answer"))
    rows = "".join(_finding_html(finding) for finding in shown)
    more = f"<p style='margin:0 0 .6em 1.4em'>{more}</p>" if more else ""
    return f"{line}<table style='{_TABLE}'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _finding_html(finding: Finding) -> str:
    came = escape(finding.came) + (f"<br><em>{escape(finding.advice)}</em>" if finding.advice else "")
    cells = (f"<code>{escape(finding.call)}</code>", escape(finding.expected), came)
    return f"<tr>{''.join(f'<td style={_CELL!r}>{cell}</td>' for cell in cells)}</tr>"


def progress_text(rows: Iterable[tuple[str, float, float, str]]) -> str:
    """Return a lab's tasks as a text table; a row is (task, earned, points, state)."""
    rows = list(rows)
    width = max(len(task) for task, *_ in rows)
    lines = [f"{task:<{width}}  {earned:>3g} / {points:<3g} {how}" for task, earned, points, how in rows]
    return "\n".join([*lines, f"{'total':<{width}}  {_total(rows)}"])


def progress_html(rows: Iterable[tuple[str, float, float, str]]) -> str:
    """Return a lab's tasks as an HTML table; a row is (task, earned, points, state)."""
    named = [(f"<code>{escape(task)}</code>", earned, points, _ticked(how)) for task, earned, points, how in rows]
    return _points_table(named, "State")


def summary_html(rows: Iterable[tuple[str, float, float, str]]) -> str:
    """Return a graded lab as an HTML table whose tasks link to their cells; a row is (task, earned, points, reason)."""
    linked = [
        (
            f"<a href='#{escape(task)}'><code>{escape(task)}</code></a>",
            earned,
            points,
            "✓" if earned == points else escape(reason),
        )
        for task, earned, points, reason in rows
    ]
    return _points_table(linked, "Why")


def _ticked(state: str) -> str:
    return f"✓ {state}" if state == "solved" else escape(state)


def _points_table(rows: list[tuple[str, float, float, str]], last_column: str) -> str:
    """Return a table of (HTML name, earned, points, HTML text) with the total."""
    head = "".join(f"<th scope='col' style='{_CELL}'>{title}</th>" for title in ("Task", "Points", last_column))
    body = "".join(
        f"<tr><td style='{_NAME}'>{name}</td><td style='{_NAME}'>{earned:g} of {points:g}</td>"
        f"<td style='{_CELL}'>{text}</td></tr>"
        for name, earned, points, text in rows
    )
    total = f"<tr><th scope='row' style='{_CELL}'>Total</th><td style='{_NAME}'><strong>{_total(rows)}</strong></td></tr>"
    attributes = f"class='{_NO_MATH}' style='{_TABLE}'"
    return f"<table {attributes}><thead><tr>{head}</tr></thead><tbody>{body}</tbody><tfoot>{total}</tfoot></table>"


def _total(rows: list[tuple[str, float, float, str]]) -> str:
    return f"{sum(row[1] for row in rows):g} of {sum(row[2] for row in rows):g}"
