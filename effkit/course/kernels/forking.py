"""Warm kernels, inside their sandbox: one process does the slow imports once, and is forked for each kernel.

To fork a process of that size is slow, and so is its end. So a second, small process makes the fresh namespaces of every
kind, in which kernels see neither these processes nor each other, and the warm one is forked once, into them. Neither
process holds secrets, and a kernel keeps no descriptor of theirs.
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

_NAMESPACES = {  # by their names in /proc/PID/ns; a process enters that of process ids by being forked into it
    "pid": confine.NEW_PIDS,
    "mnt": confine.NEW_MOUNTS,
    "uts": confine.NEW_HOSTNAME,
    "ipc": confine.NEW_IPC,
    "net": confine.NEW_NETWORK,
}


def serve(descriptor: int) -> None:
    """Make a kernel for each link that arrives, until the grader closes the line."""
    confine.mount_scratch(2**26, None)
    line = socket.socket(fileno=descriptor)
    to_warm, from_here = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    if os.fork() == 0:
        line.close()
        to_warm.close()
        _warm_up()
        _fork_kernels(from_here)
        os._exit(0)
    from_here.close()
    _make_namespaces(line, to_warm)


def _make_namespaces(line: socket.socket, warm: socket.socket) -> None:
    """Fork the first process of fresh namespaces for each link that arrives."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    while True:
        data, descriptors, _, _ = socket.recv_fds(line, 16, 1)
        if not data:
            return
        with socket.socket(fileno=descriptors[0]) as end:
            try:
                confine.unshare(_NAMESPACES["pid"])
                child = _fork_and_return_to(own)
            except OSError as problem:
                link.send(end, {"failed": str(problem)})
                continue
            if child == 0:
                try:
                    line.close()
                    _be_the_first(end, warm)
                finally:
                    os._exit(0)


def _fork_and_return_to(own: int) -> int:
    """Fork a child into the namespace of process ids that was chosen before; `own` is this process's."""
    child = -1
    try:
        child = os.fork()
    finally:
        if child != 0:
            confine.enter(own, _NAMESPACES["pid"])
    return child


def _be_the_first(end: socket.socket, warm: socket.socket) -> None:
    """Enter fresh namespaces of every other kind, have a kernel forked into them, and end all of it when that ends."""
    try:
        confine.unshare(sum(kind for name, kind in _NAMESPACES.items() if name != "pid"))
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
    kernel = _order_kernel(end, warm, order)
    while True:
        ready, _, _ = select.select([end.fileno(), kernel, waker], [], [])
        if kernel in ready or (end.fileno() in ready and not end.recv(1)):  # it has ended, or the grader has closed the link
            return
        if waker in ready:
            os.read(waker, 512)
        with contextlib.suppress(ChildProcessError):  # orphans: what they used counts as ours when we wait for them
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _order_kernel(end: socket.socket, warm: socket.socket, order: dict[str, Any]) -> int:
    """Have the warm process fork a kernel into this process's namespaces; return a descriptor that tells of its end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        namespaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in _NAMESPACES]
        socket.send_fds(warm, [link.encode(order)], [end.fileno(), theirs.fileno(), *namespaces])
    warm.close()
    _, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
    return descriptors[0]


def _fork_kernels(orders: socket.socket) -> None:
    """Fork a kernel for each order that arrives."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, link.LARGEST, 2 + len(_NAMESPACES))
        if not data:
            return
        link_to_grader, answer, *namespaces = descriptors
        with contextlib.ExitStack() as until_done, contextlib.suppress(OSError):  # who asked sees the answer's socket close
            for descriptor in descriptors:
                until_done.callback(os.close, descriptor)
            confine.enter(namespaces[0], _NAMESPACES["pid"])
            child = _fork_and_return_to(own)
            if child == 0:
                try:
                    _become_kernel(socket.socket(fileno=link_to_grader), namespaces, link.decode(data))
                finally:
                    os._exit(1)
            ended = os.pidfd_open(child)
            until_done.callback(os.close, ended)
            with socket.socket(fileno=os.dup(answer)) as first:
                socket.send_fds(first, [b"forked"], [ended])


def _become_kernel(end: socket.socket, namespaces: list[int], order: dict[str, Any]) -> None:
    for namespace, kind in zip(namespaces[1:], list(_NAMESPACES.values())[1:], strict=True):
        confine.enter(namespace, kind)
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
    from effkit.course.kernels import app
    from effkit.grading import tasks

    app.prepared()
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
    "effkit.course.kernels.app",
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
