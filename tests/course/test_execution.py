"""Executing submissions that hang, die, flood and forge: each costs only what its own cells earn."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell

from effkit.course.execute import execute
from effkit.course.kernels import Limits, WarmProcess, provisioner, sandbox, usage
from effkit.course.kernels.talk import Ending, Kernel
from effkit.course.kernels.turn import Turn
from effkit.course.outputs import Outputs
from effkit.course.work import Job, run_job
from effkit.grading.answers import MIME
from tests.course.running import SMALL, Level, needs_sandbox, notebook, said, text

pytestmark = needs_sandbox
DIED = "DeadKernelError: This cell ended the Python process that it ran in."
LATE = "CellTimeoutError: This cell did not end in time."


@pytest.fixture(scope="module")
def level() -> Iterator[Level]:
    """Warm, since it is quick; how a kernel was started makes no difference here."""
    with WarmProcess() as warm:
        yield Level(sandbox.WARM, warm)


@pytest.mark.parametrize(
    "end",
    [
        "import os; os._exit(0)",
        "import ctypes; ctypes.string_at(0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "import os; os.abort()",
        "import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "import os; os.closerange(0, 1000)",
    ],
)
def test_a_cell_that_ends_the_kernel_costs_itself_and_nothing_else(level: Level, end: str) -> None:
    result = level.run("a = 1", end, "print(a)")
    first, second, third = said(result)
    assert second.startswith(("DeadKernelError", "CellTimeoutError", "RecursionError"))
    assert (first, third) == ("", "1")


@pytest.mark.parametrize("delay_s", [0, 0.02, 0.1, 0.3])
def test_a_kernel_that_ends_later_costs_the_cell_that_saw_to_it(level: Level, delay_s: float) -> None:
    bomb = f"b = 2\nimport os, threading; threading.Timer({delay_s}, os._exit, [0]).start()"
    work = "import time; time.sleep(0.2)"
    result = level.run("a = 1", bomb, f"{work}; c = 3", f"{work}; print(a, c)", "print('b' in globals())")
    assert said(result) == ["", DIED, "", "1 3", "False"]


@pytest.mark.parametrize("end", ["exit()", "quit()", "import sys; sys.exit(1)", "raise SystemExit"])
def test_leaving_python_ends_the_cell_only(level: Level, end: str) -> None:
    result = level.run(f"a = 1\n{end}", "print(a)")
    assert said(result)[1] == "1"
    assert result.notes == ()


def test_leaving_python_does_not_end_the_kernel_a_moment_later(level: Level) -> None:
    with level.kernel() as run:
        run("exit()")
        assert run("import time; time.sleep(1); print('still here')") == "still here"


@pytest.mark.parametrize(
    "mischief",
    [
        "import sys; sys.stdout.close()",
        "import sys; sys.stdout = sys.stderr = None",
        "import os; os.close(1); os.close(2)",
        "import threading, time\ndef noise():\n    while True: print('noise'); time.sleep(0.01)\n"
        "threading.Thread(target=noise, daemon=True).start()",
        "class A:\n    def __del__(self): raise SystemExit\na = A(); del a",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.alarm(0)",
        "import builtins; builtins.print = None",
        "import os\nif os.fork() == 0: raise ValueError('in the child')",
        "import atexit, os; atexit.register(os._exit, 3)",
        "import asyncio; asyncio.get_event_loop().call_soon(lambda: 1 / 0)",
        "import sys; sys.excepthook = sys.displayhook = None",
    ],
)
def test_what_a_cell_leaves_behind_does_not_stop_the_next(level: Level, mischief: str) -> None:
    """The next cell shows its answers, as a check does: by a display, not by printing."""
    answer = f"from IPython.display import display\ndisplay({{{MIME!r}: 7, 'text/plain': 'answers'}}, raw=True)"
    result = level.run(mischief, answer, answer)
    for cell in result.notebook.cells[1:]:
        assert [output.data[MIME] for output in cell.outputs if MIME in output.get("data", {})] == [7]


def test_a_loop_is_stopped_by_what_it_computes(level: Level) -> None:
    result = level.run("while True: pass", "print('next')", limits=Limits(cell_seconds=1))
    assert said(result) == [LATE, "next"]


def test_sleep_counts_as_time_and_is_stopped(level: Level) -> None:
    result = level.run("import time; time.sleep(1000)", "print('next')", limits=Limits(cell_seconds=1))
    assert said(result) == [LATE, "next"]


def test_children_and_threads_count_too(level: Level) -> None:
    burn = """
