"""Sends submissions to the workers of a Dask cluster. They share no disk with this machine: jobs and outcomes are messages.

A worker executes in its own sandbox with its own warm process, and returns JSON. One that dies is replaced by another: Dask
gives its submissions to those that are left. All that is trusted stays here: the judge, the gradebook and the pages.
"""

import atexit
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from effkit.course.errors import CourseError
from effkit.course.kernels import start_warm
from effkit.course.prepare import effkit_digest
from effkit.course.work import Job, Outcome, decode_job, decode_outcome, encode, run_job

LOCAL = "local"
_CONNECT_S = 20
_warm: Any = None  # a tuple with the warm process of this worker process, which may be None


def run_on(address: str) -> Callable[[Iterable[Job], int], Iterator[Outcome]]:
    """Return what executes jobs on the cluster at `address`, or on one started here for LOCAL.

    Raises CourseError if the address is not safe to send submissions to.
    """
    if address != LOCAL:
        check_address(address)

    def run(jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
        with _client(address, workers) as client:
            _check_workers(client)
            yield from _run(client, jobs)

    return run


def check_address(address: str) -> None:
    """Raise CourseError unless traffic to `address` is encrypted or stays on this machine."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or port is None or parts.scheme not in ("tcp", "tls"):
        raise CourseError(f"{address!r} is not a scheduler's address: it is like tls://gradebox:8786, or {LOCAL}")
    if parts.scheme == "tls" or _is_loopback(host):
        return
    raise CourseError(
        f"{address} is another machine and the connection would not be encrypted: anybody on the way could read submissions"
        " and send results. Give the scheduler and its workers certificates (--tls-ca-file, --tls-cert, --tls-key), set"
        " distributed.comm.tls in Dask's configuration here, and use tls://"
    )


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextmanager
def _client(address: str, workers: int) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
        from distributed.security import Security
    except ModuleNotFoundError as missing:
        raise CourseError(f"{missing.name} is not installed: pip install 'effkit[cluster]'") from missing
    if address == LOCAL:
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs="ERROR",
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        security = Security(require_encryption=True) if address.startswith("tls://") else None
        if security and not security.get_connection_args("client").get("ssl_context"):
            raise CourseError(
                "this machine has no certificates for the cluster: set distributed.comm.tls.ca-file, client.cert and"
                " client.key in Dask's configuration"
            )
        client = Client(address, timeout=_CONNECT_S, security=security, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise CourseError(f"no scheduler answers at {address} ({type(problem).__name__}: {problem})") from problem
    with client:
        yield client


def _check_workers(client: Any) -> None:
    """Raise CourseError unless there are workers, and all have the effkit that is installed here."""
    with suppress(TimeoutError):
        client.wait_for_workers(1, timeout=_CONNECT_S)
    found = client.run(effkit_digest, on_error="return")
    if not found:
        raise CourseError("the scheduler has no workers: start `dask worker ADDRESS --nthreads 1` on each machine")
    ours = effkit_digest()
    others = sorted(worker for worker, theirs in found.items() if theirs != ours)
    if others:
        raise CourseError(f"another effkit is installed on {', '.join(others)}: install the one of this machine there")


def _run(client: Any, jobs: Iterable[Job]) -> Iterator[Outcome]:
    from distributed import as_completed

    pending = iter(jobs)
    ahead = 2 * sum(client.nthreads().values()) + 2  # so that no worker waits, and no more notebooks are in memory
    students: dict[str, str] = {}

    def submit(job: Job) -> Any:
        future = client.submit(_execute, encode(job), pure=False, retries=1)
        students[future.key] = job.student
        return future

    done = as_completed([submit(job) for job in islice(pending, ahead)], loop=client.loop)
    for future in done:
        student = students.pop(future.key)
        try:  # where a worker dies with its result, this waits for another one to make it again
            outcome = decode_outcome(future.result())
        except Exception as problem:  # noqa: BLE001  whatever happened there, the others go on
            outcome = Outcome(
                student, problem=f"the cluster could not execute it ({type(problem).__name__}): grade it again"
            )
        future.release()
        yield outcome
        if (job := next(pending, None)) is not None:
            done.add(submit(job))


def _execute(data: bytes) -> bytes:
    """Execute one job. Runs in a worker."""
    return encode(run_job(decode_job(data), _own_warm_process()))


def _own_warm_process() -> Any:
    """Return the warm process of this worker, started when it is first needed and ended with the worker."""
    global _warm
    if _warm is None:
        until_the_end = ExitStack()
        atexit.register(until_the_end.close)
        _warm = (start_warm(until_the_end),)
    return _warm[0]
