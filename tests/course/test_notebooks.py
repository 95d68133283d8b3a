"""The notebook build: same source, same bytes; nothing but the lab is released; nobody's work is lost."""

import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from effkit.course.nbgrader_api import CourseError
from effkit.course.notebooks import build, build_solution, stale, write
from effkit.course.source import Course
from effkit.grading.tasks import LABS
from tests.course.conftest import ROOT, run

LAB = "lab2_parameters"
NOTEBOOK = Path("labs", LAB, f"{LAB}.ipynb")


@pytest.fixture(scope="module")
def everything() -> dict[Path, str]:
    return build(Course.read(ROOT))


@pytest.fixture(scope="module")
def built(everything: dict[Path, str]) -> dict[Path, str]:
    """The notebooks of the labs; test_lectures.py has tests of lectures."""
    return {path: text for path, text in everything.items() if path.parts[0] != "lectures"}


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A copy of the course without its lectures, under git, everything committed."""
    for name in ("labs", "solutions"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.bak*"))
    for name in ("pyproject.toml", "nbgrader_config.py"):
        shutil.copy(ROOT / name, tmp_path)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return Course.read(tmp_path)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "state")


def work_in(path: Path) -> str:
    """Answer a task in a lab, as a student does, and return the file's text."""
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "linear_params-solution")
    cell.source = "def linear_params(in_features, out_features, bias):\n    return 42"
    nbformat.write(notebook, path)
    return path.read_text()


def test_committed_notebooks_are_what_their_sources_give(everything: dict[Path, str]) -> None:
    assert stale(Course.read(ROOT), everything) == [], "run `make notebooks` and commit the result"
    assert {path.stem for path in everything if path.parts[0] == "labs"} == set(LABS)


def test_the_build_is_deterministic(built: dict[Path, str]) -> None:
    course = Course.read(ROOT)
    assert build_solution(course, LAB) == built[Path("solutions", LAB, f"{LAB}.ipynb")]


def test_work_that_is_not_committed_is_never_overwritten(course: Course, built: dict[Path, str]) -> None:
    mine = work_in(course.root / NOTEBOOK)
    before = (course.root / "solutions" / LAB / f"{LAB}.ipynb").read_text()
    (course.root / "solutions" / LAB / f"{LAB}.ipynb").write_text(before.replace("Lab 2", "Lab two"))
    with pytest.raises(CourseError, match="hold changes that are not committed") as refusal:
        write(course, built)
    assert str(NOTEBOOK) in str(refusal.value)
    assert "FORCE=1" in str(refusal.value)
    assert (course.root / NOTEBOOK).read_text() == mine
    assert "Lab two" in (course.root / "solutions" / LAB / f"{LAB}.ipynb").read_text()  # nothing at all was written


def test_with_force_the_work_is_kept_beside_the_new_notebook(course: Course, built: dict[Path, str]) -> None:
    for number in ("", "2"):
        mine = work_in(course.root / NOTEBOOK)
        write(course, built, force=True)
        assert (course.root / NOTEBOOK).read_text() == built[NOTEBOOK]
        assert (course.root / f"{NOTEBOOK}.bak{number}").read_text() == mine


def test_work_that_git_has_is_replaced(course: Course, built: dict[Path, str]) -> None:
    work_in(course.root / NOTEBOOK)
    commit(course.root)
    assert write(course, built) == [NOTEBOOK]


def test_what_a_build_wrote_is_replaced_without_asking(course: Course, built: dict[Path, str]) -> None:
    """Two builds in a row need no commit in between."""
    source = course.root / "solutions" / LAB / f"{LAB}.py"
    source.write_text(source.read_text().replace("About 75 minutes.", "About 80 minutes."))
    assert len(write(course, build(course))) == 2
    assert len(write(course, built)) == 2


def test_running_a_lab_without_changing_it_is_no_work_to_lose(course: Course, built: dict[Path, str]) -> None:
    notebook = nbformat.read(course.root / NOTEBOOK, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="ran")]
    nbformat.write(notebook, course.root / NOTEBOOK)
    assert write(course, built) == [NOTEBOOK]


def test_changed_metadata_is_work_too(course: Course, built: dict[Path, str]) -> None:
    notebook = nbformat.read(course.root / NOTEBOOK, as_version=4)
    notebook.cells[4].metadata["tags"] = ["mine"]
    nbformat.write(notebook, course.root / NOTEBOOK)
    with pytest.raises(CourseError, match="not committed"):
        write(course, built)


def test_a_folder_or_another_file_in_the_way_is_kept(course: Course, built: dict[Path, str]) -> None:
    for make in (lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff\xfe not a notebook")):
        (course.root / NOTEBOOK).unlink(missing_ok=True)
        make(course.root / NOTEBOOK)
        with pytest.raises(CourseError, match="not committed"):
            write(course, built)
        write(course, built, force=True)
        assert (course.root / NOTEBOOK).read_text() == built[NOTEBOOK]


def test_outside_git_work_is_kept_too(course: Course, built: dict[Path, str]) -> None:
    shutil.rmtree(course.root / ".git")
    work_in(course.root / NOTEBOOK)
    with pytest.raises(CourseError, match="not committed"):
        write(course, built)


def test_plain_nbgrader_releases_the_same_lab_and_nothing_beside_it(course: Course) -> None:
    shutil.rmtree(course.root / "labs")
    (course.root / "solutions" / LAB / "answers.csv").write_text("60954656")
    result = run(course.root, "nbgrader", "generate_assignment", LAB)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (course.root / "labs" / LAB).iterdir()] == [f"{LAB}.ipynb"]
    assert (course.root / NOTEBOOK).read_text() == (ROOT / NOTEBOOK).read_text()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("# %% [markdown]\n# ## 5.", "# %% markdown\n# ## 5.", "not a cell header"),
        ("    return 2 * num_features", "# %% a line of code\n    return 2 * num_features", "not a cell header"),
        ("# %% [markdown]\n# # Lab 2", "# %% [markdown]\n# Lab 2", "first cell must be markdown with the title"),
        ('"grade_id": "norm_params", "grade": true', '"grade_id": "norms", "grade": true', "has no task of that name"),
    ],
)
def test_a_mistake_in_a_source_is_named_with_its_place(course: Course, old: str, new: str, complaint: str) -> None:
    source = course.root / "solutions" / LAB / f"{LAB}.py"
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    with pytest.raises(CourseError, match=complaint) as problem:
        build_solution(course, LAB)
    assert f"{LAB}.py" in str(problem.value)
