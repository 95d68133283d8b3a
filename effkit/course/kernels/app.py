"""ipykernel's application as a submission needs it: told all by the grader, and without what only a person would use.

What it leaves out is what costs time: in a lab that trains nothing, a kernel's own threads take as long as a student's code.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import zmq
from ipykernel import ipkernel, kernelapp
from ipykernel.iostream import IOPubThread
from traitlets import Type
from traitlets.config import Config

from effkit.course.kernels import confine
from effkit.course.kernels.streams import FIRST_LINE


def prepared() -> "App":
    """Return the application, made but not started: what a warm process can do before it is forked."""
    app: App = App.instance(config=_CONFIG)
    return app


def started(key: str, ports: dict[str, int]) -> "App":
    """Return the application with its sockets open, ready to serve."""
    app = prepared()
    app.update_config(Config(Session=Config(key=key.encode()), IPKernelApp=Config(ports)))
    app.log.setLevel(logging.CRITICAL)  # traitlets asks for all of it, and throws most away again
    app.initialize()  # type: ignore[no-untyped-call]
    return app


_CONFIG = Config(
    Session=Config(signature_scheme="hmac-sha256"),
    HistoryManager=Config(enabled=False),
    Kernel=Config(_execute_sleep=0.0),  # a pause after each cell, for whoever aborts the next: nobody here
    IPKernelApp=Config(
        transport="ipc",
        ip=f"{confine.SOCKETS}/k",
        connection_file="/tmp/home/none.json",
        log_level=logging.CRITICAL,
        outstream_class="effkit.course.kernels.streams.ShortStream",
        exec_lines=[FIRST_LINE],
    ),
)


_CHILDREN = f"ipc://{confine.SOCKETS}/children"


class _Kernel(ipkernel.IPythonKernel):
    """A kernel that runs one cell at a time, in its main thread, and does not say back what it was asked to do."""

    _supports_kernel_subshells = False

    def _publish_execute_input(self, *_: Any) -> None:
        pass

    def _publish_status(self, status: str, *where: Any) -> None:
        if status != "busy":
            super()._publish_status(status, *where)  # type: ignore[no-untyped-call]


class _NoThread:
    """Stands for the thread that receives requests where several cells may run at once."""

    parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


class _NoModules:
    """Stands for `sys` where ipykernel lists the files of all modules, for its debugger.

    To touch each module would copy a third of what a kernel ever copies of the warm process.
    """

    modules: ClassVar[dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


class _Publisher(IOPubThread):
    """Sends what a kernel publishes at once, from the thread that publishes it: no thread of its own waits to do so.

    What is printed is sent when a cell ends or when somebody flushes it (see `ShortStream`). A process that a student forks
    hands what it publishes to this one, which sends it along with its own.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)  # type: ignore[no-untyped-call]
        self._free_the_socket()
        os.register_at_fork(after_in_child=self._free_the_socket)

    def _free_the_socket(self) -> None:
        self._socket_in_use = threading.RLock()

    def start(self) -> None:
        """Start no thread."""

    def schedule(self, f: Callable[[], Any]) -> None:
        """Call a function that sends something."""
        with self._socket_in_use:
            while os.getpid() == self._master_pid and self._from_children.poll(0):
                self._handle_pipe_msg(self._from_children.recv_multipart())
            f()

    def _handle_pipe_msg(self, msg: list[bytes]) -> None:
        if msg[0] == self._pipe_uuid:
            self._really_send(msg[1:])  # type: ignore[no-untyped-call]

    def _setup_pipe_in(self) -> None:
        """Listen to forked processes, by a file and not by the network: there is none."""
        self._pipe_uuid = os.urandom(16)
        self._from_children = self.socket.context.socket(zmq.PULL)
        self._from_children.bind(_CHILDREN)

    def _setup_pipe_out(self) -> tuple[zmq.Context[Any], zmq.Socket[Any]]:
        context = zmq.Context()
        socket = context.socket(zmq.PUSH)
        socket.linger = 3000
        socket.connect(_CHILDREN)
        return context, socket


vars(ipkernel)["sys"] = _NoModules()
vars(kernelapp)["IOPubThread"] = _Publisher


class App(kernelapp.IPKernelApp):
    """A kernel's application without a command line, files of settings, and threads that nobody needs."""

    kernel_class = Type(_Kernel)

    def parse_command_line(self, *_: Any) -> None:
        """Take nothing from a command line."""

    def load_config_file(self, *_: Any) -> None:
        """Read no file of settings."""

    def init_control(self, context: Any) -> None:
        """Do without the thread for subshells."""
        super().init_control(context)  # type: ignore[no-untyped-call]
        self.shell_channel_thread = _NoThread()

    def init_code(self) -> None:
        """Run the first lines, without IPython's list of all modules that were there before, for ``%reset``."""
        self._run_startup_files()  # type: ignore[no-untyped-call]
        self._run_exec_lines()  # type: ignore[no-untyped-call]
