"""A process that has done all the slow imports, from which kernels are forked.

This is the grader's side; `forking` is what runs in the process, inside a bubblewrap sandbox where it sees neither the
course nor the network.
"""

import atexit
import socket
import subprocess
import time
from typing import Self

from effkit.course.kernels import link, sandbox


class WarmProcess:
    """A warm process in a sandbox, as a context manager; `fork` gives a kernel's process."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it; it warms up while the grader does other things."""
        self._line, theirs = link.pair()
        with theirs:
            self._process = sandbox.start(sandbox.code("forking.serve"), theirs)
        return self

    def __exit__(self, *exception: object) -> None:
        """End it, and with it every kernel that it forked."""
        if self._process:
            self._process.kill()
            self._process.wait()
        if self._line:
            self._line.close()

    def fork(self, timeout_s: float) -> socket.socket | None:
        """Return the link to a new child, born and waiting for its order; None if it cannot be had."""
        if self._line is None:
            return None
        ours, theirs = link.pair()
        try:
            with theirs:
                socket.send_fds(self._line, [b"fork"], [theirs.fileno()])
            ours.settimeout(timeout_s)
        except OSError:  # it has died
            ours.close()
            return None
        return ours


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
