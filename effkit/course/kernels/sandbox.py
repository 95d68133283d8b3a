"""The file system and namespaces in which submissions run, made by bubblewrap, and whether they can be had here.

A sandbox sees the system's and Python's own files, read-only, and nothing of the course, of homes or of the network.
"""

import contextlib
import functools
import os
import select
import shutil
import site
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import effkit
from effkit.course.errors import CourseError
from effkit.course.kernels import usage

BUBBLEWRAP, NONE, WARM = "bubblewrap", "none", "warm namespaces"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_PREFIX_PARTS = ("bin", "etc", "include", "lib", "lib64", "libexec", "share", "ssl", "pyvenv.cfg")
_SETTINGS = ("alternatives", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime")  # in /etc
_RIGHTS = ("SYS_ADMIN", "SYS_CHROOT", "SETUID", "SETGID", "SETPCAP", "SETFCAP", "CHOWN")  # until `confine` drops them
_FIRST_USER = 1_600_000_000  # of the user ids for kernels, far above those that systems give
_INSTALL = (
    "install bubblewrap (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap) on a Linux that"
    " lets you use it, or grade without protection with --unsafe-no-sandbox (c.ExecuteSubmission.unsafe_no_sandbox)"
)


@functools.cache
def level(unsafe: bool = False) -> str:
    """Return the isolation that kernels get here, tried out once per process.

    Raises CourseError if no sandbox can be had, unless `unsafe` says to go without.
    """
    if unsafe:
        return NONE
    problem = _problem()
    if problem:
        raise CourseError(f"submissions cannot be run safely here ({problem}): {_INSTALL}")
    return BUBBLEWRAP


@functools.cache
def _problem() -> str:
    """Return why there is no sandbox, or an empty string."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed" if sys.platform == "linux" else f"there is no sandbox for {sys.platform}"
    refusals = [_refusal(own_users) for own_users in _ways()]
    return refusals[-1] if all(refusals) else ""


def _ways() -> tuple[bool, ...]:
    """Return whether to use a user namespace, in the order to try: root needs none, if it has root's rights."""
    return (False, True) if os.geteuid() == 0 else (True,)


@functools.cache
def own_users() -> bool:
    """Return whether the sandboxes here use a user namespace of their own."""
    return next((way for way in _ways() if not _refusal(way)), True)


@functools.cache
def _refusal(own_users: bool) -> str:
    """Start a sandbox just as for a kernel and return what was wrong, in a line, or an empty string."""
    user = None if own_users else _FIRST_USER
    check = f"confine.mount_scratch(2**20, {user}); confine.drop({user}); import ipykernel.kernelapp"
    command = [*arguments(own_users), sys.executable, "-I", "-c", f"from effkit.course.kernels import confine; {check}"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return f"bubblewrap does not run: {problem}"
    lines = tried.stderr.strip().splitlines() or ["it gave no reason"]
    return "" if tried.returncode == 0 else f"bubblewrap does not work: {lines[-1][:200]}"


def code(function: str) -> list[str]:
    """Return the arguments for Python to call a function of this package with a file descriptor."""
    module, name = function.split(".")
    return ["-c", f"import sys; from effkit.course.kernels.{module} import {name}; {name}(int(sys.argv[1]))"]


def start(code: list[str], line: socket.socket) -> subprocess.Popen[bytes]:
    """Start Python with `code` as its arguments in a new sandbox; it inherits `line` and nothing else."""
    return subprocess.Popen(
        [*arguments(own_users()), sys.executable, "-I", *code, str(line.fileno())],
        pass_fds=[line.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        start_new_session=True,  # an interrupt at the terminal is for the grader
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a sandbox that `start` has started, and wait until nothing in it runs any more.

    Bubblewrap's child is the first process of a namespace of process ids: the system lets it end after all the others.
    """
    first = []
    for pid in usage.children(process.pid):
        with contextlib.suppress(ProcessLookupError):
            first.append(os.pidfd_open(pid))
    process.kill()  # which its child does not survive
    process.wait()
    for descriptor in first:
        select.select([descriptor], [], [], 30)
        os.close(descriptor)


@functools.cache
def arguments(own_users: bool) -> tuple[str, ...]:
    """Return bubblewrap's command line up to the command that it runs."""
    found = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    # As root of its own namespace: with another user, bubblewrap adds a second one, from which nothing can be mounted.
    found += ["--unshare-user", "--uid", "0", "--gid", "0"] if own_users else []
    found += [f"--unshare-{what}" for what in ("pid", "net", "ipc", "uts", "cgroup-try")]
    found += [part for right in _RIGHTS for part in ("--cap-add", f"CAP_{right}")]
    found += [part for pair in environment().items() for part in ("--setenv", *pair)]
    made: set[Path] = set()
    for path in (Path(name) for name in _SYSTEM):
        if path.is_symlink():
            found += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            found += _mount(path, made)
    for path in _python() + [Path("/etc", name) for name in _SETTINGS if Path("/etc", name).exists()] + _font_lists():
        found += _mount(path, made)
    hidden = Path.cwd()
    if any(hidden.is_relative_to(path) for path in made) and not any(path.is_relative_to(hidden) for path in _python()):
        found += ["--tmpfs", str(hidden)]  # a course folder inside of what every sandbox sees
    found += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm", "/s"):
        found += ["--perms", "1777", "--dir", folder]
    return (*found, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--")


def _mount(path: Path, made: set[Path]) -> list[str]:
    """Return the arguments that show a path read-only, and make its parents so that other users may pass."""
    if any(path.is_relative_to(other) for other in made):
        return []
    parents = [parent for parent in reversed(path.parents) if parent != Path("/")]
    made.add(path)
    found = [part for parent in parents for part in ("--perms", "0755", "--dir", str(parent))]
    if path.is_symlink():
        return [*found, "--symlink", os.readlink(path), str(path)]
    return [*found, "--ro-bind", str(path), str(path)]


def _python() -> list[Path]:
    """Return the folders from which this Python and its packages are loaded; of an effkit in work, the package only."""
    prefixes = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent.parent]
    named = [prefix / part for prefix in prefixes for part in _PREFIX_PARTS]  # a course may lie in a prefix too
    named += [Path(folder) for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    named += [Path(site.getusersitepackages())] if site.ENABLE_USER_SITE else []
    named.append(Path(effkit.__file__).parent)
    resolved = [folder.parent.resolve() / folder.name for folder in named] + [folder.resolve() for folder in named]
    return sorted({path for path in named + resolved if path.exists() and path != Path("/")})


def _font_lists() -> list[Path]:
    """Return matplotlib's lists of fonts, which take seconds to make; it has made one if it ever drew anything here."""
    cache = Path(
        os.environ.get("MPLCONFIGDIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "matplotlib")
    )
    return sorted(cache.glob("fontlist-v*.json"))


def environment() -> dict[str, str]:
    """Return the environment variables of every kernel, which tell nothing about the grader's."""
    return {
        "HOME": "/tmp/home",
        "LANG": "C.UTF-8",
        "LOGNAME": "student",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": "/tmp/home/matplotlib",
        "NBGRADER_EXECUTION": "autograde",
        "OMP_NUM_THREADS": "1",  # submissions are graded side by side
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger that kernels load warns of something else
        "USER": "student",
    }


def owner(number: int) -> int | None:
    """Return a user id that no other process has, for the `number`-th kernel of this process; None if we cannot choose."""
    return None if own_users() else _FIRST_USER + (os.getpid() % 2**22) * 64 + number % 64


def order(limits: Any, number: int, **more: Any) -> dict[str, Any]:
    """Return what a process in the sandbox is told: its limits, its user, and what else is in `more`."""
    return {"limits": vars(limits), "owner": owner(number), "fonts": [str(path) for path in _font_lists()], **more}
