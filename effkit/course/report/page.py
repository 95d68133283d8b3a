"""The report as one HTML page that needs nothing else: no network, no script. What students wrote is escaped."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from effkit.course.records import MANUAL, NOT_GRADED
from effkit.course.report import charts, matters, tables
from effkit.course.report.gather import Results
from effkit.course.report.tasks import HARD, LOW, TaskRow, Totals
from effkit.grading.answers import printable


def page(results: Results, rows: Sequence[TaskRow], totals: Totals) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"visible": visible, "people": charts.people}
    return environment.get_template("page.html.j2").render(
        results=results,
        summary=summary(results, totals),
        counts=_counts(results),
        attention=matters.attention(results),
        by_hand=matters.by_hand(results),
        rows=rows,
        bars=[(row, charts.segments(row)) for row in rows],
        bars_alt=charts.outcomes_alt(rows),
        totals=totals,
        distribution=charts.distribution(totals.values, totals.maximum),
        mistakes=matters.mistakes(results),
        flags=matters.flags(results),
        repaired=matters.findings(results, repaired=True),
        runs=matters.runs(results),
        unmatched=tables.unmatched(results),
        height=charts.HEIGHT,
        hard=HARD,
        low=LOW,
        name=results.name,
        feedback=_links(results),
    )


def summary(results: Results, totals: Totals) -> list[str]:
    """Return what matters most, in plain sentences."""
    counts = _counts(results)
    sentences = [f"{charts.people(counts['submitted'])} handed in {results.lab}; {_is_are(counts['graded'])} graded."]
    if counts["waiting"]:
        whose = "one of them waits" if counts["waiting"] == 1 else f"{counts['waiting']} of them wait"
        sentences.append(f"{whose[0].upper()}{whose[1:]} for a person to grade a written answer.")
    if counts["not graded"]:
        n = counts["not graded"]
        sentences.append(f"{_is_are(n)} not graded, for the reasons below, and left out of all figures.")
    if not totals.values:
        return [*sentences, "There are no complete scores yet, so there is nothing to say about them."]
    found = charts.distribution(totals.values, totals.maximum)
    assert found is not None
    s = found.spread
    of = f"Of {totals.maximum:g} points the median is {s.median:g}, from {s.low:g} to {s.high:g}"
    middle = f"; the middle half of the class has {s.lower_quarter:g} to {s.upper_quarter:g}"
    return [*sentences, f"{of}{middle if len(totals.values) >= 4 else ''}.", *left_out(totals)]


def left_out(totals: Totals) -> list[str]:
    """Return what the totals do not hold, in plain sentences."""
    sentences = []
    if totals.left_out_tasks:
        tasks = ", ".join(totals.left_out_tasks)
        sentences.append(f"The totals are without {tasks}, where too many have no score yet.")
    if totals.left_out_students:
        who = charts.people(totals.left_out_students)
        sentences.append(
            f"{who} without a score in one of the tasks {'is' if who[:2] == '1 ' else 'are'} left out of the totals."
        )
    if totals.late:
        sentences.append(f"From {totals.late} of the totals points are taken off for lateness.")
    return sentences


def _is_are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def _counts(results: Results) -> dict[str, int]:
    return {
        "submitted": len(results.records) + len(results.new),
        "graded": len(results.graded),
        "waiting": sum(record.status == MANUAL for record in results.graded),
        "not graded": sum(record.status == NOT_GRADED for record in results.records) + len(results.new),
        "flagged": sum(bool(record.flags) for record in results.records),
    }


def _links(results: Results) -> dict[str, str]:
    """Return where each student's feedback page is, seen from grades/."""
    lab = results.lab
    graded = (record.student for record in results.records if record.graded)
    return {who: f"../feedback/{quote(who, safe='', errors='surrogateescape')}/{lab}/{lab}.html" for who in graded}


def visible(text: object) -> str:
    r"""Return a text in which nothing hides: what has no shape, or turns the direction of reading, is spelled out.

    >>> visible("a\u202eb"), visible("tab\there")
    ('a\\u202eb', 'tab here')
    """
    return printable(str(text).replace("\t", " ").replace("\n", " "))
