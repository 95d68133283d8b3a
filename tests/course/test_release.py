"""The student bundle: what is in it, that it works where nothing else is, and every reason for which there is none."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml

import effkit
from effkit.course.bundle import place, proof
from effkit.course.bundle.texts import unpacked
from effkit.course.cli import main
from effkit.course.errors import CourseError
from effkit.course.notebooks import build, write
from effkit.course.release import Released, not_fresh, objections, release
from effkit.course.source import Course
from effkit.grading.answers import MIME
from tests.course.conftest import ROOT, run
from tests.course.submissions import solution_sources

LAB = "lab2_parameters"
LECTURE = "lectures/07_roofline.ipynb"
NOTEBOOK = f"labs/{LAB}/{LAB}.ipynb"
SOLUTION = f"solutions/{LAB}/{LAB}.ipynb"
TOP = f"effkit-course-{effkit.__version__}"
WHEEL = f"effkit-{effkit.__version__}-py3-none-any.whl"
HINT = "cell-06"  # the markdown cell with the hints of the first task
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.bak*", ".ipynb_checkpoints")


def copy_course(folder: Path) -> Path:
    """Copy all of the course that a release reads."""
    for name in ("effkit", "labs", "lectures", "solutions"):
        shutil.copytree(ROOT / name, folder / name, ignore=NOT_COPIED)
    for name in ("nbgrader_config.py", "pyproject.toml", "environment.yml", "README.md", "LICENSE", "LICENSE-notebooks"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A release of the course as it is, made once by the command."""
    course = copy_course(tmp_path_factory.mktemp("course"))
    done = run(course, "effkit", "release")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = course / "release" / TOP
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return SimpleNamespace(
        course=course, said=done.stdout, folder=folder, zip=course / "release" / f"{TOP}.zip", files=files
    )


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A copy of the course that a test may break."""
    return copy_course(tmp_path / "course")


def quietly(root: Path, output: Path | None = None, labs: tuple[str, ...] = ()) -> Released:
    return release(root, output, labs, unsafe=False, say=lambda line: None)


@pytest.fixture
def without_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be executed, where a test is about something else."""
    monkeypatch.setattr(proof, "prove", lambda *arguments, **options: iter(()))


def rewrite(path: Path, change: Callable[[nbformat.NotebookNode], None]) -> None:
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def cell_of(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == name)


# -- a good course ------------------------------------------------------------------------------------------------------


def test_the_bundle_holds_what_students_need_and_nothing_else(good: SimpleNamespace) -> None:
    lectures = {f"lectures/{name}.ipynb" for name in Course.read(ROOT).lectures()}
    labs = {f"labs/{lab}/{lab}.ipynb" for lab in Course.read(ROOT).labs()}
    pages = {"README.md", "LICENSE", "LICENSE-notebooks", "environment.yml", "requirements.txt"}
    assert set(good.files) == lectures | labs | pages | {WHEEL}
    for path in lectures | labs:
        assert good.files[path] == (ROOT / path).read_bytes()


def test_the_zip_holds_the_same(good: SimpleNamespace) -> None:
    with zipfile.ZipFile(good.zip) as archive:
        assert archive.namelist() == sorted(f"{TOP}/{name}" for name in good.files)
        assert {name: archive.read(f"{TOP}/{name}") for name in good.files} == good.files
        assert {member.external_attr >> 16 for member in archive.infolist()} == {0o100644}


def test_each_check_is_told(good: SimpleNamespace) -> None:
    assert f"{SOLUTION} (seed 0): 30 of 30 points in 11 checks" in good.said
    assert f"{SOLUTION} (seed 1): 30 of 30 points in 11 checks" in good.said
    assert f"{NOTEBOOK} (seed 0): 0 of 30 points in 11 checks" in good.said
    assert str(good.folder) in good.said.splitlines()[-1]


@pytest.mark.usefixtures("without_proof")
def test_the_same_course_gives_the_same_bytes(good: SimpleNamespace, tmp_path: Path, course: Path) -> None:
    for path in course.rglob("*"):
        os.utime(path, (10**9, 10**9))
    (course / "effkit" / "energy.py").chmod(0o600)
    done = quietly(course, tmp_path / "out")
    assert done.refusals == []
    assert done.archive.read_bytes() == good.zip.read_bytes()


