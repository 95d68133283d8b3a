"""Gives up everything that a process does not need to run a student's code. Linux only; needs nothing but Python.

It runs inside the file system that bubblewrap made (see `sandbox`), as its last step before a student's code.
"""

import ctypes
import os
import platform
import resource
from contextlib import suppress
from pathlib import Path
from typing import Any

NEW_MOUNTS, NEW_HOSTNAME, NEW_IPC, NEW_USERS, NEW_PIDS, NEW_NETWORK = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
SOCKETS = "/s"  # where a kernel makes its sockets: a file system of its own, too small to hold anything else
_BIND_ALL = 4096 | 16384  # with what is mounted below
_NOSUID, _NODEV, _NOEXEC, _NOSYMFOLLOW = 2, 4, 8, 256
_SET_DUMPABLE, _CAPBSET_DROP, _NO_NEW_PRIVILEGES, _CAP_AMBIENT, _CLEAR_ALL, _DEATH_SIGNAL = 4, 24, 38, 47, 4, 1
_KEYCTL = {"x86_64": 250, "aarch64": 219}  # glibc has no wrapper
_JOIN_SESSION_KEYRING = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def unshare(namespaces: int) -> None:
    """Move this process (for process ids: its future children) into fresh namespaces."""
    _call("unshare", namespaces)


def enter(namespace: int, kind: int) -> None:
    """Move this process (for process ids: its future children) into the namespace of an open file."""
    _call("setns", namespace, kind)


def mount_scratch(scratch_bytes: int, owner: int | None) -> None:
    """Mount the places where this sandbox may write, each with a limit, and its own view of processes."""
    kept = _mounted_below("/tmp")
    _mount("tmpfs", "/tmp", f"size={scratch_bytes},nr_inodes=100000,mode=1777")
    for name, opened in kept.items():
        os.mkdir(f"/tmp/{name}")
        _call("mount", f"/proc/self/fd/{opened}".encode(), f"/tmp/{name}".encode(), None, ctypes.c_ulong(_BIND_ALL), None)
        os.close(opened)
    _mount("tmpfs", "/dev/shm", f"size={scratch_bytes // 4},nr_inodes=10000,mode=1777")
    user = "" if owner is None else f",uid={owner},gid={owner}"
    # A link that a student puts in the place of a socket would have the grader connect to something outside.
    _mount("tmpfs", SOCKETS, f"size=64k,nr_inodes=64,mode=0700{user}", _NOEXEC | _NOSYMFOLLOW)
    _mount("proc", "/proc", "", _NOEXEC)
    with suppress(OSError):  # only root may; otherwise the memory watch sees to it
        Path("/proc/sys/kernel/shmall").write_text("0")
    for folder in ("/tmp/home", "/tmp/work"):
        os.mkdir(folder)
        if owner is not None:
            os.chown(folder, owner, owner)


def _mounted_below(place: str) -> dict[str, int]:
    """Return, opened, the folders of a place in which something is mounted: Python itself, where it is installed there."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    names = {point.split("/")[2] for point in points if point.startswith(f"{place}/")}
    return {name: os.open(f"{place}/{name}", os.O_PATH | os.O_DIRECTORY) for name in sorted(names)}


def _mount(kind: str, where: str, options: str, flags: int = 0) -> None:
    flags |= _NOSUID | _NODEV
    _call("mount", kind.encode(), where.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())


def limit(limits: dict[str, Any]) -> None:
    """Set the limits that the system keeps for each process or user."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # the first to go where memory runs out
    seconds = int(limits["notebook_seconds"]) + 60
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_MEMLOCK, 2**16),
        (getattr(resource, "RLIMIT_MSGQUEUE", 12), 0),
    ):
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def drop(owner: int | None) -> None:
    """Become user `owner` (None: stay who we are) with no right to anything, for good."""
    machine = _KEYCTL.get(platform.machine())
    if machine:
        _libc.syscall(machine, _JOIN_SESSION_KEYRING, None)  # a new one, in which no key of the grader's is
    if owner is not None:
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
    with suppress(OSError):  # where it is refused, a student cannot make one either
        _forbid_user_namespaces()
    for capability in range(64):
        _libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)
    _call("prctl", _CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def _forbid_user_namespaces() -> None:
    """Enter a user namespace in which no other can be made: in one of his own, a student could mount and trace."""
    user, group = os.getuid(), os.getgid()
    seen = user or 1000  # the name that the user has inside
    _call("prctl", _SET_DUMPABLE, 1, 0, 0, 0)  # after a change of user, /proc/self belongs to root otherwise
    unshare(NEW_USERS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{seen} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{seen} {group} 1")
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