import os, threading, time
if os.fork() == 0:
    while True: pass
time.sleep(1000)
"""
    assert said(level.run(burn, "print('next')", limits=Limits(cell_seconds=1))) == [LATE, "next"]


def test_a_busy_machine_times_nobody_out(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine gives the cell almost nothing: by the clock it takes ten times its budget, by the processor little."""
    real = usage.measure

    def starved(root: int, kernel: int) -> usage.Usage:
        used = real(root, kernel)
        return usage.Usage(used.cpu_seconds / 100, True, used.stopped, used.memory_bytes)

    monkeypatch.setattr(usage, "measure", starved)
    result = level.run("x = sum(range(10**8))\nprint('done')", limits=Limits(cell_seconds=0.4, wall_factor=1000))
    assert said(result) == ["done"]


def test_a_cell_stopped_by_the_clock_is_tried_again_alone(
    level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, others, seen = usage.measure, threading.Event(), []
    monkeypatch.setattr(usage, "measure", lambda *pids: usage.Usage(0.0, True, False, real(*pids).memory_bytes))
    taken, alone = threading.Event(), Turn.alone

    def neighbour() -> None:
        with Turn():
            taken.set()
            others.wait(60)
            seen.append("gone")

    def alone_after_the_neighbour(turn: Turn) -> object:
        others.set()
        return alone(turn)

    monkeypatch.setattr(Turn, "alone", alone_after_the_neighbour)
    thread = threading.Thread(target=neighbour)
    thread.start()
    taken.wait()
    result = level.run("import time; time.sleep(1000)", "print('next')", limits=Limits(cell_seconds=0.2, wall_factor=5))
    thread.join()
    assert said(result) == [LATE, "next"]
    assert seen == ["gone"]


def test_a_notebook_has_a_budget_for_all_its_cells(level: Level) -> None:
    burn = "while True: pass"
    limits = Limits(cell_seconds=1.5, notebook_seconds=3)
    answers = said(level.run(*[burn] * 8, "print('end')", limits=limits))
    assert answers[0] == LATE
    assert answers[-1].startswith("CellTimeoutError: This cell was not run")


def test_a_cell_whose_kernel_dies_once_is_tried_again(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of an earlier cell may end the kernel while an innocent cell runs."""
    real, deaths = Kernel.run, []

    def dies_once(kernel: Kernel, source: str, outputs: Outputs, seconds: float) -> Ending:
        if "innocent" in source and not deaths:
            deaths.append(kernel)
            kernel.close()
            return Ending("died")
        return real(kernel, source, outputs, seconds)

    monkeypatch.setattr(Kernel, "run", dies_once)
    result = level.run("a = 1", "print('innocent', a)")
    assert (said(result), result.notes, len(deaths)) == (["", "innocent 1"], (), 1)


def test_cells_before_a_death_are_run_again_but_checks_are_not(level: Level) -> None:
    source = notebook("a = 1", "a += 1", "a += 10", "import os; os._exit(0)", "print(a)")
    source.cells[1].metadata["nbgrader"] = {"grade": True, "grade_id": "check", "solution": False, "schema_version": 3}
    result = execute(source, seed=1, limits=SMALL, warm=level.warm)
    assert said(result)[4] == "11"
    assert result.notes == (f"cell 4: {DIED.partition(': ')[2]}",)


def test_the_given_notebook_is_left_as_it_was(level: Level) -> None:
    source = notebook("print(1)")
    before = source.copy()
    execute(source, seed=1, warm=level.warm)
    assert source == before


def test_the_seed_reaches_the_kernel(level: Level) -> None:
    result = execute(notebook("from effkit.grading.check import run_seed\nrun_seed()"), seed=4321, warm=level.warm)
    assert said(result) == ["4321"]


def test_a_reply_without_an_error_output_shows_the_error(level: Level) -> None:
    result = level.run("get_ipython().showtraceback = lambda *a, **k: None\nraise ValueError('hidden')")
    assert said(result) == ["ValueError: hidden"]


def test_an_error_of_a_graded_cell_comes_before_any_result_of_it(level: Level) -> None:
    source = notebook("get_ipython().displayhook(99)\nassert False")
    source.cells[0].metadata["nbgrader"] = {"grade": True, "grade_id": "test", "solution": False, "schema_version": 3}
    result = execute(source, seed=1, warm=level.warm)
    assert result.notebook.cells[0].outputs[0].output_type == "error"


def test_cells_that_are_no_code_are_left_alone(level: Level) -> None:
    source = notebook("", "print(2)")
    source.cells.append(new_code_cell("  \n"))
    assert said(execute(source, seed=1, warm=level.warm)) == ["", "2", ""]


def test_without_a_sandbox_it_runs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = ("a = 1\nexit()", "import os; os._exit(0)", "print(a)", "import sys; sys.stdout = None", "print(a)")
    result = execute(notebook(*cells), seed=1, unsafe=True, limits=SMALL)
    assert said(result)[1:] == [DIED, "1", "", "1"]
    assert result.level == "none"


def shown(**data: object) -> dict[str, object]:
    return {"data": data, "metadata": {}}


def test_answers_are_kept_whatever_else_is_shown_and_cleared() -> None:
    outputs = Outputs(100, 3)
    for number in range(30):
        outputs.add("stream", {"name": "stdout", "text": "x" * 50}, 60)
        outputs.add("display_data", {"data": {MIME: number}, "metadata": {}}, 60)
        outputs.add("clear_output", {"wait": False}, 10)
    assert [output.data[MIME] for output in outputs.finished() if "data" in output] == list(range(20))


def test_output_may_be_cleared_for_what_comes_next() -> None:
    outputs = Outputs(1000, 30)
    for number in range(10):
        outputs.add("clear_output", {"wait": True}, 10)
        outputs.add("stream", {"name": "stdout", "text": f"{number} "}, 20)
    assert text(outputs.finished()) == "9"


def test_a_display_cannot_be_changed_later() -> None:
    outputs = Outputs(1000, 30)
    outputs.add("display_data", {**shown(), "data": {MIME: 1}, "transient": {"display_id": "a"}}, 60)
    outputs.add("update_display_data", {**shown(), "data": {MIME: 2}, "transient": {"display_id": "a"}}, 60)
    assert [output.data[MIME] for output in outputs.finished()] == [1]


def test_a_turn_alone_waits_for_the_others_and_holds_off_new_ones() -> None:
    order, inside, leave = [], threading.Event(), threading.Event()

    def first() -> None:
        with Turn():
            inside.set()
            leave.wait(60)
            order.append("first leaves")

    def loner() -> None:
        with Turn() as turn, turn.alone():
            order.append("alone")

    def last() -> None:
        with Turn():
            order.append("last enters")

    threads = [threading.Thread(target=target) for target in (first, loner, last)]
    threads[0].start()
    inside.wait()
    threads[1].start()
    time.sleep(0.3)  # the loner is at the door now; were it not, the order would be right all the same
    threads[2].start()
    leave.set()
    for thread in threads:
        thread.join()
    assert order.index("first leaves") < order.index("alone")
    assert set(order) == {"first leaves", "alone", "last enters"}


def test_usage_of_a_process_that_is_gone_is_nothing() -> None:
    assert usage.measure(2**22 + 1, 2**22 + 1) == usage.Usage(0.0, False, False, 0)
    assert usage.measure(os.getpid(), os.getpid()).cpu_seconds > 0


def test_what_a_killed_grader_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    left = [tmp_path / f"effkit-{pid}-x" for pid in (gone, os.getpid(), "notes")]
    for folder in left:
        folder.mkdir()
    provisioner.sweep(str(tmp_path))
    assert [folder.exists() for folder in left] == [False, True, True]


def test_a_kernel_that_does_not_start_costs_its_submission_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def refuse(*_: object) -> Kernel:
        tries.append(1)
        raise provisioner.KernelStartError("out of processes")

    monkeypatch.setattr("effkit.course.execute.Kernel", refuse)
    outcome = run_job(Job("ann", json.dumps(notebook("1")), seed=1))
    assert "out of processes" in outcome.problem
    assert "grade it again" in outcome.problem
    assert not outcome.refused
    assert len(tries) == 2


def test_without_a_sandbox_no_submission_is_run_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    for cached in (sandbox.level, sandbox._problem):
        cached.cache_clear()
    try:
        outcome = run_job(Job("ann", json.dumps(notebook("1")), seed=1))
    finally:
        for cached in (sandbox.level, sandbox._problem):
            cached.cache_clear()
    assert outcome.refused
    assert "apt install bubblewrap" in outcome.problem
