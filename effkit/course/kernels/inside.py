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
        from effkit.course.kernels.app import started

        app: Any = started(order["key"], order["ports"])
        link.send(end, {"ready": True})
    except BaseException as problem:  # noqa: BLE001  whatever it is, the grader must hear of it
        link.send(end, {"failed": f"{type(problem).__name__}: {problem}"})
        os._exit(1)
    end.close()
    app.start()
    os._exit(0)


def _reseed() -> None:
    """Give this kernel random numbers of its own: one forked from a warm process has those of all the others."""
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()
