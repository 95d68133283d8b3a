"""Grading on a Dask cluster: a scheduler and workers in processes of their own, one of them killed on the way."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from effkit.course.cluster import check_address
from effkit.course.errors import CourseError
from tests.course.conftest import read_grades, run
from tests.course.submissions import load

LAB = "lab2_parameters"
KINDS = {"full": "30", "blank": "0", "units_confused": "24", "partly_done": "8"}


def start(*arguments: str) -> tuple["subprocess.Popen[str]", str]:
    """Start one of dask's programs and return it with the address that it says it has."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"(?:Scheduler at:|Start worker at:|Listening to:)\s+((?:tcp|tls)://[\d.:]+)", line):
            return process, found[1]
    raise AssertionError(f"dask {arguments[0]} said nothing and ended with {process.wait()}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list["subprocess.Popen[str]"]]]:
    scheduler, address = start("scheduler", "--port", "0", "--no-dashboard")
    workers = []
    try:
        for number in (1, 2):
            folder = tmp_path / f"worker{number}"
            options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(folder)]
            workers.append(start("worker", address, *options)[0])
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def test_a_worker_that_is_killed_costs_nobody_a_point(
    course: Path, cluster: tuple[str, list["subprocess.Popen[str]"]]
) -> None:
    address, workers = cluster
    expected = {}
    for number in range(12):
        kind, score = list(KINDS.items())[number % len(KINDS)]
        replace(load(LAB, kind), name=f"s{number:02}").put(course)
        expected[f"s{number:02}"] = score
    programs = Path(sys.executable).parent
    grading = subprocess.Popen(
        [str(programs / "effkit"), "grade", LAB, "--scheduler", address],
        cwd=course,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert grading.stdout is not None
    for line in grading.stdout:
        if line.startswith("[2/12]"):
            os.kill(workers[0].pid, signal.SIGKILL)
            break
    output, errors = grading.communicate(timeout=600)
    assert grading.returncode == 0, output + errors
    assert {student: row["score"] for student, row in read_grades(course, LAB).items()} == expected


def certificate(folder: Path) -> dict[str, Path]:
    """Make a certificate that vouches for itself, as a small cluster has one; return the files by Dask's names."""
    folder.mkdir()
    key, cert = folder / "key.pem", folder / "cert.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    request += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(request, check=True, capture_output=True)
    return {"ca-file": cert, "cert": cert, "key": key}


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificates")
def test_only_who_has_the_certificate_grades_on_a_cluster_with_tls(
    course: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(LAB, "units_confused").put(course)
    folder = tmp_path_factory.mktemp("tls")
    own, strange = certificate(folder / "own"), certificate(folder / "strange")
    options = [part for name, path in own.items() for part in (f"--tls-{name}", str(path))]
    scheduler, address = start("scheduler", "--port", "0", "--no-dashboard", "--protocol", "tls", *options)
    worker, _ = start("worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny", *options)
    try:
        assert address.startswith("tls://")
        cases: list[tuple[dict[str, Path], int, str]] = [
            ({}, 2, "this machine has no certificates"),
            (strange, 2, f"no scheduler answers at {address}"),
            (own, 0, ""),
        ]
        for files, status, said in cases:
            for name, path in files.items():
                setting = name.replace("-", "_") if name == "ca-file" else f"client__{name}"
                monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{setting.upper()}", str(path))
            result = run(course, "effkit", "grade", LAB, "--scheduler", address)
            assert (result.returncode, "Traceback" in result.stderr) == (status, False), result.stderr
            assert said in result.stderr
        assert read_grades(course, LAB)["units_confused"]["score"] == "24"
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def test_a_cluster_on_this_machine_is_started_and_ended(course: Path) -> None:
    load(LAB, "units_confused").put(course)
    result = run(course, "effkit", "grade", LAB, "--scheduler", "local")
    assert result.returncode == 0, result.stderr
    assert read_grades(course, LAB)["units_confused"]["score"] == "24"


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "gradebox:8786", "tcp://gradebox.example:8786", "tcp://0.0.0.0:1"]
)
def test_an_unencrypted_connection_to_another_machine_is_refused(address: str) -> None:
    with pytest.raises(CourseError, match="would not be encrypted"):
        check_address(address)


@pytest.mark.parametrize("address", ["", "gradebox", "tcp://", "http://127.0.0.1:1", "tcp://127.0.0.1", "tls://x:99999999"])
def test_what_is_no_address_is_said_to_be_none(address: str) -> None:
    with pytest.raises(CourseError, match="is not a scheduler's address"):
        check_address(address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "localhost:8786", "tcp://[::1]:8786", "tls://gradebox:8786"])
def test_loopback_and_tls_are_allowed(address: str) -> None:
    check_address(address)


def test_a_scheduler_that_does_not_answer_is_said(course: Path) -> None:
    load(LAB, "blank").put(course)
    result = run(course, "effkit", "grade", LAB, "--scheduler", "tcp://127.0.0.1:1")
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert "no scheduler answers at tcp://127.0.0.1:1" in result.stderr
