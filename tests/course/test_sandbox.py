"""Hostile cells in real kernels, cold and warm. Canaries outside show that nothing was read, written, reached or left."""

import ctypes
import os
import platform
import resource
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import effkit
from effkit.course.errors import CourseError
from effkit.course.execute import execute
from effkit.course.kernels import Limits, WarmProcess, sandbox
from effkit.course.kernels.cgroup import Group
from effkit.course.kernels.talk import Kernel
from tests.course.conftest import ROOT
from tests.course.running import SMALL, Asked, Level, needs_sandbox, notebook, said

pytestmark = needs_sandbox
SECRET = f"canary-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a hostile cell looks for, where a grader has it."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("gradebook.db", "solutions/lab/lab.ipynb", "submitted/ann/lab/lab.ipynb", "autograded/me/lab/lab.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(SECRET)
    return folder


@pytest.fixture(scope="module", params=[sandbox.BUBBLEWRAP, sandbox.WARM])
def level(request: pytest.FixtureRequest, course: Path) -> Iterator[Level]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_TOKEN", SECRET)
        patch.chdir(course)
        if request.param == sandbox.BUBBLEWRAP:
            yield Level(request.param, None)
            return
        with WarmProcess() as warm:
            yield Level(request.param, warm)


@pytest.fixture(scope="module")
def ask(level: Level) -> Iterator[Asked]:
    """A kernel for cells that leave it as it was."""
    with level.kernel() as asked:
        yield asked


def test_nothing_of_the_course_or_the_grader_can_be_read(ask: Asked, course: Path) -> None:
    places = [
        str(course),
        str(ROOT / "solutions"),
        str(ROOT / "nbgrader_config.py"),
        str(ROOT / "tests"),
        str(Path.home() / ".bashrc"),
    ]
    places += [
        "/etc/passwd",
        "/etc/shadow",
        "/var/log",
        "/sys",
        "/run",
        "/home",
        "/mnt",
        "/proc/1/environ",
        "/proc/1/root/etc",
    ]
    answer = ask(f"""
import os
found = []
for place in {places!r} + ["..", "../..", "../../../gradebook.db"]:
    try:
        found += [(place, os.listdir(place) if os.path.isdir(place) else open(place, "rb").read(20))]
    except OSError:
        pass
print([f for f in found if f[0][0] != "."], sorted(os.listdir(".")))
""")
    assert answer == "[] []"


def test_a_search_of_all_files_finds_no_secret(ask: Asked) -> None:
    answer = ask(f"""
import os
hits = []
for folder, inner, files in os.walk("/"):
    if folder.startswith(("/usr", "/proc", {str(Path(effkit.__file__).parent)!r})) or "lib/python3" in folder:
        inner[:] = []
        continue
    hits += [f for f in files if f.endswith((".ipynb", ".db"))]
environment = repr(dict(os.environ))
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "maps"):
        try:
            environment += open(f"/proc/{{pid}}/{{name}}", "rb").read().decode("latin-1")
        except OSError:
            pass
print(hits, {SECRET[:20]!r} + {SECRET[20:]!r} in environment, "SECRET_TOKEN" in os.environ)
""")
    assert answer == "[] False False"


def test_nothing_outside_can_be_written(ask: Asked, course: Path) -> None:
    places = [
        "/",
        "/usr",
        "/etc",
        "/dev",
        "/proc",
        str(Path(effkit.__file__).parent),
        os.path.dirname(os.__file__),
        "/work",
        "/root",
    ]
    answer = ask(f"""
import os
written = []
for place in {[*places, str(course)]!r}:
    try:
        open(os.path.join(place, "canary"), "w")
        written.append(place)
    except OSError:
        pass
for place in ("/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"):
    try:
        open(place, "w").write("-1")
        written.append(place)
    except OSError:
        pass
print(written)
""")
    assert answer == "[]"
    assert not Path(effkit.__file__).with_name("canary").exists()


def test_no_packet_leaves_and_no_socket_outside_is_reached(ask: Asked, tmp_path: Path) -> None:
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    abstract, named = (socket.socket(socket.AF_UNIX) for _ in range(2))
    abstract.bind(f"\0{SECRET}")
    named.bind(str(tmp_path / "s"))
    listeners = [tcp, abstract, named]
    for listener in listeners[1:]:
        listener.listen()
    answer = ask(f"""
import socket
reached = []
def attempt(family, kind, address):
    try:
        with socket.socket(family, kind) as s:
            s.settimeout(2)
            s.connect(address)
            s.sendall(b"canary")
            reached.append(address)
    except OSError:
        pass
attempt(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {tcp.getsockname()[1]}))
attempt(socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 53))
attempt(socket.AF_UNIX, socket.SOCK_STREAM, "\\0" + {SECRET[:20]!r} + {SECRET[20:]!r})
attempt(socket.AF_UNIX, socket.SOCK_STREAM, {str(tmp_path / "s")!r})
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"canary", ("127.0.0.1", {udp.getsockname()[1]}))
except OSError:
    pass
print(reached)
""")
    assert answer == "[]"
    for canary in (*listeners, udp):
        canary.setblocking(False)
        with canary, pytest.raises(BlockingIOError):
            canary.recvfrom(10) if canary is udp else canary.accept()


def test_it_sees_only_its_own_processes(ask: Asked, level: Level) -> None:
    answer = ask("import os; print(max(int(p) for p in os.listdir('/proc') if p.isdigit()) < 50, os.getppid())")
    assert answer == ("True 0" if level.warm else "True 1")  # 0 is a parent outside, which has no name here


def test_it_has_no_rights_and_can_get_none(ask: Asked) -> None:
    answer = ask("""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
rights = [int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")]
print(rights, status["NoNewPrivs"], os.getuid() != 0)
child = os.fork()  # a process of one thread, since no other may enter a user namespace
if child == 0:
    os._exit([libc.unshare(what) for what in (0x10000000, 0x20000, 0x40000000)] == [-1, -1, -1])  # users, mounts, network
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
print(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None), libc.umount2(b"/tmp", 2), libc.setuid(0), libc.chroot(b"/tmp"))
""")
    assert answer.split("\n") == ["[0, 0, 0, 0, 0] 1 True", "1 -1 -1 -1 -1"]


def test_no_process_of_the_sandbox_can_be_traced_and_none_outside_named(ask: Asked) -> None:
    answer = ask(f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print([libc.ptrace(16, pid, 0, 0) for pid in (1, {os.getpid()}, {os.getppid()})], end=" ")
try:
    print(open("/proc/1/mem", "rb").read(1))
except OSError:
    print("refused")
""")
    assert answer == "[-1, -1, -1] refused"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of these system calls are x86-64's")
def test_the_graders_keys_cannot_be_found(level: Level) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    key = libc.syscall(248, b"user", b"effkit-canary", SECRET.encode(), len(SECRET), -3)  # add_key, to the session's
    if key == -1:
        pytest.skip("this system lets nobody keep keys")
    with level.kernel() as ask:
        answer = ask(f"""
import ctypes
libc = ctypes.CDLL(None)
read = ctypes.create_string_buffer(99)
print(libc.syscall(250, 10, -3, b"user", b"effkit-canary", 0), libc.syscall(250, 11, {key}, read, 99))
""")
    assert answer == "-1 -1"


def test_no_descriptor_of_the_grader_is_open(level: Level) -> None:
    with level.kernel() as ask:
        answer = ask("""
import os, re, socket
targets, gone = set(), set()
for name in os.listdir("/proc/self/fd"):
    try:
        targets.add(re.sub(r"[0-9]+", "", os.readlink(f"/proc/self/fd/{name}")))
    except OSError:
        gone.add(name)
print(sorted(t for t in targets if not t.startswith(("anon_inode", "pipe", "socket:", "/dev/null", "/proc//fd"))))
unix = [line.split() for line in open("/proc/net/unix").read().splitlines()[1:]]
print(sorted({line[7] for line in unix if len(line) > 7}))
def network(s):
    return s.getsockopt(socket.SOL_SOCKET, 71, 8)  # the identity of the network namespace that a socket is of
foreign = []
for name in set(os.listdir("/proc/self/fd")) - gone:
    try:
        s = socket.socket(fileno=os.dup(int(name)))
    except OSError:
        continue
    if network(s) != network(socket.socket(socket.AF_UNIX)) and not s.getsockname().startswith("/s/k-"):
        foreign.append(name)  # the ends of the grader's own connections carry its network, and their name here
print(foreign)
""")
    files, sockets, foreign_sockets = answer.split("\n")
    assert foreign_sockets == "[]"
    assert files == "[]"
    assert sockets == "['/s/children', '/s/k-1', '/s/k-2', '/s/k-3', '/s/k-4', '/s/k-5']"


def test_no_cell_runs_before_the_limits_hold(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = [], Group._make

    def slow(*arguments: Any) -> None:
        time.sleep(1)
        real(*arguments)
        made.append(True)

    monkeypatch.setattr(Group, "_make", slow)
    with level.kernel():
        assert made


def test_signals_reach_nobody_else(level: Level) -> None:
    result = level.run(
        f"""
import os, signal
for pid in (os.getppid() or 1, {os.getpid()}, {os.getppid()}, -1):  # 0 would be its own group
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        try:
            os.kill(pid, number)
        except OSError:
            pass
print("alive")
""",
        "print('next')",
    )
    assert said(result) == ["alive", "next"]


STUBBORN = """
import signal, time
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
time.sleep(600)
"""


def test_no_process_stays(level: Level) -> None:
    marker = f"canary-{uuid.uuid4().hex}"
    with level.kernel() as ask:
        ask(f"""
import os, subprocess, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", {STUBBORN!r}, {marker!r}])
        os._exit(0)
time.sleep(1)
""")
        assert len(processes(marker)) == 3  # they were there, and can be seen from here
    assert processes(marker) == []


def processes(marker: str) -> list[str]:
    """Return the processes of the whole machine with a word in their command line."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if marker in Path("/proc", pid, "cmdline").read_text():
                found.append(pid)
        except OSError:
            pass
    return found


def test_a_fork_bomb_is_bounded(level: Level) -> None:
    result = level.run(
        """
import os, time
children = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
        children += 1
except OSError:
    print(0 < children <= 48)
""",
        "print('next')",
        limits=SMALL,
    )
    assert said(result)[0] in ("True", "DeadKernelError: This cell ended the Python process that it ran in.")


def test_one_process_that_takes_too_much_memory_gets_an_error(level: Level) -> None:
    result = level.run("kept = 1\nbytearray(2 * 10**9)", "kept")
    assert said(result) == ["MemoryError:", "1"]


def test_many_processes_that_take_too_much_memory_are_ended(level: Level) -> None:
    hog = """
import os, time
for _ in range(30):
    if os.fork() == 0:
        kept = bytearray(os.urandom(1000) * 100_000)
        time.sleep(600)
time.sleep(15)
print("unbounded")
"""
    result = level.run(hog, "print('next')")
    first, second = said(result)
    assert (
        first.startswith("DeadKernelError") or first == "unbounded"
    )  # a system that ends the children has ended the hog too
    assert second == "next"
    assert processes_memory() < 2**31


SHARED_PAGES = """
import mmap
kept = []
for _ in range(20):
    kept.append(mmap.mmap(-1, 60 * 2**20))
    kept[-1].write(b"x" * len(kept[-1]))
"""
NAMELESS_FILES = """
import os
kept = []
for number in range(20):
    kept.append(os.memfd_create(str(number)))
    for _ in range(60):
        os.write(kept[-1], bytes(2**20))
"""


@pytest.mark.parametrize("control_group", [True, False], ids=["control group", "no control group"])
@pytest.mark.parametrize("hog", [SHARED_PAGES, NAMELESS_FILES], ids=["shared pages", "nameless files"])
def test_memory_that_no_process_counts_as_its_own_is_bounded(
    level: Level, hog: str, control_group: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not control_group:
        monkeypatch.setattr("effkit.course.kernels.cgroup._parents", list)
    result = level.run(f"{hog}\nimport time; time.sleep(60)", "print('next')")
    first, second = said(result)
    assert first.startswith("DeadKernelError")
    assert second == "next"


def test_a_broken_pipe_and_a_file_that_is_full_are_errors_and_not_an_end(level: Level) -> None:
    result = level.run(
        f"""
import os
read, write = os.pipe()
os.close(read)
try:
    os.write(write, b"x")
except BrokenPipeError:
    print("broken pipe", end=" ")
try:
    os.truncate(open("large", "w").name, {SMALL.file_bytes + 1})
except OSError:
    print("file too large")
"""
    )
    assert said(result) == ["broken pipe file too large"]


def processes_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_files_can_take_only_so_much(level: Level) -> None:
    with level.kernel() as ask:
        answer = ask("""
import os
def fill(folder):
    total = 0
    try:
        for number in range(1000):
            with open(f"{folder}/{number}", "wb") as file:
                for _ in range(64):
                    total += file.write(bytes(2**20))
                    file.flush()
    except OSError:
        pass
    return total // 2**20
print([fill(folder) for folder in ("/tmp/work", "/dev/shm", "/s")])
""")
    assert answer == "[31, 8, 0]" or answer == "[32, 8, 0]"


def test_links_lead_nowhere(level: Level, course: Path) -> None:
    with level.kernel() as ask:
        answer = ask(f"""
import os
os.symlink({str(course / "gradebook.db")!r}, "link")
os.symlink("/usr", "/s/link")
print(os.path.exists("link"), os.path.exists("/s/link"))
""")
    assert answer == "False False"


def test_a_socket_replaced_by_a_link_leads_the_grader_nowhere(level: Level, tmp_path: Path) -> None:
    canary = socket.socket(socket.AF_UNIX)
    canary.bind(str(tmp_path / "canary"))
    canary.listen()
    canary.setblocking(False)
    result = level.run(
        f"""
import gc, os, zmq
for number in range(1, 6):
    os.unlink(f"/s/k-{{number}}")
    os.symlink({str(tmp_path / "canary")!r}, f"/s/k-{{number}}")
for thing in gc.get_objects():
    if isinstance(thing, zmq.Socket):
        try:
            thing.close(linger=0)
        except Exception:
            pass
""",
        "print('next')",
    )
    assert said(result)[1] == "next"
    with canary, pytest.raises(BlockingIOError):
        canary.accept()


def test_two_hundred_megabytes_of_output_fill_nothing(level: Level) -> None:
    before = processes_memory()
    result = level.run("for _ in range(200):\n    print('x' * 10**6)", "print('next')")
    assert said(result)[1] == "next"
    assert len(said(result)[0]) < 3 * 10**6
    assert processes_memory() - before < 300 * 2**20


def test_output_that_goes_round_the_kernels_own_limit_is_cut(level: Level) -> None:
    result = level.run(
        """
from IPython.display import display
for _ in range(300):
    display({"text/plain": "y" * 10**5}, raw=True)
""",
        "print('next')",
    )
    assert len(said(result)[0]) < 3 * 10**6
    assert "left out" in said(result)[0]
    assert said(result)[1] == "next"
    assert any("output was cut" in note for note in result.notes)


def test_a_message_too_large_to_read_costs_its_cell_at_most(level: Level) -> None:
    result = level.run(
        "from IPython.display import display\ndisplay({'text/plain': 'z' * 100_000_000}, raw=True)",
        "print('next')",
        limits=Limits(cell_seconds=20),
    )
    assert said(result)[1] == "next"


FORGE = """
import json, time
kernel = get_ipython().kernel
def forge(kind, content, parent=None, channel=None):
    parent = parent or kernel.get_parent("shell")
    kernel.session.send(channel or kernel.iopub_socket, kind, content, parent=parent, ident=b"x")
"""


def test_a_forged_end_of_a_cell_gains_nothing(level: Level) -> None:
    result = level.run(
        FORGE + "forge('status', {'execution_state': 'idle'})\ntime.sleep(0.5)\nprint('end')",
        "print('next')",
    )
    assert said(result) == ["end", "next"]


def test_forged_messages_of_any_shape_are_survived(level: Level) -> None:
    result = level.run(
        FORGE
        + """
deep = []
for _ in range(500):
    deep = [deep]
for kind in ("stream", "display_data", "execute_result", "error", "status", "clear_output",
             "update_display_data", "comm_open", "x" * 1000):
    for content in ({}, [], None, 7, "text", {"data": 3}, {"data": {"text/plain": deep}}, {"name": 3, "text": {}},
                    {"wait": "yes"}, {"execution_state": []}, {"ename": 1, "evalue": 2, "traceback": 3},
                    {"data": {"text/plain": float("nan")}, "metadata": 1},
                    {"data": {"text/plain": "\\ud800"}, "metadata": {}, "execution_count": 10**400}):
        try:
            forge(kind, content)
        except Exception:
            pass
from zmq import NOBLOCK
kernel.iopub_socket.send_multipart([b"no", b"message"])
kernel.iopub_socket.send_multipart([b"<IDS|MSG>", b"bad signature", b"{}", b"{}", b"{}", b"{}"])
print("end")
""",
        "print('next')",
    )
    assert said(result)[1] == "next"
    for output in result.notebook.cells[0].outputs:
        str(output).encode()  # it can be written to a file


def test_messages_for_other_cells_are_not_taken(level: Level) -> None:
    """Neither into a cell that is over nor, by a thread, under another id."""
    result = level.run(
        FORGE + "first = kernel.get_parent('shell')\nprint('one')",
        "forge('stream', {'name': 'stdout', 'text': 'forged'}, parent=first)\n"
        "forge('stream', {'name': 'stdout', 'text': 'forged'}, parent={'header': {'msg_id': 'x'}})\nprint('two')",
    )
    assert said(result) == ["one", "two"]


def test_kernels_do_not_see_each_other(level: Level) -> None:
    with level.kernel() as ann, level.kernel() as ben:
        ann(
            "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0here'); s.listen()\n"
            "open('/tmp/mine', 'w').write('1')"
        )
        answer = ben("""
import os, socket
try:
    socket.socket(socket.AF_UNIX).connect("\\0here")
    print("reached")
except OSError:
    print(os.path.exists("/tmp/mine"), os.getuid())
""")
        assert answer.startswith("False")
        if os.geteuid() == 0:
            assert answer.split()[1] != ann("import os; print(os.getuid())")


def test_without_bubblewrap_it_refuses_and_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (sandbox.level, sandbox._problem):
        function.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    try:
        with pytest.raises(CourseError, match="apt install bubblewrap") as refusal:
            execute(notebook("1"), seed=1)
        assert "--unsafe-no-sandbox" in str(refusal.value)
        assert execute(notebook("print(1)"), seed=1, unsafe=True).level == "none"
    finally:
        for function in (sandbox.level, sandbox._problem):
            function.cache_clear()


def test_the_end_of_the_grader_is_the_end_of_the_kernel(level: Level) -> None:
    marker = f"canary-{uuid.uuid4().hex}"
    pid = os.fork()
    if pid == 0:  # a grader of its own, which dies without a word
        with WarmProcess() as warm:
            kernel = Kernel(SMALL, {}, warm if level.warm else None, False)
            Asked(kernel)(
                "import subprocess, sys\n"
                f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {marker!r}])"
            )
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + 30
    while processes(marker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes(marker) == []


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_python_may_be_installed_below_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: bool
) -> None:
    """A clone in /tmp has its environment there, in the place where each submission gets an empty folder of its own."""
    place = Path("/tmp", f"effkit-test-{os.getpid()}")
    installed, beside = place / "venv" / "lib", place / "course.txt"
    installed.mkdir(parents=True)
    try:
        (installed / "module.py").write_text("found = 1")
        beside.write_text(SECRET)
        real = sandbox._python()
        monkeypatch.setattr(sandbox, "_python", lambda: [*real, installed])
        sandbox.arguments.cache_clear()
        with WarmProcess() if warm else nullcontext() as process:
            level = Level(sandbox.WARM if warm else sandbox.BUBBLEWRAP, process)
            with level.kernel() as ask:
                assert ask(f"print(open({str(installed / 'module.py')!r}).read())") == "found = 1"
                assert "FileNotFoundError" in ask(f"print(open({str(beside)!r}).read())")
                for folder in (place, installed):
                    assert "Read-only file system" in ask(f"open({str(folder / 'new')!r}, 'w')")
                assert ask("open('/tmp/own', 'w').write('x'); print('written')").endswith("written")
    finally:
        sandbox.arguments.cache_clear()
        shutil.rmtree(place)
