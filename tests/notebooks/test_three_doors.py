"""A notebook opens by three doors: JupyterLab, Colab and the web site. What each needs from every committed notebook."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

import effkit
from effkit.grading.tasks import tasks_of
from tests.notebooks.colab_stand_in import Colab, Visit, errors, printed
from tests.notebooks.committed import NOTEBOOKS, PROJECT, REPOSITORY, ROOT, SOLUTIONS, STUDENT_LABS, cells_of, each, read
from tests.notebooks.rules.text import headings

BRANCH = PROJECT["tool"]["effkit"]["branch"]
OWNER_AND_NAME = REPOSITORY.removeprefix("https://github.com/")

COLAB_LAB = "lab2_parameters"


def is_check(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade", False)


def check_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if is_check(cell)]


def test_each_lab_has_its_two_notebooks_and_there_are_no_others() -> None:
    found = {path.relative_to(ROOT) for folder in ("labs", "solutions") for path in (ROOT / folder).glob("*/*.ipynb")}
    assert found == {*STUDENT_LABS, *SOLUTIONS}


# -- the Colab door -----------------------------------------------------------------------------------------------------


def solved_lab() -> str:
    """Return the student's notebook with each stub replaced by the solution."""
    notebook = read(Path("labs", COLAB_LAB, f"{COLAB_LAB}.ipynb"))
    solutions = {cell.id: cell.source for cell in read(Path("solutions", COLAB_LAB, f"{COLAB_LAB}.ipynb")).cells}
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = solutions[cell.id]
    return nbformat.writes(notebook)


