"""Who may run now: many submissions at once, or one alone, also across the processes of one user."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

if sys.platform != "win32":
    import fcntl


class Turn:
    """Held while a submission runs. Processes that die give theirs back."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._door = self._room = -1

    def __enter__(self) -> Self:
        """Wait until nobody runs alone, and take a turn among others."""
        if sys.platform != "win32":
            with suppress(OSError):  # somebody else's file of that name: then without turns
                self._door, self._room = (self._open(name) for name in ("door", "room"))
            self._enter(fcntl.LOCK_SH)
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()

    def _open(self, name: str) -> int:
        path = Path(tempfile.gettempdir(), f"effkit-{os.getuid()}-{name}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._opened.callback(os.close, descriptor)
        return descriptor

    def _enter(self, how: int) -> None:
        """Go in through the door, which whoever wants to be alone holds until the room is empty."""
        if self._room < 0:
            return
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, how)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one while the block runs."""
        if self._room < 0:
            yield
            return
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._enter(fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
            self._enter(fcntl.LOCK_SH)
