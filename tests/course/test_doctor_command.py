"""`effkit doctor` as a student and as a grader types it: what it prints, what it writes, how it ends."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from effkit.course.cli import main
from tests.course.conftest import ROOT, run
from tests.course.submissions import load, released
from tests.course.test_doctor import FILE, NAME, answer_split, cell_of, check_copied, put


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A student's folder, which is no course folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["doctor", *arguments])
    return status, "".join(capsys.readouterr())


def test_a_student_is_told_that_all_is_well(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(desk, load(NAME, "full").notebook)
    assert doctor(capsys, FILE) == (0, f"{FILE}: nothing found ({NAME}).\n")


def test_nothing_is_written_without_fix(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = load(NAME, "full").notebook
    check_copied(notebook)
    put(desk, notebook, "lab2_parameters (1).ipynb")
    before = (desk / "lab2_parameters (1).ipynb").read_bytes()
    status, said = doctor(capsys, "lab2_parameters (1).ipynb")
    assert status == 1
    assert len(said.splitlines()) == 2
    assert all(line.endswith("(--fix repairs it)") for line in said.splitlines())
    assert [path.name for path in desk.iterdir()] == ["lab2_parameters (1).ipynb"]
    assert (desk / "lab2_parameters (1).ipynb").read_bytes() == before


def test_fix_keeps_the_original_and_the_answers(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = load(NAME, "full").notebook
    answer_split(notebook)
    output = nbformat.v4.new_output("stream", text="seen")
    cell_of(notebook, "linear_params").outputs = [output]
    name = "lab2_parameters (1).ipynb"
    put(desk, notebook, name)
    original = (desk / name).read_bytes()
    status, said = doctor(capsys, "--fix", name)
    assert status == 1
    assert f"kept {name} as {name}.bak" in said
    assert f"wrote {FILE}" in said
    assert sorted(path.name for path in desk.iterdir()) == [f"{name}.bak", FILE]
    assert (desk / f"{name}.bak").read_bytes() == original
    mended = nbformat.read(desk / FILE, as_version=4)
    assert [cell.source for cell in mended.cells] == [cell.source for cell in notebook.cells]
    assert cell_of(mended, "linear_params").outputs == [output]
    assert doctor(capsys, FILE) == (0, f"{FILE}: nothing found ({NAME}).\n")


def test_fix_never_overwrites(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = load(NAME, "full").notebook
    put(desk, notebook)
    check_copied(notebook)
    put(desk, notebook, "copy.ipynb")
    (desk / "copy.ipynb.bak").write_text("an earlier one")
    mine = (desk / FILE).read_bytes()
    status, said = doctor(capsys, "--fix", "copy.ipynb")
    assert status == 1
    assert "keep the one that counts" in said
    assert (desk / FILE).read_bytes() == mine
    assert (desk / "copy.ipynb.bak").read_text() == "an earlier one"
    assert (desk / "copy.ipynb.bak2").exists()
    assert (desk / "copy.ipynb").exists()


def test_what_cannot_be_read_ends_with_two(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / FILE).write_text("")
    for arguments in (["--fix", FILE], ["nowhere.ipynb"]):
        status, said = doctor(capsys, *arguments)
        assert status == 2
    assert [path.name for path in desk.iterdir()] == [FILE]
    (desk / "good.ipynb").write_bytes(json.dumps(load(NAME, "full").notebook).encode())
    status, said = doctor(capsys, FILE, "good.ipynb")
    assert status == 2
    assert said.splitlines()[-1] == "2 examined: 1 with findings, 1 that cannot be read"


def test_a_notebook_of_no_lab_is_asked_about(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(desk, nbformat.v4.new_notebook(), "mine.ipynb")
    status, said = doctor(capsys, "--fix", "mine.ipynb")
    assert status == 1
    assert "add --lab" in said
    assert [path.name for path in desk.iterdir()] == ["mine.ipynb"]
    status, said = doctor(capsys, "--lab", NAME, "mine.ipynb")
    assert "the check linear_params is missing" in said


def test_an_unknown_lab_is_answered_with_the_labs_there_are(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(desk, nbformat.v4.new_notebook())
    status, said = doctor(capsys, "--lab", "lab99", FILE)
    assert status == 2
    assert f"the labs are: {NAME}" in said


def test_an_untouched_notebook_can_be_what_to_compare_with(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = released(NAME)
    original.cells.remove(cell_of(original, "norm_params"))
    put(desk / "original", original)
    put(desk, load(NAME, "full").notebook)
    status, said = doctor(capsys, "--lab", f"original/{FILE}", FILE)
    assert status == 1
    assert "graded cell 'norm_params'" in said


def test_a_grader_repairs_a_class(course: Path) -> None:
    """In the course folder, by the real command: names, timestamps, marks; links and broken files stay and are named."""
    shutil.copytree(ROOT / "labs", course / "labs")
    for name in ("full", "metadata_lost", "check_deleted", "partly_done"):
        load(NAME, name).put(course)
    submitted = course / "submitted"
    (submitted / "full" / NAME / "timestamp.txt").write_text("yesterday evening")
    (submitted / "partly_done" / NAME / FILE).rename(submitted / "partly_done" / NAME / "Copy of lab2.ipynb")
    put(submitted / "ben" / NAME, b'{"cells": [')
    folders = sorted(str(path.relative_to(course)) for path in submitted.glob(f"*/{NAME}"))
    first = run(course, "effkit", "doctor", "--fix", *folders)
    assert first.returncode == 2
    assert "submitted/full/lab2_parameters: renamed timestamp.txt to timestamp.txt.bak." in first.stdout
    assert "submitted/partly_done/lab2_parameters: wrote lab2_parameters.ipynb." in first.stdout
    assert "it is cut off" in first.stdout
    second = run(course, "effkit", "doctor", *folders)
    assert [line for line in second.stdout.splitlines() if "nothing found" not in line][1:] == [
        "5 examined: 0 with findings, 1 that cannot be read"
    ]
    assert "Traceback" not in first.stderr + second.stderr