@pytest.fixture(scope="module")
def unsolved(colab: Colab) -> Visit:
    return colab.open("unsolved.ipynb", (ROOT / "labs" / COLAB_LAB / f"{COLAB_LAB}.ipynb").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def solved(colab: Colab) -> Visit:
    return colab.open("solved.ipynb", solved_lab())


def verdicts(visit: Visit) -> dict[str, tuple[float, str]]:
    """Return the score that each check shows, and its findings."""
    shown = {cell.id: [output.get("data", {}) for output in cell.outputs] for cell in check_cells(visit.notebook)}
    return {cell_id: (float(data["text/plain"]), data["text/html"]) for cell_id, (data,) in shown.items()}


@pytest.mark.parametrize("lab", ["unsolved", "solved"])
def test_colab_gets_effkit_and_no_other_package_changes(lab: str, request: pytest.FixtureRequest) -> None:
    visit = request.getfixturevalue(lab)
    assert "effkit" not in visit.before
    assert visit.after == visit.before | {"effkit": effkit.__version__}, printed(visit.cell("setup"))


@pytest.mark.parametrize("lab", ["unsolved", "solved"])
def test_on_colab_a_notebook_needs_and_leaves_no_file(lab: str, request: pytest.FixtureRequest) -> None:
    assert request.getfixturevalue(lab).files == [f"{lab}.ipynb"]


@pytest.mark.parametrize("lab", ["unsolved", "solved"])
def test_on_colab_the_first_cell_reminds_to_save_a_copy(lab: str, request: pytest.FixtureRequest) -> None:
    assert "File > Save a copy in Drive" in printed(request.getfixturevalue(lab).cell("setup"))


def test_on_colab_every_check_of_the_unsolved_lab_says_so(unsolved: Visit) -> None:
    found = verdicts(unsolved)
    assert list(found) == [task.name for task in tasks_of(COLAB_LAB)]
    assert {score for score, _ in found.values()} == {0}
    assert [task for task, (_, findings) in found.items() if "Not solved yet" not in findings] == []


def test_on_colab_only_cells_that_use_an_unsolved_function_fail(unsolved: Visit) -> None:
    assert set(errors(unsolved).values()) <= {"NotImplementedError", "NameError"}
    given = [cell.id for cell in unsolved.notebook.cells if "nbgrader" in cell.metadata or "progress(" in cell.source]
    assert [cell_id for cell_id in given if cell_id in errors(unsolved)] == []


def test_on_colab_the_solved_lab_earns_all_points(solved: Visit) -> None:
    assert errors(solved) == {}
    assert {task: score for task, (score, _) in verdicts(solved).items()} == {t.name: t.points for t in tasks_of(COLAB_LAB)}
    assert sum(score for score, _ in verdicts(solved).values()) == 30


# -- the other doors: nothing to install --------------------------------------------------------------------------------

RUN_CELL = """\
import sys
from IPython.core.interactiveshell import InteractiveShell

def pip(line):
    raise AssertionError(f"%pip {line}")

assert "google.colab" not in sys.modules
shell = InteractiveShell()
shell.register_magic_function(pip, magic_name="pip")
shell.run_cell(sys.stdin.read()).raise_error()
"""


def test_elsewhere_the_first_cell_does_nothing(tmp_path: Path) -> None:
    cell = cells_of(STUDENT_LABS[0], "code")[0]
    environment = os.environ | {"IPYTHONDIR": str(tmp_path)}
    environment.pop("VIRTUAL_ENV", None)  # IPython warns of one that is not its own
    run = subprocess.run(
        [sys.executable, "-c", RUN_CELL], input=cell.source, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# -- badges and the address ---------------------------------------------------------------------------------------------


def students_path(path: Path) -> Path:
    """Return the notebook that a student opens: of a solution, the lab."""
    return Path("labs", *path.parts[1:]) if path.parts[0] == "solutions" else path


@each(NOTEBOOKS)
def test_badge_opens_the_students_notebook(path: Path) -> None:
    target = students_path(path)
    links = re.findall(r"\]\((https://colab\.research\.google\.com/github/[^)]*)\)", read(path).cells[0].source)
    assert links == [f"https://colab.research.google.com/github/{OWNER_AND_NAME}/blob/{BRANCH}/{target.as_posix()}"]
    assert (ROOT / target).is_file()


def test_first_code_cell_is_the_same_in_all_notebooks() -> None:
    sources = {cells_of(path, "code")[0].source for path in NOTEBOOKS}
    assert len(sources) == 1
    assert f'"effkit @ git+{REPOSITORY}@v{effkit.__version__}"' in sources.pop()


def test_only_pyproject_and_the_readme_hold_the_address() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [name for name in tracked.split("\0") if name and not name.endswith(".ipynb") and (ROOT / name).is_file()]
    address = re.compile(rf"(github|github\.com|githubusercontent\.com|gh)[/:]{re.escape(OWNER_AND_NAME)}(?![\w-])".encode())
    holders = {name for name in paths if address.search((ROOT / name).read_bytes())}
    assert holders - {"README.md"} == {"pyproject.toml"}


# -- what every notebook keeps to ---------------------------------------------------------------------------------------


@each(NOTEBOOKS)
def test_headings_begin_with_the_only_title_and_skip_no_level(path: Path) -> None:
    levels = [level for level, _ in headings(read(path))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert [(above, below) for above, below in pairwise(levels) if below > above + 1] == []


@each(NOTEBOOKS)
def test_notebook_has_sixty_cells_at_most(path: Path) -> None:
    assert len(read(path).cells) <= 60


@each(NOTEBOOKS)
def test_cell_ids_are_unique_and_those_of_nbgrader(path: Path) -> None:
    cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]  # nbformat would give new ids to the copies
    assert len({cell["id"] for cell in cells}) == len(cells)
    grade_ids = {cell["id"]: cell["metadata"]["nbgrader"]["grade_id"] for cell in cells if "nbgrader" in cell["metadata"]}
    assert {cell_id: grade_id for cell_id, grade_id in grade_ids.items() if cell_id != grade_id} == {}


@each(NOTEBOOKS)
def test_no_jupytext_metadata(path: Path) -> None:
    notebook = read(path)
    assert "jupytext" not in notebook.metadata
    assert [cell.id for cell in notebook.cells if "jupytext" in cell.metadata] == []


@each(STUDENT_LABS)
def test_labs_have_never_been_run(path: Path) -> None:
    assert [cell.id for cell in cells_of(path, "code") if cell.outputs or cell.execution_count is not None] == []


def solution_lines(path: Path) -> list[str]:
    """Return the lines between the solution marks, without those too short to tell anything, such as ``}``."""
    text = "\n".join(cell.source for cell in read(path).cells)
    blocks = re.findall(r"(?ms)^ *### BEGIN SOLUTION$(.*?)^ *### END SOLUTION$", text)
    return [line.strip() for block in blocks for line in block.splitlines() if len(line.strip()) > 10]


@each(STUDENT_LABS)
def test_labs_hold_no_line_of_a_solution(path: Path) -> None:
    file = (ROOT / path).read_text(encoding="utf-8")
    lines = solution_lines(Path("solutions", *path.parts[1:]))
    assert len(lines) >= len(tasks_of(path.stem))
    assert [line for line in lines if json.dumps(line, ensure_ascii=False)[1:-1] in file] == []
    assert "BEGIN SOLUTION" not in file
    assert "END SOLUTION" not in file


@each(SOLUTIONS)
def test_solutions_leave_nothing_to_implement(path: Path) -> None:
    assert "NotImplementedError" not in (ROOT / path).read_text(encoding="utf-8")


@each([*STUDENT_LABS, *SOLUTIONS])
def test_prompts_and_check_cells_give_the_points_of_the_tasks(path: Path) -> None:
    expected = [(task.name, task.points) for task in tasks_of(path.stem)]
    prose = "\n".join(cell.source for cell in cells_of(path, "markdown"))
    prompts = re.findall(r"\*\*Task `(\w+)` \((\d+) points?\)\.\*\*", prose)
    assert [(name, int(points)) for name, points in prompts] == expected
    assert [(cell.id, cell.metadata.nbgrader.points) for cell in check_cells(read(path))] == expected


@each([*STUDENT_LABS, *SOLUTIONS])
def test_questions_read_by_a_person_state_their_points(path: Path) -> None:
    cells = read(path).cells
    for prompt, answer in pairwise(cells):
        if answer.cell_type == "markdown" and answer.metadata.get("nbgrader", {}).get("grade"):
            assert f"**Question ({answer.metadata.nbgrader.points} point" in prompt.source


@each([*STUDENT_LABS, *SOLUTIONS])
def test_labs_end_with_the_progress_cell(path: Path) -> None:
    last = read(path).cells[-1]
    assert last.cell_type == "code"
    assert last.source.splitlines()[-1] == f'progress("{path.stem}")'


@each([*STUDENT_LABS, *SOLUTIONS])
def test_hints_follow_every_check(path: Path) -> None:
    cells = read(path).cells
    following = {cell.id: after for cell, after in pairwise(cells) if is_check(cell)}
    without = [i for i, after in following.items() if after.cell_type != "markdown" or "<details>" not in after.source]
    assert (without, len(following)) == ([], len(tasks_of(path.stem)))
