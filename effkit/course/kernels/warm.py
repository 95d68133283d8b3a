"""A process that has done all the slow imports, from which kernels are forked.

This is the grader's side; `forking` is what runs in the process, inside a bubblewrap sandbox where it sees neither the
course nor the network.
"""

import atexit
import socket
import subprocess
import time
from contextlib import ExitStack
from typing import Self

from effkit.course.errors import CourseError
from effkit.course.kernels import link, sandbox


class WarmProcess:
    """A warm process in a sandbox, as a context manager; `fork` gives a kernel's process.

    Several processes may use one: `line` is what another one makes its own `WarmProcess` with, without starting any.
    """

    def __init__(self, line: socket.socket | None = None) -> None:
        self.line = line
        self._process: subprocess.Popen[bytes] | None = None
        self._next: socket.socket | None = None

    def __enter__(self) -> Self:
        """Start it; it warms up while the grader does other things."""
        self.line, theirs = link.pair()
        with theirs:
            self._process = sandbox.start(sandbox.code("forking.serve"), theirs)
        return self

    def __exit__(self, *exception: object) -> None:
        """End it, and with it every kernel that it forked."""
        if self._process:
            sandbox.end(self._process)
        for line in (self.line, self._next):
            if line:
                line.close()

    def fork(self, timeout_s: float) -> socket.socket | None:
        """Return the link to a new child, born and waiting for its order; None if it cannot be had.

        The next one is asked for at once, so that it is born while this one is at work: entering namespaces is slow.
        """
        given = self._next or self._ask(timeout_s)
        self._next = self._ask(timeout_s)
        return given

    def _ask(self, timeout_s: float) -> socket.socket | None:
        if self.line is None:
            return None
        ours, theirs = link.pair()
        try:
            with theirs:
                socket.send_fds(self.line, [b"fork"], [theirs.fileno()])
            ours.settimeout(timeout_s)
        except OSError:  # it has died
            ours.close()
            return None
        return ours


def start_warm(until: ExitStack) -> WarmProcess | None:
    """Start a warm process that ends with `until`; where none can be had, a kernel itself says why or does without."""
    try:
        return until.enter_context(WarmProcess())
    except (CourseError, OSError):
        return None


class SharedWarmProcess:
    """The warm process of a program that grades one submission after another, such as ``nbgrader autograde``.

    It is started for the second submission, since one alone is done before a process is warm, and again when it has not
    been used for some minutes, since a program that runs for days must see the effkit that is installed now.
    """

    _idle_s = 300.0

    def __init__(self) -> None:
        self._seen = 0
        self._last_used = 0.0
        self._process: WarmProcess | None = None
        atexit.register(self.close)

    def get(self) -> WarmProcess | None:
        """Return the process, or None where it is not worth its start."""
        now = time.monotonic()
        if now - self._last_used > self._idle_s:
            self.close()
        self._seen, self._last_used = self._seen + 1, now
        if self._process is None and self._seen > 1:
            self._process = WarmProcess().__enter__()
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.__exit__()
        self._process, self._seen = None, 0
