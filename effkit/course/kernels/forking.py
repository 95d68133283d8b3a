"""The warm process, inside its sandbox: it does the slow imports once and forks a child for each kernel.

A child enters fresh namespaces of every kind, so that kernels see neither this process nor each other. This process
holds no secrets, and a kernel keeps no descriptor of its.
"""

import contextlib
import gc
import importlib
import io
import os
import select
import signal
import socket
import sys
from typing import Any

from effkit.course.kernels import confine, link
from effkit.course.kernels.inside import become_kernel

_NAMESPACES = confine.NEW_MOUNTS | confine.NEW_HOSTNAME | confine.NEW_IPC | confine.NEW_NETWORK  # and of process ids


def serve(descriptor: int) -> None:
    """Warm up, then fork a child for each link that arrives, until the grader closes the line."""
    confine.mount_scratch(2**26, None)
    _warm_up()
    line = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    while True:
        data, descriptors, _, _ = socket.recv_fds(line, 16, 1)
        if not data:
            return
        with socket.socket(fileno=descriptors[0]) as end:
            try:
                child = _fork(own)
            except OSError as problem:
                link.send(end, {"failed": str(problem)})
                continue
            if child == 0:
                try:
                    line.close()
                    _first_process(end)
                finally:
                    os._exit(0)


def _fork(own: int) -> int:
    """Fork a child that is the first process of a fresh namespace of process ids; `own` is this process's."""
    confine.unshare(confine.NEW_PIDS)
    child = -1
    try:
        child = os.fork()
    finally:
        if child != 0:
            confine.enter(own, confine.NEW_PIDS)
    return child


def _first_process(end: socket.socket) -> None:
    """Enter fresh namespaces of every other kind, make the kernel, and end all of it when that ends."""
    try:
        confine.unshare(_NAMESPACES)
    except OSError as problem:
        link.send(end, {"failed": str(problem)})
        return
    link.send(end, {"born": True})
    order = link.receive(end)
    confine.mount_scratch(order["limits"]["scratch_bytes"], order["owner"])
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    kernel = os.fork()
    if kernel == 0:
        _become_kernel(end, order)
    while True:
        ready, _, _ = select.select([end.fileno(), waker], [], [])
        if waker in ready:
            os.read(waker, 512)
        if end.fileno() in ready and not end.recv(1):  # the grader has closed the link
            return
        with contextlib.suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                if child == kernel:
                    return


def _become_kernel(end: socket.socket, order: dict[str, Any]) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)  # as Python does: a broken pipe or a full file is an error, not an end
        elif number not in (signal.SIGKILL, signal.SIGSTOP):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    keep = end.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, 65536)
    os.setsid()
    become_kernel(end, order)


def _warm_up() -> None:
    """Import what labs and kernels need, and do once what is slow the first time: a figure, a step, a traceback."""
    os.makedirs(os.environ["MPLCONFIGDIR"], exist_ok=True)
    for module in _IMPORTED:
        importlib.import_module(module)
    _draw()
    _train()
    _show_an_error()
    from effkit.grading import tasks

    for lab in tasks.LABS:
        tasks.tasks_of(lab)
    sys.modules.pop("matplotlib_inline.backend_inline", None)  # hooks into the kernel that imports it
    gc.collect()
    gc.freeze()  # so that collecting garbage in a child does not copy every page


# What a kernel imports when it starts and when it first shows an error, and what the labs use.
_IMPORTED = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "effkit.course.kernels.streams",
    "effkit.grading.check",
    "effkit.profiling.profile",
    "effkit.zoo",
    "faulthandler",
    "ipykernel.debugger",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "matplotlib.pyplot",
    "matplotlib_inline.config",
    "numpy",
    "pdb",
    "tornado.platform.asyncio",
    "torch.utils.flop_counter",
)


def _draw() -> None:
    from matplotlib import font_manager
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], label="$warm_0$")
    axes.legend()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(io.BytesIO())
    fonts: Any = font_manager
    fonts._get_font.cache_clear()  # fonts are open files, and a child closes all files


def _train() -> None:
    import torch

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)  # no backward pass: it would start threads, which a fork does not take along
    torch.optim.SGD([weight], lr=0.1).step()


def _show_an_error() -> None:
    from IPython.core.ultratb import AutoFormattedTB

    try:
        raise NotImplementedError
    except NotImplementedError:
        formatter: Any = AutoFormattedTB
        formatter(mode="Context").text(*sys.exc_info())
