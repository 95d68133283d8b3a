"""The process that becomes a student's kernel, inside the sandbox."""

import os
import random
import shutil
import socket
import sys
from typing import Any

from effkit.course.kernels import confine, link


def serve(descriptor: int) -> None:
    """Tell the grader that this process is there, wait for what to do, and do it."""
    end = socket.socket(fileno=descriptor)
    link.send(end, {"born": True})
    order = link.receive(end)
    confine.mount_scratch(order["limits"]["scratch_bytes"], order["owner"])
    become_kernel(end, order)


def become_kernel(end: socket.socket, order: dict[str, Any]) -> None:
    """Give up all rights, open the kernel's sockets, say so, close the link and serve. Never returns."""
    try:
        confine.limit(order["limits"])
        confine.drop(order["owner"])
        os.chdir("/tmp/work")
        os.environ.clear()
        os.environ.update(order["environment"])
        for path in order["fonts"]:
            os.makedirs(os.environ["MPLCONFIGDIR"], exist_ok=True)
            shutil.copy(path, os.environ["MPLCONFIGDIR"])
        _reseed()
        app = _kernel_app(order)
        link.send(end, {"ready": True})
    except BaseException as problem:  # noqa: BLE001  whatever it is, the grader must hear of it
        link.send(end, {"failed": f"{type(problem).__name__}: {problem}"})
        os._exit(1)
    end.close()
    app.start()
    os._exit(0)


def _kernel_app(order: dict[str, Any]) -> Any:
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    from effkit.course.kernels.streams import FIRST_LINE

    config = Config()
    config.Session.key = order["key"].encode()
    config.Session.signature_scheme = "hmac-sha256"
    config.HistoryManager.enabled = False
    config.Kernel._execute_sleep = 0.0  # a pause after each cell, for whoever aborts the next: nobody here
    config.IPKernelApp = Config(
        transport="ipc",
        ip=f"{confine.SOCKETS}/k",
        connection_file="/tmp/home/none.json",
        log_level=50,
        outstream_class="effkit.course.kernels.streams.ShortStream",
        exec_lines=[FIRST_LINE],
        **order["ports"],
    )

    class App(IPKernelApp):
        """A kernel that is told all it needs: there is no command line and no file of settings to read."""

        def parse_command_line(self, *_: Any) -> None:
            pass

        def load_config_file(self, *_: Any) -> None:
            pass

    app: Any = App.instance(config=config)
    app.initialize()
    return app


def _reseed() -> None:
    """Give this kernel random numbers of its own: one forked from a warm process has those of all the others."""
    random.seed()
    for name in ("numpy", "torch"):
        module: Any = sys.modules.get(name)
        if module is not None:
            module.random.seed()
