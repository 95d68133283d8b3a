"""The standard output of a kernel that runs a submission: what is printed beyond a limit is not even sent."""

import sys
from typing import Any

from ipykernel.iostream import OutStream

_KEPT = 1_000_000  # characters of one cell
FIRST_LINE = "__import__('effkit.course.kernels.streams', fromlist=['streams']).watch_over(get_ipython())"


class ShortStream(OutStream):
    """Keeps the first characters that each cell prints. The grader cuts too: this only spares both sides the work."""

    _written = 0
    _unsent = False

    def set_parent(self, parent: Any) -> None:
        """Begin a cell."""
        self._written = 0
        super().set_parent(parent)  # type: ignore[no-untyped-call]

    def write(self, string: str) -> Any:
        """Write the part of the text for which the cell has room."""
        if not isinstance(string, str):
            return super().write(string)  # which says that it takes text only
        room = max(_KEPT - self._written, 0)
        self._written += len(string)
        if room:
            self._unsent = True
            super().write(string[:room])
        return len(string)

    def _schedule_flush(self) -> None:
        """Leave what was written until the cell ends: nobody watches."""

    def flush(self) -> None:
        """Send what was written, if anything: a kernel flushes four times a cell."""
        if self._unsent:
            self._unsent = False
            super().flush()  # type: ignore[no-untyped-call]


def watch_over(shell: Any) -> None:
    """Let ``exit()`` end its cell and not the kernel, a moment later; and let no cell do away with the streams.

    A kernel whose ``sys.stdout`` is None runs no further cell: after each one, the kernel's own streams are put back where
    it has left none that can be used.
    """
    shell.user_ns.update(exit=sys.exit, quit=sys.exit)  # an assignment in a cell is not enough: IPython reads it as a call
    own = {name: getattr(sys, name) for name in ("stdout", "stderr")}

    def mend() -> None:
        for name, stream in own.items():
            now = getattr(sys, name, None)
            if not callable(getattr(now, "flush", None)) or getattr(now, "closed", False):
                setattr(sys, name, stream)

    shell.events.register("post_execute", mend)
