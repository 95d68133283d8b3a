"""The sandboxed kernel as Jupyter knows it: a kernel provisioner, which `sandboxed_kernel` chooses for one kernel."""

import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Any as AnyTrait

from effkit.course.kernels import link, sandbox
from effkit.course.kernels.cgroup import Group
from effkit.course.kernels.limits import Limits
from effkit.course.kernels.streams import FIRST_LINE
from effkit.course.kernels.warm import WarmProcess

SOCKETS = "/s"  # a folder in the sandbox, see `confine`
NAME = "effkit-sandbox"  # in the entry points
_PORTS = {f"{channel}_port": port for port, channel in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
_numbers = count()


class KernelStartError(RuntimeError):
    """A kernel did not start; the message says why."""


class SandboxProvisioner(KernelProvisionerBase):
    """Starts a kernel in a sandbox: forked from a warm process where there is one, else fresh from bubblewrap."""

    limits = AnyTrait()
    warm = AnyTrait(None, allow_none=True)
    level = ""
    _pidfd = -1  # of the process whose end is the end of the sandbox
    tree = 0  # its process id: everything in the sandbox descends from it
    kernel = 0  # the process id of the kernel itself
    _bubblewrap: subprocess.Popen[bytes] | None = None
    _line: socket.socket | None = None
    _group: Group | None = None

    @property
    def has_process(self) -> bool:
        """Return whether a kernel was started and not yet waited for."""
        return self._pidfd >= 0

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Nothing is written for the kernel to read: it gets its orders over the link."""
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel and return how to reach it: by sockets in its own file system."""
        extra = {name: value for name, value in kwargs.get("env", {}).items() if name in kwargs.get("only", ())}
        key, number = secrets.token_hex(32), next(_numbers)
        order = sandbox.order(self.limits, number, key=key, ports=_PORTS, environment={**sandbox.environment(), **extra})
        try:
            inside = self._warm_start(order) or self._cold_start(order)
            self._group = Group(self.kernel, self.limits, number)
        except (OSError, EOFError, ValueError) as problem:
            self.end()
            raise KernelStartError(f"the sandbox ended before its kernel started ({problem!r})") from problem
        except BaseException:
            self.end()
            raise
        self.connection_info = {
            "transport": "ipc",
            "ip": f"/proc/{inside}/root{SOCKETS}/k",
            "key": key.encode(),
            "signature_scheme": "hmac-sha256",
            **_PORTS,
        }
        return self.connection_info

    def _warm_start(self, order: dict[str, Any]) -> int | None:
        """Have a kernel forked and return a process in its sandbox; None if that cannot be had."""
        line = self.warm.fork(self.limits.start_seconds) if self.warm else None
        if line is None:
            return None
        self._line = line
        try:
            message, pid = link.receive_with_pid(line)
            if "born" in message:
                self.tree, self._pidfd, self.level = pid, os.pidfd_open(pid), sandbox.WARM
                self._order(order)
                return pid
        except (OSError, EOFError, KernelStartError):
            pass
        self.end()
        return None

    def _cold_start(self, order: dict[str, Any]) -> int:
        """Start a kernel in a new sandbox and return a process in it."""
        self._line, theirs = link.pair()
        self._line.settimeout(self.limits.start_seconds)
        with theirs:
            self._bubblewrap = sandbox.start(sandbox.code("inside.serve"), theirs)
        self.tree = self._bubblewrap.pid
        self._pidfd, self.level = os.pidfd_open(self.tree), sandbox.BUBBLEWRAP
        inside = link.receive_with_pid(self._line)[1]
        self._order(order)
        return inside

    def _order(self, order: dict[str, Any]) -> None:
        """Say what kernel is wanted, and wait until it is ready."""
        assert self._line is not None
        link.send(self._line, order)
        answer, self.kernel = link.receive_with_pid(self._line)
        if "failed" in answer:
            raise KernelStartError(f"the kernel did not start: {str(answer['failed'])[:300]}")

    async def poll(self) -> int | None:
        """Return None while the kernel runs."""
        return 0 if self.has_ended() else None

    def has_ended(self) -> bool:
        """Return whether the kernel runs no more, or was never started."""
        return not self.has_process or self._ended(0)

    def _ended(self, timeout_s: float) -> bool:
        return bool(select.select([self._pidfd], [], [], timeout_s)[0])

    async def wait(self) -> int | None:
        """Wait for the whole sandbox to end."""
        if self.has_process:
            self._ended(30)
            self.end()
        return 0

    def hold(self) -> None:
        """Wait until all limits hold: before any code of a student is run."""
        if self._group:
            self._group.hold()

    def end(self) -> None:
        """Kill whatever runs, and let go of all that the grader held."""
        if self._bubblewrap:
            sandbox.end(self._bubblewrap)
            self._bubblewrap = None
        if self._pidfd >= 0:
            with suppress(OSError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._ended(30)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._line:
            self._line.close()
            self._line = None
        if self._group:
            self._group.remove()
            self._group = None

    async def send_signal(self, signum: int) -> None:
        """A sandbox knows one signal: its end. Interrupts go by message."""
        if signum == signal.SIGKILL:
            await self.kill()

    async def kill(self, restart: bool = False) -> None:
        """End the sandbox and everything in it."""
        self.end()

    async def terminate(self, restart: bool = False) -> None:
        """End the sandbox and everything in it."""
        self.end()

    async def cleanup(self, restart: bool = False) -> None:
        """Let go of everything."""
        self.end()


def sandboxed_kernel(limits: Limits, warm: WarmProcess | None, environment: dict[str, str]) -> KernelManager:
    """Start a kernel in a sandbox and return its manager.

    The kernel's provisioner is named by a kernel specification made here, not by one that is installed: a student's own
    kernels stay as they are.
    """
    context = zmq.Context()
    # Nothing that a kernel sends may fill the grader's memory, and a link that it cuts stays cut.
    for option, value in (
        (zmq.MAXMSGSIZE, limits.message_bytes),
        (zmq.RCVHWM, 4),
        (zmq.RECONNECT_IVL, -1),
        (zmq.SNDTIMEO, 1000),
    ):
        context.setsockopt(option, value)
    chosen = {"provisioner_name": NAME, "config": {"limits": limits, "warm": warm}}
    manager = KernelManager(context=context)
    manager._kernel_spec = KernelSpec(
        argv=[], display_name="effkit sandbox", language="python", metadata={"kernel_provisioner": chosen}
    )
    return _started(manager, env=environment, only=tuple(environment))


def plain_kernel(limits: Limits, warm: WarmProcess | None, environment: dict[str, str]) -> KernelManager:
    """Start a kernel without any protection and return its manager."""
    manager = KernelManager(context=zmq.Context())
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=argv, display_name="Python", language="python")
    arguments = [
        "--HistoryManager.hist_file=:memory:",
        "--IPKernelApp.log_level=50",
        "--IPKernelApp.outstream_class=effkit.course.kernels.streams.ShortStream",
        f"--IPKernelApp.exec_lines={FIRST_LINE}",
    ]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return _started(manager, env={**os.environ, **environment}, extra_arguments=arguments, **silent)


def _started(manager: KernelManager, **arguments: Any) -> KernelManager:
    """Start a manager's kernel; what the grader keeps of it goes to a private folder, where a plain kernel also works."""
    sweep(tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix=f"effkit-{os.getpid()}-")
    manager.connection_file = os.path.join(folder, "kernel.json")
    try:
        manager.start_kernel(cwd=folder, **arguments)
    except BaseException:
        manager.context.destroy(linger=0)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manager


@cache
def sweep(parent: str) -> None:
    """Remove what graders that were killed have left in a folder for temporary files."""
    if sys.platform == "win32":  # where asking for a process is ending it
        return
    for left in Path(parent).glob("effkit-*-*"):
        pid = left.name.split("-")[1]
        with suppress(OSError):
            if pid.isdecimal() and left.is_dir() and left.stat().st_uid == os.geteuid() and not _runs(int(pid)):
                shutil.rmtree(left)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
