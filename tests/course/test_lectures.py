"""The build of lectures: run alone in a new kernel, committed with what every run gives, run again only if it must be."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import nbformat
import pytest
from nbformat import NotebookNode

from effkit.course import cli, notebooks, run_notebook
from effkit.course.nbgrader_api import CourseError
from effkit.course.notebooks import build, to_run, write
from effkit.course.source import Course
from tests.course.conftest import ROOT
from tests.course.test_notebooks import commit, git

NOTEBOOK = Path("lectures", "01_sample.ipynb")
TITLE = "# %% [markdown]\n# # A sample\n\n"
SAMPLE = (
    TITLE
    + """\
# %%
import os, sys, time
from matplotlib.figure import Figure
import effkit

print("alone with", os.listdir())
sys.stdout.flush()
time.sleep(0.3)
print("in a kernel with the options", sys.warnoptions)
3**4

# %%
def draw(k):
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([0, k])
    return figure, f"A line that ends at {k}."

effkit.show(*draw(1))

# %%
effkit.Explore(draw, k=[1, 2])

# %% tags=["live"]
time.time()
"""
)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course under git with one lecture that was never built."""
    return make_course(tmp_path)


def make_course(folder: Path, source: str = SAMPLE) -> Course:
    for name in ("pyproject.toml", "nbgrader_config.py"):
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "-q")
    course = Course.read(folder)
    change(course, source)
    return course


def change(course: Course, source: str) -> None:
    path = (course.root / NOTEBOOK).with_suffix(".py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(source, encoding="utf-8")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The notebook of the sample, built and run."""
    course = make_course(tmp_path_factory.mktemp("ran"))
    assert write(course, build(course)) == [NOTEBOOK]
    return (course.root / NOTEBOOK).read_text(encoding="utf-8")


@pytest.fixture
def built(course: Course, ran: str) -> Course:
    """The course with its lecture built, which from now on must not be run."""
    (course.root / NOTEBOOK).write_text(ran, encoding="utf-8")
    return course


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "run_lecture", lambda *_: pytest.fail("a lecture was run"))


def outputs(text: str) -> list[list[NotebookNode]]:
    cells = nbformat.reads(text, as_version=4).cells
    return [cell.outputs for cell in cells if cell.cell_type == "code"]


def test_two_builds_give_the_same_bytes_whoever_builds(
    course: Course, ran: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / ".ipython" / "profile_default" / "startup" / "mine.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("import sys; sys.warnoptions.append('mine')")
    (tmp_path / "matplotlibrc").write_text("figure.facecolor: black")
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # keeps the font cache
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "matplotlibrc"))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    write(course, build(course))
    assert (course.root / NOTEBOOK).read_text(encoding="utf-8") == ran


def test_badge_and_first_cell_are_those_of_the_labs(ran: str) -> None:
    cells = nbformat.reads(ran, as_version=4).cells
    lab = nbformat.read(ROOT / "labs/lab2_parameters/lab2_parameters.ipynb", as_version=4)
    assert cells[0].source.startswith("# A sample\n\n[![Open in Colab](https://colab.")
    assert cells[0].source.endswith("/lectures/01_sample.ipynb)")
    assert cells[1].source == lab.cells[1].source
    assert [cell.id for cell in cells] == [f"cell-{position:02d}" for position in range(6)]


def test_text_and_static_pictures_are_kept_and_what_is_dead_or_measured_is_not(ran: str) -> None:
    setup, printed, shown, explored, live = outputs(ran)
    assert (setup, live) == ([], [])
    assert [output.get("text") for output in printed] == [
        "alone with ['01_sample.ipynb']\nin a kernel with the options []\n",
        None,
    ]
    assert printed[1].data == {"text/plain": "81"}
    assert printed[1].execution_count is None
    for (output,), alt in ((shown, "A line that ends at 1."), (explored, "k = 1. A line that ends at 1.")):
        assert set(output.data) == {"text/html", "text/plain"}
        assert output.data["text/plain"] == alt
        assert output.data["text/html"].startswith(f'<img alt="{alt}"')
    notebook = nbformat.reads(ran, as_version=4)
    assert set(notebook.metadata) == {"effkit", "kernelspec", "language_info"}
    assert [cell.id for cell in notebook.cells if cell.get("execution_count") or "execution" in cell.metadata] == []


def test_lecture_that_did_not_change_is_not_run_again(built: Course, no_kernel: None) -> None:
    assert write(built, build(built)) == []


@pytest.mark.parametrize("rerun", [False, True])
def test_changed_lecture_is_run_again(built: Course, rerun: bool) -> None:
    if not rerun:
        change(built, SAMPLE.replace("# A sample", "# An example"))
    assert to_run(built, build(built, rerun=rerun)) == [NOTEBOOK]


def test_lecture_that_gives_the_same_again_is_not_written(built: Course, ran: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "run_lecture", lambda *_: ran)
    assert write(built, build(built, rerun=True)) == []


