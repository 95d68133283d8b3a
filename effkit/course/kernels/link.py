"""The line between the grader and a kernel that starts: short JSON messages on a pair of sockets.

The kernel's end is closed before a student's code runs, and after that the grader takes nothing from it.
"""

import json
import socket
import struct
from contextlib import suppress
from typing import Any

_CREDENTIALS = struct.Struct("3i")
LARGEST = 2**16


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the grader's end and the other one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def send(end: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    end.send(encode(message))


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as it is sent."""
    return json.dumps(message).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Return a message that was received."""
    return dict(json.loads(data))


def receive(end: socket.socket) -> dict[str, Any]:
    """Return the next message; EOFError if the other side has closed."""
    data = b""
    with suppress(ConnectionError):
        data = end.recv(LARGEST)
    if not data:
        raise EOFError
    return decode(data)


def receive_with_pid(end: socket.socket) -> tuple[dict[str, Any], int]:
    """Return the next message and the process id of its sender, as this process sees it; the system vouches for it."""
    data, extra, _, _ = end.recvmsg(LARGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
    if not data:
        raise EOFError
    pids = [
        _CREDENTIALS.unpack(content)[0]
        for level, kind, content in extra
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
    ]
    return decode(data), pids[0]