def test_nothing_is_left_beside_the_bundle(good: SimpleNamespace) -> None:
    assert sorted(path.name for path in good.folder.parent.iterdir()) == [TOP, f"{TOP}.zip"]


def test_the_wheel_works_where_nothing_else_of_the_course_is(good: SimpleNamespace, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(tmp_path)]
    subprocess.run([*pip, str(good.folder / WHEEL)], check=True, timeout=120)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=good.folder, env=env, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert python("-c", "import effkit; print(effkit.__file__)").startswith(str(tmp_path))
    assert "nothing found (lab2_parameters)" in python("-m", "effkit", "doctor", NOTEBOOK)
    assert sorted(path.parent.name for path in tmp_path.glob("effkit/course/labs/*/*.ipynb")) == [LAB]


def test_validate_works_without_the_course_s_configuration(good: SimpleNamespace, tmp_path: Path) -> None:
    def solve(notebook: nbformat.NotebookNode) -> None:
        for name, source in solution_sources(LAB).items():
            cell_of(notebook, name).source = source

    def validate() -> str:
        programs = Path(sys.executable).parent
        command = [str(programs / "nbgrader"), "validate", NOTEBOOK]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300).stdout

    shutil.copytree(good.folder, tmp_path, dirs_exist_ok=True)
    assert "VALIDATION FAILED ON 12 CELL(S)" in validate()  # 11 checks and the written question
    rewrite(tmp_path / NOTEBOOK, solve)
    assert validate().startswith("Success!")


def test_the_readme_is_right_about_the_bundle_it_lies_in(good: SimpleNamespace) -> None:
    readme = good.files["README.md"].decode()
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert {path for path in good.files if path.endswith(".ipynb")} == set(links)
    assert f"effkit doctor {NOTEBOOK}" in readme
    assert f"`effkit` {effkit.__version__}" in readme
    assert "Lab 2: How many parameters, how many bytes?" in readme
    assert "$" not in readme


def test_both_ways_to_install_take_the_bundle_s_own_wheel(good: SimpleNamespace) -> None:
    environment = yaml.safe_load(good.files["environment.yml"])
    assert environment["dependencies"][-1] == {"pip": [f"./{WHEEL}[lab]"]}
    assert good.files["requirements.txt"].decode().splitlines()[-1] == f"./{WHEEL}[lab]"
    course = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["dependencies"][:-1] == course["dependencies"][:-1]


# -- every file is looked at --------------------------------------------------------------------------------------------


def complaints(good: SimpleNamespace, path: str, content: str | bytes) -> list[str]:
    """Return what is said of one file of a bundle, perhaps in the wheel, that has this content."""
    data = content if isinstance(content, bytes) else content.encode()
    return list(objections(Course.read(good.course), [LAB], {path: data}))


def test_a_good_bundle_has_nothing_to_object_to(good: SimpleNamespace) -> None:
    assert list(objections(Course.read(good.course), [LAB], unpacked(good.files))) == []


def with_cell(good: SimpleNamespace, path: str, change: Callable[[nbformat.NotebookNode], None]) -> str:
    notebook = nbformat.reads(good.files[path].decode(), as_version=4)
    change(notebook)
    return nbformat.writes(notebook)


def add_text(name: str, text: str) -> Callable[[nbformat.NotebookNode], None]:
    def change(notebook: nbformat.NotebookNode) -> None:
        cell_of(notebook, name).source += f"\n\n{text}"

    return change


TABLE_ROW = '"conv2": grouped_conv_params(96 * w, 256 * w, (5, 5), 2, bias),'
LEAKS = {
    "a line as it is": ("return params * bits // 8", "model_size_bytes"),
    "only what it returns": ("It is `params*bits//8`.", "model_size_bytes"),
    "quoted, and wrapped": (
        "> return (in_features\n>     * out_features + (out_features if bias\n> else 0))",
        "linear_params",
    ),
    "a row of a table": (TABLE_ROW.replace('"', "'").replace(" ", ""), "alexnet_table"),
    "in HTML": ("<code>return 2 * <b>num_features</b> if&#32;bias else num_features</code>", "norm_params"),
    "a written answer": ("many narrow\nlayers mean many small ones that leave it  *idle*.".replace("*", ""), "wide_or_deep"),
    "at a prompt": (">>> sum(params*bits for params, bits in layers)//8", "mixed_precision_bytes"),
}