def test_outputs_of_another_run_are_run_again(built: Course) -> None:
    """Somebody opened the lecture, ran it and saved it: that is no work to lose, and not what is committed either."""
    edit(built, lambda notebook: notebook.cells[5].outputs.append(nbformat.v4.new_output("stream", text="1.5 s")))
    assert to_run(built, build(built)) == [NOTEBOOK]


def test_what_jupyterlab_notes_when_it_saves_is_taken_away_without_a_run(built: Course, ran: str, no_kernel: None) -> None:
    edit(built, lambda notebook: notebook.metadata.language_info.update(version="3.11.7"))
    assert write(built, build(built)) == [NOTEBOOK]
    assert (built.root / NOTEBOOK).read_text(encoding="utf-8") == ran


def test_work_that_is_not_committed_is_never_overwritten(built: Course, no_kernel: None) -> None:
    commit(built.root)
    mine = edit(built, lambda notebook: notebook.cells[0].update(source="# My notes"))
    change(built, SAMPLE.replace("# A sample", "# An example"))
    with pytest.raises(CourseError, match="not committed") as refusal:
        write(built, build(built))
    assert str(NOTEBOOK) in str(refusal.value)
    assert (built.root / NOTEBOOK).read_text(encoding="utf-8") == mine


def test_with_force_the_work_is_kept_beside_the_new_notebook(built: Course, ran: str, no_kernel: None) -> None:
    mine = edit(built, lambda notebook: notebook.cells[0].update(source="# My notes"))
    write(built, build(built), force=True)
    assert (built.root / NOTEBOOK).read_text(encoding="utf-8") == ran
    assert (built.root / f"{NOTEBOOK}.bak").read_text(encoding="utf-8") == mine


def edit(course: Course, how) -> str:  # type: ignore[no-untyped-def]
    """Change the notebook as `how` does and return its text."""
    path = course.root / NOTEBOOK
    notebook = nbformat.read(path, as_version=4)
    how(notebook)
    nbformat.write(notebook, path)
    return path.read_text(encoding="utf-8")


def test_check_runs_and_writes_nothing(course: Course, no_kernel: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--course", str(course.root), "notebooks", "--check"]) == 1
    assert "01_sample.ipynb differs from its source" in capsys.readouterr().out
    assert not (course.root / NOTEBOOK).exists()


def test_check_is_content_with_what_a_build_wrote(built: Course, no_kernel: None) -> None:
    assert cli.main(["--course", str(built.root), "notebooks", "--check"]) == 0
    assert cli.main(["--course", str(built.root), "notebooks", "--check", "--rerun"]) == 0


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("# %%\nwidth = 3\nprint(width / 0)\n", r"cell-02 \(width = 3\): ZeroDivisionError: division by zero, at `print"),
        ('# %% tags=["live"]\n1 / 0\n', r"cell-02 \(1 / 0\): ZeroDivisionError"),
        ('# %% tags=["raises-exception"]\n1 / 0\n', r"cell-02 \(1 / 0\): ZeroDivisionError"),
        ("# %%\nimport warnings\nwarnings.warn('old')\n", r"cell-02 \(import warnings\) writes on stderr: .*old"),
        (
            '# %% tags=["live"]\nimport os, time\n_ = os.write(2, b"noise")\ntime.sleep(1)\n',
            r"cell-02 \(import os, time\) writes on stderr: noise",
        ),
        ("# %%\nimport os\nos._exit(1)\n", r"cell-02 \(import os\): the kernel died"),
        ("# %%\nimport os\nos.getcwd()\n", r"cell-02 \(import os\) shows what another machine would not: /"),
        ("# %%\nobject()\n", r"cell-02 \(object\(\)\) shows what another machine would not: at 0x"),
    ],
)
def test_lecture_that_does_not_run_cleanly_is_named_with_its_cell(course: Course, cell: str, complaint: str) -> None:
    change(course, TITLE + cell)
    with pytest.raises(CourseError, match=f"(?s)01_sample, {complaint}"):
        write(course, build(course))
    assert not (course.root / NOTEBOOK).exists()


def test_cell_without_end_is_named(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_notebook, "CELL_TIMEOUT_S", 1)
    change(course, TITLE + "# %%\nwhile True: pass\n")
    with pytest.raises(CourseError, match=r"cell-02 \(while True: pass\): takes more than 1 s"):
        write(course, build(course))


def test_ctrl_c_ends_the_build_and_its_kernel(course: Course) -> None:
    begun = course.root / "begun"
    change(
        course,
        TITLE + f"# %%\nimport os, pathlib, time\npathlib.Path({str(begun)!r}).write_text(str(os.getpid()))\ntime.sleep(99)",
    )
    command = [sys.executable, "-m", "effkit", "--course", str(course.root), "notebooks"]
    build = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT)
    while not (begun.exists() and begun.read_text()):
        assert build.poll() is None
        time.sleep(0.1)
    build.send_signal(signal.SIGINT)
    assert build.communicate(timeout=60)[1] == "effkit: interrupted; nothing was written\n"
    assert build.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


def test_mistake_in_a_source_is_named_with_its_place(course: Course) -> None:
    change(course, TITLE + "# %% code\n1\n")
    with pytest.raises(CourseError, match=r"01_sample\.py:4: not a cell header"):
        build(course)
