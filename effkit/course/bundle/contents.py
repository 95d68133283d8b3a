"""The files of a student bundle, by their path in it. Nothing is written here."""

import json
from pathlib import Path
from string import Template

import effkit
from effkit.course.bundle.texts import source_of
from effkit.course.bundle.wheel import build_wheel
from effkit.course.errors import CourseError
from effkit.course.source import Course

_TEMPLATE = Path("effkit", "course", "bundle", "student_readme.md")
_OWN_EFFKIT = "-e .[course]"
_LICENCES = ("LICENSE", "LICENSE-notebooks")


def bundle(course: Course, labs: list[str]) -> dict[str, bytes]:
    """Return the student bundle of a course with these labs."""
    lab_files = {path: _read(course.root / path) for path in (f"labs/{lab}/{lab}.ipynb" for lab in labs)}
    lectures = {path: _read(course.root / path) for path in (f"lectures/{name}.ipynb" for name in course.lectures())}
    wheel, content = build_wheel(course.root, lab_files)
    install = f"./{wheel}[lab]"
    pages = {
        "README.md": _readme(course, lectures, lab_files, labs[0]),
        "environment.yml": _environment(_read(course.root / "environment.yml").decode(), install),
        "requirements.txt": f"# effkit as it comes with the course, and what it needs. Run pip in this folder.\n{install}\n",
    }
    files = lectures | lab_files | {wheel: content} | {name: _read(course.root / name) for name in _LICENCES}
    return dict(sorted((files | {name: text.encode() for name, text in pages.items()}).items()))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as problem:
        raise CourseError(f"there is no {path}: run `make notebooks`, or get it back from git") from problem


def _environment(text: str, install: str) -> str:
    """Return the course's conda environment with the bundle's wheel in place of the course folder."""
    if text.count(_OWN_EFFKIT) != 1:
        raise CourseError(
            f"environment.yml must install effkit by one line `- {_OWN_EFFKIT}`: the bundle's own is made from it"
        )
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
    return "".join(lines).replace(_OWN_EFFKIT, install)


def _readme(course: Course, lectures: dict[str, bytes], labs: dict[str, bytes], example: str) -> str:
    template = Template(_read(course.root / _TEMPLATE).decode())
    try:
        return template.substitute(
            version=effkit.__version__,
            repository=course.repository,
            lectures=_table(lectures),
            labs=_table(labs),
            lab=example,
        )
    except (KeyError, ValueError) as problem:
        raise CourseError(f"{_TEMPLATE} has a $ that stands for nothing: {problem}") from problem


def _table(notebooks: dict[str, bytes]) -> str:
    return "\n".join(f"- [{path}]({path}): {_title(content)}" for path, content in notebooks.items()) or "(none yet)"


def _title(content: bytes) -> str:
    """Return the title of a notebook, which its first cell begins with."""
    try:
        return source_of(json.loads(content)["cells"][0]).splitlines()[0].removeprefix("# ")
    except (ValueError, KeyError, IndexError, TypeError):
        return "(no title)"
