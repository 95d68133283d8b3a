"""A running kernel and the conversation with it: one cell at a time, within limits, taking nothing on trust."""

import json
import os
import secrets
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import zmq

from effkit.course.kernels import usage
from effkit.course.kernels.limits import Limits
from effkit.course.kernels.provisioner import KernelStartError, plain_kernel, sandboxed_kernel
from effkit.course.kernels.warm import WarmProcess
from effkit.course.outputs import Outputs, text

_TICK_S = 0.2
_ASK_AGAIN_S = 0.02  # what a kernel says before it knows that somebody listens is lost
_PATIENCE_S = 3.0  # for the other half of a kernel's answer that a cell has ended
_LARGEST_READ = 2**23  # bytes of a message


@dataclass(frozen=True)
class Ending:
    """How a cell ended: `problem` is empty, "died", "out of time" or "out of memory"."""

    problem: str = ""
    starved: bool = False  # the machine may be to blame: others kept it busy
    error: tuple[str, str] | None = None  # the name and text that the kernel reports


class Kernel:
    """A kernel for one submission. `used_seconds` is what it has computed or slept so far."""

    def __init__(self, limits: Limits, environment: dict[str, str], warm: WarmProcess | None, unsafe: bool) -> None:
        """Start it. Raises KernelStartError."""
        self._limits = limits
        self.used_seconds = 0.0
        self._closed = False
        self._too_much = 0
        start = plain_kernel if unsafe else sandboxed_kernel
        self._manager = start(limits, warm, environment)
        self._provisioner: Any = self._manager.provisioner
        try:
            self.level: str = getattr(self._provisioner, "level", "none")
            self._session = self._manager.session
            self._shell, self._iopub = self._manager.connect_shell(), self._manager.connect_iopub()
            self._cuts = [] if unsafe else [s.get_monitor_socket(zmq.EVENT_DISCONNECTED) for s in (self._shell, self._iopub)]
            self._poller = zmq.Poller()
            for socket in (self._shell, self._iopub, *self._cuts):
                self._poller.register(socket, zmq.POLLIN)
            self._measured_at, self._cpu, self._asleep = time.monotonic(), 0.0, 0.0
            self._greet()
            if not unsafe:
                self._provisioner.hold()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the kernel and all that it started."""
        if self._closed:
            return
        self._closed = True
        end = getattr(self._provisioner, "end", None)  # without the manager's pause
        with suppress(RuntimeError, OSError):
            end() if end else self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        self._manager.context.destroy(linger=0)
        shutil.rmtree(Path(self._manager.connection_file).parent, ignore_errors=True)

    def is_alive(self) -> bool:
        """Return whether the kernel can run another cell."""
        if self._closed or any(socket.poll(0) for socket in self._cuts):
            return False
        ended = getattr(self._provisioner, "has_ended", None)  # quicker than to ask the manager, which starts an event loop
        return not ended() if ended else bool(self._manager.is_alive())

    def survives(self, seconds: float) -> bool:
        """Leave the kernel to itself for a while and return whether it is still there."""
        time.sleep(seconds)
        self._measure()
        return self.is_alive()

    def _greet(self) -> None:
        """Wait until the kernel answers on both channels; only then does it hear all that it says."""
        deadline = time.monotonic() + self._limits.start_seconds
        while time.monotonic() < deadline:
            asked = self._send("kernel_info_request", {})
            until = time.monotonic() + _ASK_AGAIN_S
            while (left := until - time.monotonic()) > 0:
                self._poller.poll(int(left * 1000) + 1)
                if any(parent == asked for _, parent, _, _ in self._received(self._iopub)):
                    self._measured_at = time.monotonic()  # its start is not counted
                    self._cpu = usage.cpu_seconds(*self._processes()) if sys.platform == "linux" else 0.0
                    return
            if not self._manager.is_alive():
                break
        raise KernelStartError("the kernel started and does not answer")

    def _send(self, kind: str, content: dict[str, Any]) -> str:
        message = self._session.msg(kind, content)
        message["header"]["msg_id"] = message["msg_id"] = secrets.token_hex(16)  # which a student cannot foresee
        with suppress(zmq.Again):  # a kernel that reads nothing will run out of time
            self._session.send(self._shell, message)
        return str(message["msg_id"])

    def _received(self, socket: Any) -> list[tuple[str, str, Any, int]]:
        """Return (kind, id of the request, content, bytes) of the messages that wait, a limited number of them."""
        messages = []
        for _ in range(50):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            size = sum(map(len, parts))
            if size > _LARGEST_READ:
                messages.append(("too large", "", None, size))
                continue
            try:
                _, (signature, *signed) = self._session.feed_identities(parts)
                header, parent, _, content = map(json.loads, signed[:4])
                if self._session.sign(signed[:4]) == signature:
                    messages.append((str(header["msg_type"]), str(parent["msg_id"]), content, size))
            except Exception:  # noqa: BLE001  whatever it is, it is no message
                continue
        return messages

    def run(self, source: str, outputs: Outputs, seconds: float) -> Ending:
        """Execute one cell and gather its outputs; give it `seconds` of computing and sleeping."""
        request = {"code": source, "silent": False, "store_history": True, "user_expressions": {}}
        asked = self._send("execute_request", {**request, "allow_stdin": False, "stop_on_error": False})
        started, used_before, cpu_before = time.monotonic(), self.used_seconds, self._cpu
        asleep_before, half_since = self._asleep, 0.0
        reply: dict[str, Any] | None = None
        idle = False
        while True:
            ready = dict(self._poller.poll(max(1, int(1000 * (self._measured_at + _TICK_S - time.monotonic())))))
            for kind, parent, content, size in self._received(self._iopub) if self._iopub in ready else ():
                if kind == "too large":
                    outputs.too_large()
                elif parent == asked and kind == "status":
                    idle = idle or (isinstance(content, dict) and content.get("execution_state") == "idle")
                elif parent == asked:
                    outputs.add(kind, content, size)
            for kind, parent, content, _ in self._received(self._shell) if self._shell in ready else ():
                if kind == "execute_reply" and parent == asked and isinstance(content, dict):
                    reply = content
            if idle and reply is not None:
                return Ending(error=_error(reply))
            now = time.monotonic()
            if now < self._measured_at + _TICK_S and not ready.keys() & set(self._cuts):
                continue
            if not self.is_alive():
                return Ending("died")
            problem = self._measure()
            starving = now - started - (self._cpu - cpu_before) - (self._asleep - asleep_before)
            starved = starving > 0.2 * (now - started)
            if problem:
                return Ending(problem, starved=problem == "out of memory" and usage.short_of_memory())
            if self.used_seconds - used_before > seconds or now - started > seconds * self._limits.wall_factor:
                return Ending("out of time", starved=starved)
            half_since = 0.0 if not (idle or reply) else half_since or now
            if half_since and now - half_since > _PATIENCE_S:
                return Ending(error=_error(reply or {}))

    def _processes(self) -> tuple[int, int]:
        """Return the process from which everything in the sandbox descends, and the kernel."""
        tree = getattr(self._provisioner, "tree", 0) or self._provisioner.pid
        return tree, getattr(self._provisioner, "kernel", tree)

    def _measure(self) -> str:
        """Add up what was used since the last time; return the problem if it is more than a kernel may have."""
        now = time.monotonic()
        elapsed, self._measured_at = now - self._measured_at, now
        if sys.platform != "linux":
            self.used_seconds += elapsed
            return ""
        used = usage.measure(*self._processes())
        computed = max(0.0, used.cpu_seconds - self._cpu)
        slept = 0.0 if used.runnable or computed > 0.1 * elapsed else elapsed
        self._cpu, self._asleep = self._cpu + computed, self._asleep + slept
        self.used_seconds += computed + slept
        if used.stopped:
            return "died"
        too_much = used.memory_bytes > self._limits.memory_bytes + self._limits.scratch_bytes or usage.short_of_memory()
        self._too_much = self._too_much + 1 if too_much and self.level != "none" else 0
        return "out of memory" if self._too_much > 1 else ""  # once may be a fork seen half way


def _error(reply: dict[str, Any]) -> tuple[str, str] | None:
    """Return the name and text of the error that an answer reports."""
    if reply.get("status") != "error":
        return None
    name, value = (text(str(reply.get(key, ""))[:2000]) for key in ("ename", "evalue"))
    return name or "Error", value


def environment(seed_variable: str, seed: int) -> dict[str, str]:
    """Return what a kernel's environment holds besides what every kernel's does."""
    return {seed_variable: str(seed), "NBGRADER_EXECUTION": os.environ.get("NBGRADER_EXECUTION", "autograde")}
