"""What a tree of processes uses: computing time, memory, and whether all of it sleeps. Reads Linux's /proc."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_RUNNING = "RD"  # states of a thread that computes, waits for the processor or for the disk
_STOPPED = "Tt"
_LITTLE_LEFT = 0.03  # of the machine's memory


@dataclass(frozen=True)
class Usage:
    """What a process and all its descendants use at one moment."""

    cpu_seconds: float
    runnable: bool  # some thread computes, or would if the machine let it
    stopped: bool  # the kernel's own process was stopped by a signal, and will not go on by itself
    memory_bytes: int


def measure(root: int, kernel: int) -> Usage:
    """Return what two processes and their descendants use: the first of a sandbox and its kernel, which may be one of these.

    What is gone uses nothing.
    """
    stats = _tree(root, kernel)
    return Usage(
        cpu_seconds=_cpu_seconds(stats.values()),
        runnable=any(state in _RUNNING for pid in stats for state in _thread_states(pid)),
        stopped=kernel in stats and stats[kernel][0] in _STOPPED,
        memory_bytes=_memory_bytes(list(stats)),
    )


def children(parent: int) -> list[int]:
    """Return the process ids of a process's children."""
    return [pid for pid, fields in _everyone().items() if int(fields[1]) == parent]


def cpu_seconds(*pids: int) -> float:
    """Return what processes have computed, without what children of theirs do that still run."""
    return _cpu_seconds(fields for pid in set(pids) if (fields := _stat(str(pid))))


def _cpu_seconds(stats: Iterable[list[str]]) -> float:
    ticks = sum(sum(map(int, fields[11:15])) for fields in stats)  # their own, and of children they waited for
    return ticks / os.sysconf("SC_CLK_TCK")


def _tree(*roots: int) -> dict[int, list[str]]:
    """Return the fields after the name in /proc/PID/stat of `roots` and their descendants."""
    everyone = _everyone()
    below: dict[int, list[int]] = {}
    for pid, fields in everyone.items():
        below.setdefault(int(fields[1]), []).append(pid)
    found, waiting = {}, list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in everyone and pid not in found:
            found[pid] = everyone[pid]
            waiting += below.get(pid, [])
    return found


def _everyone() -> dict[int, list[str]]:
    """Return the fields after the name in /proc/PID/stat of every process."""
    return {int(name): fields for name in os.listdir("/proc") if name.isdecimal() and (fields := _stat(name))}


def _stat(process: str) -> list[str]:
    with suppress(OSError), open(f"/proc/{process}/stat", errors="replace") as file:
        return file.read().rpartition(")")[2].split()
    return []


def _thread_states(pid: int) -> list[str]:
    with suppress(OSError):
        return [fields[0] for thread in os.listdir(f"/proc/{pid}/task") if (fields := _stat(f"{pid}/task/{thread}"))]
    return []


def _memory_bytes(pids: list[int]) -> int:
    """Return the memory that processes hold; pages that they share with others count in part."""
    quick, nameless = sum(_sum(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:")) for pid in pids), _nameless_bytes(pids)
    if quick < 2**30:
        return quick + nameless
    exact = [_sum(f"/proc/{pid}/smaps_rollup", ("Pss:",)) for pid in pids]
    return sum(exact) + nameless


def _nameless_bytes(pids: list[int]) -> int:
    """Return the memory in files that have no name: it is nobody's, unless somebody maps it, and has no limit of its own."""
    found = {}
    for pid in pids:
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with suppress(OSError):
                    if os.readlink(entry.path).startswith("/memfd:"):
                        status = os.stat(entry.path)
                        found[status.st_ino] = 512 * status.st_blocks
    return sum(found.values())


def _sum(path: str, names: tuple[str, ...]) -> int:
    with suppress(OSError):
        lines = [line.split() for line in Path(path).read_text().splitlines()]
        return 1024 * sum(int(words[1]) for words in lines if words[:1] and words[0] in names)
    return 0


def short_of_memory() -> bool:
    """Return whether the machine has so little memory left that something must end."""
    total, left = (_sum("/proc/meminfo", (name,)) for name in ("MemTotal:", "MemAvailable:"))
    return left < _LITTLE_LEFT * total
