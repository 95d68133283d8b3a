"""Hostile submissions, from the small files in tests/data/hostile, and canaries around the course that they are to harm.

A file has all that `submissions` knows, and more: cells to `add`, `links`, `pipes` and files of any bytes beside or in the
place of the notebook, the `student`'s folder name. It says what the attack deserves: `scores` as ever, but for tasks that
are left `free`, which it may lose by its own doing; the `status`; `flags` and `findings` that a grader must be shown; and
what it `shows` when it has got to its end. Words between @ are filled in: see `Canaries.words`.
"""

import ctypes
import hashlib
import json
import os
import socket
import sqlite3
import stat
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import nbformat
from nbformat import NotebookNode

import effkit
from effkit.course.gradebook import Book
from effkit.course.nbgrader_api import nbgrader_api
from tests.course.submissions import ROOT, Submission, build, load

FOLDER = ROOT / "tests" / "data" / "hostile"
PREFIX = "canary-"


def names(lab: str) -> list[str]:
    return sorted(path.stem for path in (FOLDER / lab).glob("*.toml"))


@dataclass(frozen=True)
class Attack:
    """A hostile submission and what it deserves."""

    submission: Submission
    edits: dict[str, Any]

    @property
    def name(self) -> str:
        return self.submission.name

    @property
    def student(self) -> str:
        return str(self.edits.get("student", self.name))

    def put(self, course: Path) -> None:
        """Write the submission where nbgrader looks for it."""
        lab, edits = self.submission.lab, self.edits
        folder = course / "submitted" / self.student / lab
        if "links_folder" in edits:
            place = folder if edits["links_folder"]["what"] == "lab" else folder.parent
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(edits["links_folder"]["to"])
            return
        folder.mkdir(parents=True)
        notebook = folder / f"{lab}.ipynb"
        if "raw" in edits:
            notebook.write_text(edits["raw"] * edits.get("times", 1))
        elif "sparse_bytes" in edits:
            with notebook.open("wb") as file:
                file.truncate(edits["sparse_bytes"])
        elif edits.get("notebook", True):
            text = json.dumps(self.submission.notebook, ensure_ascii=False)  # not by nbformat, since it need not be valid
            notebook.write_bytes(text.encode(edits.get("encoding", "utf-8"), "replace"))
        for name, text in self.submission.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        for name, target in edits.get("links", {}).items():
            (folder / name).symlink_to(target)
        for name in edits.get("pipes", []):
            os.mkfifo(folder / name)
        for name in edits.get("folders", []):
            (folder / name).mkdir()


def attack(lab: str, name: str, words: dict[str, str]) -> Attack:
    """Read one attack, aimed at what `words` name."""
    text = (FOLDER / lab / f"{name}.toml").read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    edits = tomllib.loads(text)
    submission = build(lab, name, edits)
    notebook = submission.notebook
    for number, cell in enumerate(edits.get("add", [])):
        _add(notebook, cell, f"added-{number}")
    notebook.metadata.update(nbformat.from_dict(edits.get("notebook_metadata", {})))
    if padding := edits.get("padding_bytes"):
        code = next(cell for cell in notebook.cells if cell.cell_type == "code")
        code.outputs = [nbformat.v4.new_output("stream", name="stdout", text="x" * padding)]
    for cell, kind in edits.get("retype", {}).items():
        changed = next(c for c in notebook.cells if c.id == cell)
        changed.cell_type = kind
        if kind != "code":
            changed.pop("outputs", None)
            changed.pop("execution_count", None)
    if edits.get("old_format"):
        submission = Submission(**{**vars(submission), "notebook": nbformat.convert(notebook, 3)})
    return Attack(submission, edits)


def _add(notebook: NotebookNode, cell: dict[str, Any], identity: str) -> None:
    kind = cell.get("type", "code")
    extra = {"outputs": nbformat.from_dict(cell.get("outputs", []))} if kind == "code" else {}
    made = getattr(nbformat.v4, f"new_{kind}_cell")(cell["source"].strip("\n"), id=cell.get("id", identity), **extra)
    made.metadata = nbformat.from_dict(cell.get("metadata", {}))  # after the fact, since it need not be valid
    if "attachments" in cell:
        made["attachments"] = nbformat.from_dict(cell["attachments"])
    place = next(index for index, c in enumerate(notebook.cells) if c.id == cell.get("after", "setup")) + 1
    notebook.cells[place:place] = [made] * cell.get("times", 1)


