"""Kernels forked from a warm process: scores and figures as in cold ones, random numbers of their own, nothing shared."""

import os
import signal
from collections.abc import Iterator

import pytest

from effkit.course.execute import execute
from effkit.course.kernels import WarmProcess, sandbox, usage
from effkit.course.kernels.warm import SharedWarmProcess
from effkit.course.preprocessors import TrustedScore
from effkit.grading.tasks import find
from tests.course.running import Level, needs_sandbox, said
from tests.course.submissions import load

pytestmark = needs_sandbox
LAB = "lab2_parameters"
SEED = 11


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmProcess]:
    with WarmProcess() as process:
        yield process


def scores(name: str, warm: WarmProcess | None) -> dict[str, float]:
    """Return the score of each task of a submission, executed and judged."""
    executed = execute(load(LAB, name).notebook, seed=SEED, warm=warm)
    assert executed.level == (sandbox.WARM if warm else sandbox.BUBBLEWRAP)
    judged, _ = TrustedScore().preprocess(executed.notebook, {"effkit_seed": SEED})
    graded = {cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell for cell in judged.cells}
    return {name: float(cell.outputs[0].data["text/plain"]) for name, cell in graded.items() if find(name)}


@pytest.mark.parametrize(
    "name", ["full", "units_confused", "forged_result", "exit_after_the_cell", "stderr_noise", "tied_twice"]
)
def test_warm_and_cold_kernels_give_the_deserved_scores(warm: WarmProcess, name: str) -> None:
    expected = load(LAB, name).scores
    assert scores(name, warm) == expected
    if name == "full":
        assert scores(name, None) == expected


def test_figures_are_drawn_as_in_a_cold_kernel(warm: WarmProcess) -> None:
    cells = (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2], label='$x_1$'); plt.legend()",
        "plt.title('later'); plt.plot([3])",
    )
    shown = []
    for process in (None, warm):
        result = Level("", process).run(*cells)
        shown.append([[sorted(o.get("data", {})) for o in cell.outputs] for cell in result.notebook.cells])
    assert shown[0] == shown[1]
    assert "image/png" in str(shown[1][0])


def test_random_numbers_differ_from_kernel_to_kernel(warm: WarmProcess) -> None:
    draw = "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(1).item())"
    first, second = (said(Level("", warm).run(draw))[0].split() for _ in range(2))
    assert len(set(first + second)) == 6


def test_children_threads_and_coroutines_print_into_their_cell(warm: WarmProcess) -> None:
    cells = (
        "import asyncio, multiprocessing, os, sys, threading",
        "child = multiprocessing.get_context('fork').Process(target=print, args=('from a child',), kwargs={'flush': True})\n"
        "child.start(); child.join(); print('exit', child.exitcode)",
        "threads = [threading.Thread(target=print, args=(n,), kwargs={'flush': True}) for n in range(20)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()",
        "await asyncio.sleep(0.01); print('awaited')",
    )
    for process in (None, warm):
        _, child, threads, awaited = said(Level("", process).run(*cells))
        assert sorted(child.splitlines()) == ["exit 0", "from a child"]
        assert sorted(map(int, threads.split())) == list(range(20))
        assert awaited == "awaited"


def test_a_kernel_has_none_of_the_threads_that_it_does_without(warm: WarmProcess) -> None:
    """With another ipykernel, what `app` replaces may have another name: then kernels are right, but slow."""
    names = "import threading; print(sorted(t.name for t in threading.enumerate() if t.name in ('IOPub', 'Shell channel')))"
    modules = "print(get_ipython().kernel._kernel_modules, hasattr(get_ipython(), '_sys_modules_keys'))"
    for process in (None, warm):
        assert said(Level("", process).run(names, modules)) == ["[]", "[] False"]


def test_nothing_is_left_of_a_warm_process() -> None:
    with WarmProcess() as process:
        assert process._process is not None
        Level("", process).run("1")
        inside = set(usage._tree(process._process.pid)) - {process._process.pid}
    assert len(inside) > 2
    assert not [pid for pid in inside if usage._stat(str(pid))[:1] not in ([], ["Z"])]  # at once, not some time later


def test_training_works_after_the_fork(warm: WarmProcess) -> None:
    train = """
import numpy as np, torch
torch.manual_seed(0)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 3, 8, 8)), batch_size=16, num_workers=2)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 1))
optimiser = torch.optim.Adam(model.parameters())
for (x,) in data:
    loss = model(x).square().mean()
    optimiser.zero_grad(); loss.backward(); optimiser.step()
print(round(loss.item(), 5), float(np.linalg.norm(np.ones((300, 300)) @ np.ones((300, 300)))), torch.get_num_threads())
"""
    warm_answer, cold_answer = (said(Level("", process).run(train))[0] for process in (warm, None))
    assert warm_answer == cold_answer
    assert warm_answer.endswith(" 90000.0 1")


def test_a_dead_warm_process_is_replaced_by_cold_kernels() -> None:
    with WarmProcess() as process:
        assert process._process is not None
        assert Level("", process).run("1").level == sandbox.WARM
        process._process.kill()
        process._process.wait()
        result = Level("", process).run("print(1)")
    assert (said(result), result.level) == (["1"], sandbox.BUBBLEWRAP)


def test_where_only_the_process_that_is_forked_is_dead_kernels_are_cold() -> None:
    with WarmProcess() as process:
        assert process._process is not None
        assert Level("", process).run("1").level == sandbox.WARM
        os.kill(max(usage._tree(process._process.pid), key=lambda pid: usage._memory_bytes([pid])), signal.SIGKILL)
        result = Level("", process).run("print(1)")
    assert (said(result), result.level) == (["1"], sandbox.BUBBLEWRAP)


def test_where_namespaces_cannot_be_had_twice_kernels_are_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warm process lacks the right to make namespaces, as on a system that allows bubblewrap only."""
    rights = sandbox._RIGHTS
    with monkeypatch.context() as patch:
        patch.setattr(sandbox, "_RIGHTS", ())
        sandbox.arguments.cache_clear()
        process = WarmProcess().__enter__()
    sandbox.arguments.cache_clear()
    assert rights == sandbox._RIGHTS
    try:
        result = Level("", process).run("print(1)")
    finally:
        process.__exit__()
    assert (said(result), result.level) == (["1"], sandbox.BUBBLEWRAP)


def test_a_shared_process_is_worth_its_start_from_the_second_submission_on(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedWarmProcess()
    assert shared.get() is None
    second = shared.get()
    assert second is not None
    assert shared.get() is second
    monkeypatch.setattr(shared, "_idle_s", -1.0)
    assert shared.get() is None  # long unused: ended
    shared.close()