@pytest.mark.parametrize(("leak", "task"), LEAKS.values(), ids=LEAKS)
def test_a_solution_in_a_hint_is_found_however_it_is_written(good: SimpleNamespace, leak: str, task: str) -> None:
    leaked = "Few wide layers mean few kernel launches and large matrix products that fill the GPU; " + leak
    found = complaints(good, NOTEBOOK, with_cell(good, NOTEBOOK, add_text(HINT, leaked if "idle" in leak else leak)))
    assert len(found) == 1, found
    assert found[0].startswith(f"{NOTEBOOK}, {HINT}: holds a part of the solution {task}")
    assert f"of {LAB}: take it out" in found[0]


CODE = "def size(params, bits):\n    # as in the lab\n    return (params * bits  # bits in all\n        // 8)"


def test_a_solution_in_a_lecture_is_found(good: SimpleNamespace) -> None:
    (found,) = complaints(
        good, LECTURE, with_cell(good, LECTURE, lambda n: n.cells[3].update(source=CODE, cell_type="code"))
    )
    assert found.startswith(f"{LECTURE}, {nbformat.reads(good.files[LECTURE].decode(), 4).cells[3].id}: holds a part of")


@pytest.mark.parametrize("text", ["$N b / 8$ bytes: `params * bits // 8`", "return 0", "weights = 3\nreturn weights"])
def test_a_formula_in_a_lecture_is_no_solution(good: SimpleNamespace, text: str) -> None:
    assert complaints(good, LECTURE, with_cell(good, LECTURE, add_text("cell-00", text))) == []


def test_a_solution_in_an_output_or_in_metadata_is_found(good: SimpleNamespace) -> None:
    hidden = "kernel = (kernel_size, kernel_size); return params * bits // 8"

    def in_output(notebook: nbformat.NotebookNode) -> None:
        code = next(cell for cell in notebook.cells if cell.cell_type == "code")
        code.outputs = [nbformat.v4.new_output("stream", text=hidden)]

    for path, change in (
        (LECTURE, in_output),
        (NOTEBOOK, lambda notebook: notebook.cells[0].metadata.update(note=hidden)),
        (NOTEBOOK, lambda notebook: notebook.metadata.update(note=[hidden])),
    ):
        (found,) = complaints(good, path, with_cell(good, path, change))
        assert "holds a part of the solution model_size_bytes-solution" in found


@pytest.mark.parametrize(
    ("where", "content"),
    [
        ("README.md", "So return params * bits // 8."),
        (f"{WHEEL}: effkit/notes.txt", "return params * bits // 8"),
        (f"{WHEEL}: effkit/course/bundle/student_readme.md", "return params * bits // 8"),
        (f"{WHEEL}: effkit/answers.py", "def model_size_bytes(params,bits): return params*bits//8\n"),
    ],
)
def test_a_solution_in_a_page_or_in_the_wheel_is_found(good: SimpleNamespace, where: str, content: str) -> None:
    (found,) = complaints(good, where, content)
    assert found.startswith(f"{where}: holds a part of the solution model_size_bytes-solution")


def test_several_statements_of_a_solution_are_found_in_effkit_s_own_code(good: SimpleNamespace) -> None:
    body = solution_sources(LAB)["attention_params-solution"].splitlines()[2:-1]
    code = "def other(embed_dim, num_heads, num_kv_heads, bias):\n" + "\n".join(body) + "\n"
    (found,) = complaints(good, f"{WHEEL}: effkit/mine.py", code)
    assert "attention_params" in found