@dataclass
class Canaries:
    """Secrets to be read, places to be written, listeners to be reached: what an attack would find without a sandbox."""

    course: Path
    home: Path
    temporary: Path
    lab: str
    marker: str = field(default_factory=lambda: f"left-{uuid.uuid4().hex}")
    secrets: dict[str, str] = field(default_factory=dict)  # by place

    @classmethod
    def around(cls, course: Path, home: Path, temporary: Path, lab: str, honest: tuple[str, ...]) -> Self:
        """Put secrets everywhere around a course with its solutions, and honest students with a secret of their own."""
        self = cls(course, home, temporary, lab)
        book = Book(nbgrader_api(course), lab)
        book._book.update_or_create_student(self.secret("gradebook"))
        book.close()
        for place in (
            course / "solutions" / lab / "notes.txt",
            course / "exam.txt",
            course / "submitted" / honest[0] / lab / "notes.txt",
            course.parent / "beside.txt",
            home / ".bashrc",
            home / ".ssh" / "id_rsa",
            home / ".config" / "token.txt",
            home / ".ipython" / "profile_default" / "startup" / "00-own.py",
        ):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"# {self.secret(str(place))}\n")
        for student in honest:
            submission = load(lab, "full")
            answer = next(cell for cell in submission.notebook.cells if cell.id == "wide_or_deep")
            answer.source = f"Wide and shallow. {self.secret(f'answer of {student}')}"
            folder = course / "submitted" / student / lab
            folder.mkdir(parents=True, exist_ok=True)
            nbformat.write(submission.notebook, folder / f"{lab}.ipynb")
        return self

    def secret(self, place: str) -> str:
        return self.secrets.setdefault(place, f"{PREFIX}{uuid.uuid4().hex}")

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Listen on every kind of socket that a student could reach from here."""
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        named, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        named.bind(str(self.temporary / "s"))
        abstract.bind(f"\0{self.marker}")
        named.listen()
        abstract.listen()
        with tcp, udp, named, abstract:
            self._listeners = {"tcp": tcp, "udp": udp, "unix": named, "abstract": abstract}
            for listener in self._listeners.values():
                listener.setblocking(False)
            yield self

    def reached(self) -> list[str]:
        """Return the kinds of sockets that somebody has reached since this was last asked."""
        found = []
        for kind, listener in self._listeners.items():
            try:
                listener.recv(100) if kind == "udp" else listener.accept()[0].close()
                found.append(kind)
            except BlockingIOError:
                pass
        return found

    def words(self) -> dict[str, str]:
        return {
            "COURSE": str(self.course),
            "HOME": str(self.home),
            "LAB": self.lab,
            "MARKER": self.marker,
            "PACKAGE": str(Path(effkit.__file__).parent),
            "SITE": str(Path(nbformat.__file__).parents[1]),
            "TMP": str(self.temporary),
            "TCP": str(self._listeners["tcp"].getsockname()[1]),
            "UDP": str(self._listeners["udp"].getsockname()[1]),
            "UNIX": str(self.temporary / "s"),
        }

    def environment(self) -> dict[str, str]:
        """Return the environment of a grader who keeps a secret there."""
        fonts = os.environ.get("MPLCONFIGDIR") or str(Path.home() / ".cache" / "matplotlib")
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "SECRET_TOKEN": self.secret("environment"),
            "MPLCONFIGDIR": fonts,  # a list of fonts takes seconds to make
        }

    def outside(self) -> dict[str, str]:
        """Return what lies outside of the folders that grading writes, by path: kind, rights and content."""
        written = {self.course / name for name in ("autograded", "feedback", "grades", "gradebook.db", "labs")}
        packages = (Path(effkit.__file__).parent, Path(nbformat.__file__).parents[1])
        found: dict[str, str] = {}
        for root in (self.course, self.home, self.temporary, *packages):
            for where, folders, files in os.walk(root):
                folders[:] = [name for name in folders if name != "__pycache__" and Path(where, name) not in written]
                for path in (Path(where, name) for name in files + folders):
                    if path not in written and not path.name.startswith(f"effkit-{os.getuid()}-"):
                        found[str(path)] = _described(path)
        for folder in ("/tmp", "/var/tmp", "/dev/shm", "/etc", "/etc/cron.d", "/", os.getcwd(), str(Path.home())):
            found |= {f"{folder}: {name}": "" for name in os.listdir(folder) if self.marker in name}
        return found

    def secrets_in(self, folder: Path) -> dict[str, set[str]]:
        """Return the files in a folder that hold secrets, and whose."""
        found: dict[str, set[str]] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                if PREFIX.encode() in content:
                    found[str(path.relative_to(folder))] = {
                        place for place, secret in self.secrets.items() if secret.encode() in content
                    }
        return {path: places for path, places in found.items() if places}

    def gradebook(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.course / "gradebook.db")) as database:
            return database.execute(query).fetchall()


def _described(path: Path) -> str:
    status = path.lstat()
    about = f"{stat.filemode(status.st_mode)} {status.st_uid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{about} {os.readlink(path)}"
    if not stat.S_ISREG(status.st_mode):
        return about
    small = status.st_size < 2**16
    return f"{about} {status.st_size} {hashlib.sha256(path.read_bytes()).hexdigest() if small else status.st_mtime_ns}"


@contextmanager
def adopting() -> Iterator[None]:
    """Become the parent of every process below this one whose own parent ends, so that none can hide."""
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(36, 0, 0, 0, 0)


def descendants() -> dict[int, str]:
    """Return the processes below this one and their command lines; those that have ended are let go."""
    parents: dict[int, int] = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            state, parent = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(parent) == os.getpid():
            with suppress(ChildProcessError):
                os.waitpid(int(name), os.WNOHANG)
            continue
        parents[int(name)] = int(parent)
    found: dict[int, str] = {}
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid() != pid:
            found[pid] = _command(pid)
    return found


def _command(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
