"""Compare `effkit grade` with stock `nbgrader autograde` on the same honest submissions, in turns in the same run.

    python -m benchmarks.grading [--lab lab2_parameters] [--sizes 10 50 200] [--stock 5] [--rounds 2] [--jobs N]

Stock is nbgrader's own command and preprocessors: no sandbox, no trusted judge, no feedback pages. Ours does all of that.
Each round grades first `--stock` submissions with stock, then each of `--sizes` with ours, all in fresh course folders.
Time per submission at steady state is the time from one finished submission to a later one, divided by those between: it
leaves out the start, which is given apart. Submissions are the lab's solution and copies of it with one wrong task each.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
STOCK_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "labs"
"""
STEPS = {  # class or module, function: what the table calls it
    ("effkit.course.prepare", "", "prepare"): "examine and repair",
    ("effkit.course.results", "Finisher", "judged"): "judge, make harmless",
    ("effkit.course.feedback", "Pages", "stage_graded"): "write the graded notebook",
    ("effkit.course.gradebook", "Book", "record"): "record in the gradebook",
    ("effkit.course.results", "Finisher", "write_feedback"): "write the feedback page",
    ("effkit.course.records", "Records", "add"): "journal (on the disk)",
}


def main() -> None:
    """Print a line for each batch, the comparison, and where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", default="lab2_parameters")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--stock", type=int, default=5, metavar="N", help="submissions of each stock batch")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--profile", nargs=2, metavar=("FOLDER", "JOBS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.profile:
        print(profile(Path(options.profile[0]), options.lab, int(options.profile[1])))
        return
    if options.stock < 2 or min(options.sizes) <= options.jobs + 1:
        parser.error("a batch needs at least 2 submissions with stock, and more than the jobs + 1 with ours")
    print(f"{options.lab}, {options.jobs} jobs; load at the start {os.getloadavg()[0]:.1f}; seconds")
    print("round  grader   submissions   whole   start  per submission")
    steady: dict[str, list[float]] = defaultdict(list)
    for number in range(1, options.rounds + 1):
        for grader, size in [("stock", options.stock), *(("effkit", size) for size in options.sizes)]:
            whole, each = batch(grader, options.lab, size, options.jobs)
            steady[grader if grader == "stock" else f"effkit, {size} submissions"].append(each)
            print(
                f"{number:>5}  {grader:<7}  {size:>11}  {whole:>6.1f}  {whole - each * size:>6.1f}  {each:>14.3f}",
                flush=True,
            )
    stock = statistics.median(steady.pop("stock"))
    for name, values in steady.items():
        ours = statistics.median(values)
        print(f"{name}: {ours:.3f} s each at steady state, stock {stock:.2f} s: {stock / ours:.1f} times less")
    with tempfile.TemporaryDirectory() as folder:
        course = make_course(Path(folder), options.lab, max(20, min(options.sizes)), stock=False)
        command = [sys.executable, "-m", "benchmarks.grading", "--lab", options.lab]
        subprocess.run([*command, "--profile", str(course), str(options.jobs)], cwd=ROOT, check=True)


def batch(grader: str, lab: str, size: int, jobs: int) -> tuple[float, float]:
    """Grade `size` submissions and return the wall time of all and of each at steady state."""
    with tempfile.TemporaryDirectory() as folder:
        course = make_course(Path(folder), lab, size, stock=grader == "stock")
        command = ["nbgrader", "autograde", lab] if grader == "stock" else ["effkit", "grade", lab, "--jobs", str(jobs)]
        start = time.perf_counter()
        _run(course, *command)
        whole = time.perf_counter() - start
        finished = sorted(p.stat().st_mtime for p in course.glob(f"autograded/*/{lab}/{lab}.ipynb"))
        if len(finished) != size:
            raise SystemExit(f"{grader} graded {len(finished)} of {size}")
        first = 0 if grader == "stock" else jobs  # each worker's first one waits for its warm process
        return whole, (finished[-1] - finished[first]) / (size - 1 - first)


def make_course(folder: Path, lab: str, size: int, *, stock: bool) -> Path:
    """Make a course folder with `size` submissions and the lab recorded in its gradebook."""
    shutil.copytree(ROOT / "solutions", folder / "solutions")
    shutil.copy(ROOT / "pyproject.toml", folder)
    if stock:
        (folder / "nbgrader_config.py").write_text(STOCK_CONFIG)
    else:
        shutil.copy(ROOT / "nbgrader_config.py", folder)
    _run(folder, "nbgrader", "generate_assignment", lab)
    released = (folder / "labs" / lab / f"{lab}.ipynb").read_text(encoding="utf-8")
    solution = nbformat.read(ROOT / "solutions" / lab / f"{lab}.ipynb", as_version=4)
    sources = {c.id: c.source for c in solution.cells if c.metadata.get("nbgrader", {}).get("solution")}
    code = [name for name in sources if name.endswith("-solution")]
    for number in range(size):
        notebook = nbformat.reads(released, as_version=4)
        wrong = code[number % len(code)] if number % 2 else ""
        for cell in notebook.cells:
            if cell.id in sources and cell.id != wrong:
                cell.source = sources[cell.id]
        place = folder / "submitted" / f"s{number:04}" / lab
        place.mkdir(parents=True)
        nbformat.write(notebook, place / f"{lab}.ipynb")
    return folder


def _run(course: Path, program: str, *arguments: str) -> None:
    path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
    command = [str(PROGRAMS / program), *arguments]
    done = subprocess.run(command, cwd=course, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
    if done.returncode > 1 or "Traceback" in done.stderr:
        raise SystemExit(f"{' '.join(command)} failed:\n{re.sub('(?m)^.*WARNING.*$', '', done.stderr)[-2000:]}")


def profile(course: Path, lab: str, jobs: int) -> str:
    """Grade a course with a clock on each step and return the table."""
    from effkit.course.grade import Options, grade, quieten

    quieten()
    spent: dict[str, float] = defaultdict(float)
    for (module, owner, name), label in STEPS.items():
        holder: Any = __import__(module, fromlist=["_"])
        holder = getattr(holder, owner) if owner else holder
        setattr(holder, name, _clocked(getattr(holder, name), label, spent))
    records = grade(course, lab, Options(jobs=jobs))
    count = len(records)
    lines = [f"where the time goes, {count} submissions, {jobs} jobs, milliseconds of each submission"]
    executing = sum(record.seconds for record in records[jobs:]) / (count - jobs)
    lines.append(f"{'execute in the sandbox (each of the workers)':<48}{1000 * executing:>8.1f}")
    lines += [f"{label + ' (here)':<48}{1000 * seconds / count:>8.1f}" for label, seconds in spent.items()]
    here = sum(spent.values()) / count
    lines.append(f"{'all that is done here':<48}{1000 * here:>8.1f}")
    levels = sorted({record.level for record in records})
    return "\n".join([*lines, f"level of isolation: {', '.join(levels)}"])


def _clocked(function: Callable[..., Any], label: str, spent: dict[str, float]) -> Callable[..., Any]:
    spent[label] = 0.0

    def clocked(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[label] += time.perf_counter() - start

    return clocked


if __name__ == "__main__":
    main()