STRANGERS = {
    f"{WHEEL}: solutions/{LAB}/{LAB}.ipynb": "does not belong",
    f"solutions/{LAB}/notes.txt": "does not belong",
    f"{WHEEL}: effkit/course/labs/{LAB}/{LAB}.ipynb.bak": "does not belong",
    f"{WHEEL}: effkit/course/labs/lab9_secret/lab9_secret.ipynb": "does not belong",
    f"{WHEEL}: effkit/course/tasks/{LAB}.py": "source of a lab",
}


@pytest.mark.parametrize(("path", "complaint"), STRANGERS.items())
def test_files_that_do_not_belong_are_named(good: SimpleNamespace, path: str, complaint: str) -> None:
    source = (ROOT / "solutions" / LAB / f"{LAB}.py").read_bytes() if path.endswith(".py") else b"{}"
    assert any(line.startswith(f"{path}: ") and complaint in line for line in complaints(good, path, source))


def test_marks_of_hidden_tests_are_named(good: SimpleNamespace) -> None:
    leak = add_text(HINT, "### BEGIN HIDDEN TESTS\nassert linear_params(2, 2, True) == 6\n### END HIDDEN TESTS")
    path = f"{WHEEL}: effkit/course/labs/{LAB}/{LAB}.ipynb"
    notebook = with_cell(good, NOTEBOOK, leak)
    one_string = json.loads(notebook)
    for cell in one_string["cells"]:
        cell["source"] = "".join(cell["source"])
    for where, text in ((NOTEBOOK, notebook), (path, notebook), (NOTEBOOK, json.dumps(one_string))):
        assert any(line.startswith(f"{where}, {HINT}: has marks of a solution") for line in complaints(good, where, text))


@pytest.mark.parametrize("number", ["307200", "307,200", "307_200", "$307{,}200$", "307 200", "307\u202f200"])
def test_an_expected_value_in_a_lab_is_found(good: SimpleNamespace, number: str) -> None:
    found = complaints(good, NOTEBOOK, with_cell(good, NOTEBOOK, add_text(HINT, f"You should get {number}.")))
    assert len(found) == 1
    assert found[0].startswith(f"{NOTEBOOK}, {HINT}: tells what the check of alexnet_table expects of alexnet_table(")


@pytest.mark.parametrize(
    "text",
    [
        "`linear_params(4, 3, True)` is 15",
        "assert linear_params(in_features=4,\n    out_features=3, bias=True) == 15",
    ],
)
@pytest.mark.parametrize("path", [NOTEBOOK, LECTURE, "README.md"])
def test_a_small_expected_value_is_found_beside_its_call(good: SimpleNamespace, path: str, text: str) -> None:
    content = text if path == "README.md" else with_cell(good, path, add_text("cell-00", text))
    (found,) = complaints(good, path, content)
    assert (
        "tells what the check of linear_params expects of linear_params(in_features=4, out_features=3, bias=True)" in found
    )


def test_other_numbers_may_be_told(good: SimpleNamespace) -> None:
    text = "AlexNet has 60,954,656. `linear_params(4, 5, True)` is 25, and 15 is 15. `linear_params(4, 3, True)` is for you."
    assert complaints(good, NOTEBOOK, with_cell(good, NOTEBOOK, add_text(HINT, text))) == []


def run_once(notebook: nbformat.NotebookNode) -> None:
    cell_of(notebook, "linear_params").outputs = [nbformat.v4.new_output("stream", text="ok")]


def answers_kept(notebook: nbformat.NotebookNode) -> None:
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs = [nbformat.v4.new_output("display_data", {MIME: {"answers": [1]}, "text/plain": "1"})]


def own_kernel(notebook: nbformat.NotebookNode) -> None:
    notebook.metadata.kernelspec = {"name": "my-env", "display_name": "my env", "language": "python"}


WRONG = {
    "an output in a lab": (NOTEBOOK, run_once, f"{NOTEBOOK}, linear_params: has been run"),
    "a count in a lab": (
        NOTEBOOK,
        lambda n: cell_of(n, "linear_params").update(execution_count=1),
        f"{NOTEBOOK}, linear_params: has been run",
    ),
    "answers in a lecture": (LECTURE, answers_kept, "holds answers as a check writes them"),
    "answers in a lab": (NOTEBOOK, answers_kept, "holds answers as a check writes them"),
    "another kernel": (NOTEBOOK, own_kernel, "asks for a kernel of one machine"),
    "somebody's folder": (LECTURE, add_text("cell-00", "see /home/ann/course"), "cell-00: names /home/ann"),
    "this folder": (LECTURE, add_text("cell-00", f"see {sys.prefix}/bin"), f"cell-00: names {sys.prefix}"),
    "a field that is not allowed": (NOTEBOOK, lambda n: n.cells[0].update(mine=1), "is no valid notebook"),
}


