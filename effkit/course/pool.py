"""Worker processes on this machine, with one warm process for all: a worker that dies costs its submission one more try."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from socket import socket
from typing import Any

from effkit.course.kernels import WarmProcess, start_warm
from effkit.course.work import Job, Outcome, decode_job, decode_outcome, encode, run_job

_TRIES = 2
_PR_SET_PDEATHSIG = 1


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_here(jobs: Iterable[Job], workers: int, warm: WarmProcess | None = None) -> Iterator[Outcome]:
    """Execute jobs in `workers` processes and yield each outcome as it comes. Jobs are taken from the iterable as needed.

    The kernels are forked from `warm`, or from a process started here.
    """
    with ExitStack() as until_the_end:
        yield from _run(jobs, workers, warm or start_warm(until_the_end))


def _run(jobs: Iterable[Job], workers: int, warm: WarmProcess | None) -> Iterator[Outcome]:
    pending, again = iter(jobs), deque[tuple[Job, int]]()
    team: dict[Connection, _Worker] = {}
    try:
        while True:
            while len(team) < workers:
                if (task := _next(pending, again)) is None:
                    break
                worker = _Worker(warm)
                worker.give(*task)
                team[worker.pipe] = worker
            if not team:
                return
            for pipe in wait(list(team)):
                worker = team[pipe]  # type: ignore[index]
                outcome = worker.result()
                if outcome is None:  # it died
                    del team[worker.pipe]
                    worker.stop()
                    if worker.tries < _TRIES:
                        again.append((worker.job, worker.tries))
                        continue
                    problem = f"the process that executed it died {_TRIES} times; please report this"
                    outcome = Outcome(worker.job.student, problem=problem)
                elif (task := _next(pending, again)) is not None:
                    worker.give(*task)
                else:
                    del team[worker.pipe]
                    worker.stop()
                yield outcome
    finally:
        for worker in team.values():
            worker.stop(at_once=True)


def _next(pending: Iterator[Job], again: deque[tuple[Job, int]]) -> tuple[Job, int] | None:
    if again:
        return again.popleft()
    job = next(pending, None)
    return None if job is None else (job, 0)


class _Worker:
    """One worker process and the job that it has."""

    def __init__(self, warm: WarmProcess | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        given = (theirs, os.getpid(), warm.line if warm else None)
        self._process: SpawnProcess = context.Process(target=_work, args=given, daemon=False)
        self._process.start()
        theirs.close()

    def give(self, job: Job, tries: int) -> None:
        """Hand it a job; if it is gone already, `result` will say so."""
        self.job, self.tries = job, tries + 1
        with suppress(OSError):
            self.pipe.send_bytes(encode(job))

    def result(self) -> Outcome | None:
        """Return the outcome that is there, or None if the process died."""
        try:
            return decode_outcome(self.pipe.recv_bytes())
        except (EOFError, OSError):
            return None

    def stop(self, *, at_once: bool = False) -> None:
        """Let it end: it does when its pipe closes, or is made to."""
        self.pipe.close()
        self._process.join(0 if at_once else 5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(pipe: Connection, parent: int, line: socket | None) -> None:
    """Execute jobs until the pipe closes. The main function of a worker process."""
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and closes the pipe
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warm = WarmProcess(line) if line else None
    gc.freeze()  # what was imported stays
    while True:
        try:
            job = decode_job(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        outcome = run_job(job, warm)
        with suppress(OSError):
            pipe.send_bytes(encode(outcome))


def _end_with(parent: int) -> None:
    """Let this process be told to end when its parent dies, in whatever way."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.signal(signal.SIGTERM, _leave)
        if os.getppid() != parent:
            raise SystemExit(1)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(1)  # so that its kernel is ended too
