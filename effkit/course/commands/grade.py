"""``effkit grade LAB``: grade every submission of a lab."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from effkit.course.commands import options as values
from effkit.grading.answers import printable

if TYPE_CHECKING:
    from effkit.course.grade import Executor, Watch
    from effkit.course.records import Record


def add(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "grade",
        help="grade every submission of a lab in submitted/",
        description="Grade submitted/STUDENT/LAB/ for everyone. What was graded and has not changed is not run again.",
    )
    parser.add_argument("lab", help="the lab's name, for example lab2_parameters")
    parser.add_argument("--student", nargs="+", default=[], metavar="NAME", help="grade only these students")
    parser.add_argument("--force", action="store_true", help="run unchanged submissions again too")
    parser.add_argument(
        "--jobs", type=values.at_least_one, metavar="N", help="how many at a time (default: one a processor)"
    )
    parser.add_argument(
        "--seed", type=values.seed, metavar="N", help="the seed of the random cases (default: a new one each run)"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="execute on the Dask cluster whose scheduler is at this address, such as tls://gradebox:8786; or: local",
    )
    parser.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run students' code with all your rights where no sandbox can be had: only code that you would run yourself",
    )


def run(options: argparse.Namespace) -> int:
    """Grade; return 0, or 1 if somebody must look at something."""
    with ExitStack() as until_the_end:
        execute = _executor(options, until_the_end)
        from effkit.course.grade import Options, grade, misplaced, quieten

        quieten()
        how = Options(
            students=tuple(options.student),
            force=options.force,
            jobs=options.jobs or 0,
            seed=options.seed,
            unsafe=options.unsafe_no_sandbox,
            execute=execute,
        )
        with _watching(options.lab) as watch:
            records = grade(options.course, options.lab, how, watch)
    for record in records:
        _look_at(record)
    lost = misplaced(options.course)
    for path in lost:
        _say(f"LEFT OUT {path}: it is not at submitted/STUDENT/LAB/LAB.ipynb")
    lab = options.lab
    print(f"Scores and reasons: grades/{lab}.csv; what students read: feedback/STUDENT/{lab}/{lab}.html")
    return 1 if lost or any(record.needs_attention for record in records) else 0


def _executor(options: argparse.Namespace, until_the_end: ExitStack) -> "Executor":
    """Return what executes submissions; the warm process for it starts first of all, and warms up meanwhile."""
    if options.scheduler:
        from effkit.course.cluster import run_on

        return run_on(options.scheduler)
    from effkit.course.kernels import start_warm

    warm = None if options.unsafe_no_sandbox else start_warm(until_the_end)
    from effkit.course.pool import run_here

    return partial(run_here, warm=warm)


def _look_at(record: "Record") -> None:
    if not record.done:
        _say(f"{record.status.upper()} {record.student}: {record.problem}")
        return
    for finding in record.findings:
        if not finding["repaired"]:
            _say(f"LOOK AT {record.student}: {finding['sentence']}")
    for flag in record.flags:
        where = f"{flag['cell']}, line {flag['line']}" if flag["line"] else flag["cell"]
        _say(f"LOOK AT {record.student}: {flag['kind']} in {where}: {flag['text']}")


def _say(line: str) -> None:
    """Tell the grader, who must not be taken in by what a student put into a name or a line of code."""
    print(printable(line), file=sys.stderr)


@contextmanager
def _watching(lab: str) -> "Iterator[Watch]":
    """Show a progress bar with the time left where there is a terminal, and a line for each submission elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from effkit.course.grade import Watch
    from effkit.course.records import Record

    console = Console(highlight=False, soft_wrap=True, markup=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )

    class Shown(Watch):
        count = total = 0

        def begin(self, total: int, unchanged: int, seed: int) -> None:
            self.total = total
            every = f"{total} submission{'' if total == 1 else 's'}"
            console.print(f"Grading {every} of {lab} (seed {seed})")
            if unchanged:
                console.print(f"{unchanged} unchanged since the last run: not run again (--force runs them)")
            self.task = progress.add_task("Grading", total=total)

        def done(self, record: Record) -> None:
            self.count += 1
            result = record.status if record.score is None else f"{record.score:g} of {record.max_score:g}, {record.status}"
            name = printable(record.student)
            if not console.is_terminal or record.needs_attention:
                console.print(f"[{self.count}/{self.total}] {name}: {result} ({record.seconds:.1f} s)")
            progress.advance(self.task)

    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Shown()
