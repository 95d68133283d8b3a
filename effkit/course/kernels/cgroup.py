"""A control group around one kernel, where this process may make one: the system then holds its memory and processes."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from effkit.course.kernels.limits import Limits

_ROOT = Path("/sys/fs/cgroup")


class Group:
    """The groups, in one or more hierarchies, that hold one kernel's processes."""

    def __init__(self, pid: int, limits: Limits, number: int) -> None:
        """Begin to put a process and its future descendants under the limits, as far as this system lets us.

        The system takes its time to move a process, so this is done beside whatever the caller does until it must `hold`.
        """
        self._folders: list[Path] = []
        self._making = threading.Thread(target=self._make, args=(pid, limits, number))
        self._making.start()

    def hold(self) -> None:
        """Wait until the limits hold."""
        self._making.join()

    def _make(self, pid: int, limits: Limits, number: int) -> None:
        memory, processes = str(limits.memory_bytes + limits.scratch_bytes), str(limits.processes + 8)
        files = {
            "memory.max": memory,
            "memory.swap.max": "0",
            "memory.limit_in_bytes": memory,
            "memory.memsw.limit_in_bytes": memory,
            "memory.oom.group": "1",
            "pids.max": processes,
        }
        for parent in _parents():
            _sweep(parent)
            folder = parent / f"effkit-{os.getpid()}-{number}"
            with suppress(OSError):
                folder.mkdir()
                self._folders.append(folder)
                for name, value in files.items():
                    if (folder / name).exists():
                        (folder / name).write_text(value)
                (folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Remove the groups, when their processes have ended; the system needs a moment to forget these."""
        self.hold()
        for folder in self._folders:
            for _ in range(50):
                with suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.02)


def _sweep(parent: Path) -> None:
    """Remove the groups of graders that were killed."""
    for left in parent.glob("effkit-*-*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            with suppress(OSError):
                left.rmdir()


def _parents() -> list[Path]:
    """Return this process's own groups in the hierarchies that limit memory or processes."""
    found = []
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                found += _unified(_ROOT / path.lstrip("/"))
            else:
                found += [_ROOT / name / path.lstrip("/") for name in controllers.split(",") if name in ("memory", "pids")]
    return found


def _unified(own: Path) -> list[Path]:
    """Return `own` if it hands the memory controller on to groups made in it, as far as we can see to that."""
    control = own / "cgroup.subtree_control"
    with suppress(OSError):
        if "memory" not in control.read_text():
            control.write_text("+memory +pids")
        return [own]
    return []
