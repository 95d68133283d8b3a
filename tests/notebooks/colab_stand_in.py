"""A stand-in for Google Colab: the packages of this environment without effkit, a `google.colab`, and GitHub on the disk."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbformat import NotebookNode

# Runs before the notebook does. Another package may bring a `google` of its own, which must go on working.
_STARTUP = """\
import sys
from types import ModuleType

try:
    import google
except ModuleNotFoundError:
    google = sys.modules["google"] = ModuleType("google")
google.colab = sys.modules["google.colab"] = ModuleType("google.colab")
"""
_NEWCOMER = "effkit-test-newcomer"


@dataclass(frozen=True)
class Visit:
    """What a notebook did on Colab: its cells with their outputs, the packages by version, the files in its folder."""

    notebook: NotebookNode
    before: dict[str, str]
    after: dict[str, str]
    files: list[str]

    def cell(self, cell_id: str) -> NotebookNode:
        return next(cell for cell in self.notebook.cells if cell.id == cell_id)

    def seconds(self) -> float:
        """Return how long the cells took, the first one apart, which installs effkit."""
        times = [cell.metadata.execution for cell in self.notebook.cells if "execution" in cell.metadata][1:]
        spent = [_time(each["shell.execute_reply"]) - _time(each["iopub.status.busy"]) for each in times]
        return sum(each.total_seconds() for each in spent)


def errors(visit: Visit) -> dict[str, str]:
    """Return the exception of each cell that ended with one."""
    outputs = ((cell.id, output) for cell in visit.notebook.cells for output in cell.get("outputs", []))
    return {cell_id: output.ename for cell_id, output in outputs if output.output_type == "error"}


def printed(cell: NotebookNode, *names: str) -> str:
    """Return what a cell wrote on stdout and stderr, or on those of the two that are named."""
    streams = (output for output in cell.get("outputs", []) if output.output_type == "stream")
    return "".join(output.text for output in streams if not names or output.name in names)


class Colab:
    """Opens notebooks in an environment that does not have effkit; `repository` is served from `course` at `tag`."""

    def __init__(self, folder: Path, course: Path, repository: str, tag: str) -> None:
        self._folder = folder
        self._environment = _environment(folder, repository)
        self._python = _make_python(folder)
        _make_kernel(folder, self._python)
        _make_repository(folder / "github" / repository.rpartition("/")[2], course, tag, self._environment)
        _make_newcomer(folder / "wheels")
        code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('effkit') is not None)"
        subprocess.run([self._python, "-c", code], cwd=folder, env=self._environment, check=True)

    def open(self, name: str, text: str) -> Visit:
        """Run a notebook alone in a new folder, every cell to the end; afterwards effkit is taken away again."""
        content = self._folder / "content" / Path(name).stem
        content.mkdir(parents=True)
        (content / name).write_text(text, encoding="utf-8")
        notebook = nbformat.read(content / name, as_version=4)
        before = self._packages()
        self._execute(notebook, content)
        visit = Visit(notebook, before, self._packages(), sorted(path.name for path in content.iterdir()))
        self._pip("uninstall", "--quiet", "--yes", "effkit")
        return visit

    def _execute(self, notebook: NotebookNode, content: Path) -> None:
        kernels = KernelSpecManager(kernel_dirs=[str(self._folder / "kernels")])
        # With a manager that is not asynchronous, the client would wait for ever for a kernel that died.
        kernel = AsyncKernelManager(kernel_name="colab", kernel_spec_manager=kernels)
        where = {"metadata": {"path": str(content)}}
        limits = {"timeout": 300, "startup_timeout": 120}
        client = NotebookClient(
            notebook, km=kernel, resources=where, allow_errors=True, shutdown_kernel="immediate", **limits
        )
        client.execute(env=self._environment, cleanup_kc=True)

    def _packages(self) -> dict[str, str]:
        return {package["name"]: package["version"] for package in json.loads(self._pip("list", "--format=json"))}

    def _pip(self, *arguments: str) -> str:
        command = [self._python, "-m", "pip", *arguments]
        run = subprocess.run(command, cwd=self._folder, env=self._environment, check=True, stdout=subprocess.PIPE, text=True)
        return run.stdout


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _environment(folder: Path, repository: str) -> dict[str, str]:
    """Return the variables under which Colab runs: git reads no settings but the one that redirects the repository."""
    local = ("GIT_", "PYTEST_", "PYTHON", "IPYTHON", "EFFKIT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(local)}
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(folder / 'github').as_uri()}/.insteadOf",
        "GIT_CONFIG_VALUE_0": repository.rpartition("/")[0] + "/",
        "IPYTHONDIR": str(folder / "ipython"),
        "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {folder / 'wheels'}".strip(),
    }


def _make_python(folder: Path) -> str:
    """Make an environment that sees every installed package but effkit, and return its Python.

    The packages are links in a folder of their own, outside the new environment, so that whatever pip does there, it
    installs into the new environment and leaves the links alone.
    """
    venv, packages = folder / "venv", folder / "packages"
    packages.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if "effkit" not in entry.name:
                (packages / entry.name).symlink_to(entry)
    new_site = sysconfig.get_path("purelib", "venv", {"base": str(venv), "platbase": str(venv)})
    Path(new_site, "packages.pth").write_text(f"{packages}\n", encoding="utf-8")
    return str(Path(sysconfig.get_path("scripts", "venv", {"base": str(venv)}), "python"))


def _make_kernel(folder: Path, python: str) -> None:
    command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Colab", "language": "python"}
    files = {"kernels/colab/kernel.json": json.dumps(spec), "ipython/profile_default/startup/00-colab.py": _STARTUP}
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text, encoding="utf-8")


def _make_repository(folder: Path, course: Path, tag: str, environment: dict[str, str]) -> None:
    """Commit and tag what effkit is built from. There it also depends on a package that Colab does not have."""
    shutil.copytree(course / "effkit", folder / "effkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(course / "labs", folder / "labs")
    for name in ("README.md", "LICENSE"):
        shutil.copy(course / name, folder)
    project = (course / "pyproject.toml").read_text(encoding="utf-8")
    project, changed = re.subn(r"(?m)^dependencies = \[", rf'\g<0>"{_NEWCOMER}", ', project)
    assert changed == 1, "pyproject.toml has no line that begins with 'dependencies = ['"
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    author = ["-c", "user.name=Course", "-c", "user.email=course@example.org"]
    for command in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "-m", tag], ["tag", tag]):
        subprocess.run(["git", *command], cwd=folder, env=environment, check=True)


def _make_newcomer(folder: Path) -> None:
    """Make an empty package for pip to find: it arrives on Colab if the notebook installs effkit's dependencies."""
    folder.mkdir()
    name = _NEWCOMER.replace("-", "_")
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {_NEWCOMER}\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(f"{name}-1.0.dist-info/{file}", text)