@pytest.mark.parametrize(("path", "change", "complaint"), WRONG.values(), ids=WRONG)
def test_a_notebook_that_is_not_as_it_must_be_is_named(
    good: SimpleNamespace, path: str, change: Callable[[nbformat.NotebookNode], None], complaint: str
) -> None:
    notebook = nbformat.reads(good.files[path].decode(), as_version=4)
    change(notebook)
    found = complaints(good, path, json.dumps(notebook))
    assert any(complaint in line and line.startswith(path) for line in found), found
    assert complaints(good, path, "{ no notebook")[0].startswith(f"{path}: is no valid notebook")


# -- refusals by the command --------------------------------------------------------------------------------------------


def edit_source(course: Path, path: str, old: str, new: str) -> None:
    """Change a source and build its notebooks, as a teacher does."""
    source = course / path
    text = source.read_text(encoding="utf-8")
    assert old in text
    source.write_text(text.replace(old, new, 1), encoding="utf-8")
    write(Course.read(course), build(Course.read(course)), force=True)


def test_a_solution_leaked_into_a_hint_s_source_is_refused(
    course: Path, without_proof: None, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_source(
        course,
        f"solutions/{LAB}/{LAB}.py",
        "How many 4-bit parameters fit",
        "Try `params * bits // 8`. How many 4-bit parameters fit",
    )
    assert main(["--course", str(course), "release"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"{NOTEBOOK}, cell-41: holds a part of the solution model_size_bytes-solution of {LAB}: take it out",
        "REFUSED for 1 reason: no bundle was written",
    ]
    assert not (course / "release").exists()


def test_a_solution_that_is_wrong_and_a_stub_that_earns_points_are_named_with_the_reason(course: Path) -> None:
    def wrong(notebook: nbformat.NotebookNode) -> None:
        cell_of(notebook, "norm_params-solution").source = "def norm_params(num_features, bias):\n    return num_features"

    def earning(notebook: nbformat.NotebookNode) -> None:
        cell_of(notebook, "norm_params-solution").source = "def norm_params(num_features, bias):\n    return num_features"

    rewrite(course / SOLUTION, wrong)
    rewrite(course / NOTEBOOK, earning)
    said: list[str] = []
    found = sorted(proof.prove(course, [LAB], unsafe=False, say=said.append))
    assert len(said) == 3
    assert [line.partition(":")[0] for line in found] == [f"{NOTEBOOK}, norm_params", *[f"{SOLUTION}, norm_params"] * 2]
    assert "with seed 0 it scores 1 of 2 as handed out" in found[0]
    assert "with seed 0 it scores 1 of 2: " in found[1]
    assert "with seed 1 it scores 1 of 2: " in found[2]


def test_a_stale_notebook_is_named_with_its_cell(course: Path) -> None:
    rewrite(course / LECTURE, add_text("cell-02", "added by hand"))
    (course / NOTEBOOK).unlink()
    found = list(not_fresh(Course.read(course), [LAB]))
    assert found == [
        f"{NOTEBOOK}: differs from its source: run `make notebooks`",
        f"{LECTURE}, cell-02: differs from its source: run `make notebooks`",
    ]


def test_an_outdated_course_is_refused_before_anything_is_executed(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "prove", lambda *arguments, **options: pytest.fail("executed"))
    rewrite(course / NOTEBOOK, run_once)
    assert main(["--course", str(course), "release"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        f"{NOTEBOOK}, linear_params: differs from its source: run `make notebooks`",
        f"{NOTEBOOK}, linear_params: has been run, and a lab is handed out without outputs: run `make notebooks`",
    ]
    assert not (course / "release").exists()


def test_no_bundle_is_made_where_the_proof_fails(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "prove", lambda *arguments, **options: iter(["solutions/x.ipynb, a: scores 1 of 2"]))
    assert main(["--course", str(course), "release"]) == 1
    assert "solutions/x.ipynb, a: scores 1 of 2" in capsys.readouterr().err
    assert not (course / "release").exists()


@pytest.mark.usefixtures("without_proof")
def test_an_answer_in_the_template_of_the_readme_is_refused(course: Path) -> None:
    template = course / "effkit" / "course" / "bundle" / "student_readme.md"
    template.write_text(template.read_text(encoding="utf-8") + "\nreturn params * bits // 8\n", encoding="utf-8")
    refusals = quietly(course).refusals
    assert [line.partition(":")[0] for line in refusals] == ["README.md", WHEEL]


@pytest.mark.usefixtures("without_proof")
def test_what_lies_about_gets_into_no_wheel(good: SimpleNamespace, course: Path, tmp_path: Path) -> None:
    for name in (f"labs/{LAB}/{LAB}.ipynb.bak", f"labs/{LAB}/notes.txt", "effkit/.secret", "effkit/energy.py.bak"):
        (course / name).write_text("return params * bits // 8")
    done = quietly(course, tmp_path / "out")
    assert done.refusals == []
    assert (tmp_path / "out" / WHEEL).read_bytes() == good.files[WHEEL]


def test_an_effkit_that_is_not_the_course_s_own_does_not_release_it(course: Path) -> None:
    (course / "effkit" / "energy.py").write_text("# another effkit\n")
    with pytest.raises(CourseError, match="pip install --editable"):
        quietly(course)


def test_an_unknown_lab_is_a_clear_error(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--course", str(course), "release", "--labs", "lab3"]) == 2
    assert f"there is no lab 'lab3'; the labs are: {LAB}" in capsys.readouterr().err


# -- in place -----------------------------------------------------------------------------------------------------------


def test_nothing_but_a_bundle_is_ever_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(CourseError, match="something other than a bundle"):
        place.put({"README.md": b""}, mine, TOP)
    (tmp_path / "other.zip").write_bytes(b"mine")
    with pytest.raises(CourseError, match="in the way"):
        place.put({"README.md": b""}, tmp_path / "other", TOP)
    assert (mine / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "other.zip").read_bytes() == b"mine"


OLD = {WHEEL: b"old", "README.md": b"old"}


def test_a_new_bundle_replaces_the_old_one_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    place.put({**OLD, "labs/gone/gone.ipynb": b""}, tmp_path / "b", TOP)
    place.put({WHEEL: b"new"}, tmp_path / "b", TOP)
    assert [path.name for path in (tmp_path / "b").rglob("*")] == [WHEEL]
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.read(f"{TOP}/{WHEEL}") == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.zip"]


KILLED = """
import sys, time
from pathlib import Path
from effkit.course.bundle import place

class Slow(dict):
    def items(self):
        yield "README.md", b"half"
        print("half", flush=True)
        time.sleep(60)

place.put(Slow({"README.md": b"half"}), Path(sys.argv[1]), "top")
"""


@pytest.mark.parametrize("earlier", [False, True])
def test_a_release_that_is_killed_leaves_no_half_bundle(tmp_path: Path, earlier: bool) -> None:
    if earlier:
        place.put(OLD, tmp_path / "b", TOP)
    before = state(tmp_path / "b")
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "b")], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert list(state(tmp_path / "b")) == list(before)
    place.put({WHEEL: b"new"}, tmp_path / "b", TOP)
    assert (tmp_path / "b" / WHEEL).read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put(OLD, tmp_path / "b", TOP)
    before = list(state(tmp_path / "b"))

    def full(*arguments: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, "zipped", full)
    with pytest.raises(OSError, match="No space"):
        place.put({WHEEL: b"new"}, tmp_path / "b", TOP)
    assert list(state(tmp_path / "b")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.zip"]


def state(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what is in a bundle and its zip."""
    for path in [*sorted(folder.rglob("*")), folder.with_name(f"{folder.name}.zip")]:
        if path.is_file():
            yield path.name, path.read_bytes()
