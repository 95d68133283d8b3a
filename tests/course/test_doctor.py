"""What the doctor finds in a submission and how it puts it right: every case is a small edit of the real lab."""

import json
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from effkit.course.doctor import examine
from effkit.course.findings import Examination
from effkit.course.lab import ReleasedLab, handed_out
from effkit.course.reading import MAX_BYTES
from tests.course.conftest import ROOT
from tests.course.submissions import edit, released, solution_sources

NAME = "lab2_parameters"
FILE = f"{NAME}.ipynb"
CHECK, ANSWER, QUESTION = "conv_params", "conv_params-solution", "wide_or_deep"
WRITTEN = "Narrow and deep, because of the optimizer's states."


@pytest.fixture(scope="module")
def lab() -> ReleasedLab:
    found = handed_out(ROOT, NAME)
    assert found is not None
    return found


@pytest.fixture
def solved() -> NotebookNode:
    """The lab with every task solved and the question answered."""
    return edit(released(NAME), solution_sources(NAME) | {QUESTION: WRITTEN}, [], {})


def put(folder: Path, notebook: NotebookNode | bytes, name: str = FILE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
    (folder / name).write_bytes(content)
    return folder


def kinds(found: Examination) -> list[tuple[str, str]]:
    return sorted((finding.kind, finding.cell) for finding in found.findings)


def graded(notebook: NotebookNode | None) -> dict[str, NotebookNode]:
    assert notebook is not None
    nbformat.validate(notebook)
    named = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert len({cell.metadata.nbgrader.grade_id for cell in named}) == len(named)
    return {cell.metadata.nbgrader.grade_id: cell for cell in named}


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == name)


def is_whole(notebook: NotebookNode | None, lab: ReleasedLab) -> bool:
    """Whether every graded cell is there once, marked and locked as released."""
    cells = graded(notebook)
    return set(cells) == set(lab.cells) and all(
        cell.metadata.nbgrader == lab.cells[name].own
        and cell.cell_type == lab.cells[name].cell_type
        and (not lab.cells[name].own["locked"] or cell.source == lab.cells[name].source)
        for name, cell in cells.items()
    )


def test_nothing_is_found_in_an_honest_submission(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    for notebook in (solved, released(NAME)):
        found = examine(put(tmp_path, notebook), lab)
        assert found.findings == ()
        assert is_whole(found.notebook, lab)
        assert [cell.source for cell in found.notebook.cells] == [cell.source for cell in notebook.cells]


# Edits of the solved lab, with the findings that they must give.
def _copy_of(nb: NotebookNode, name: str, source: str | None = None, place: int | None = None) -> None:
    copy = deepcopy(cell_of(nb, name))
    copy.id = f"{len(nb.cells)}-random"
    copy.source = copy.source if source is None else source
    nb.cells.insert(len(nb.cells) if place is None else place, copy)


def check_copied(nb: NotebookNode) -> None:
    _copy_of(nb, CHECK)


def answer_copied_blank(nb: NotebookNode) -> None:
    _copy_of(nb, ANSWER, cell_of(released(NAME), ANSWER).source)


def answer_split(nb: NotebookNode) -> None:
    cell = cell_of(nb, ANSWER)
    place = nb.cells.index(cell)
    _copy_of(nb, ANSWER, "import math  # the part above", place)


def answer_split_below(nb: NotebookNode) -> None:
    _copy_of(nb, ANSWER, "print(conv_params(1, 1, (1, 1), True))", nb.cells.index(cell_of(nb, ANSWER)) + 1)


def question_split(nb: NotebookNode) -> None:
    _copy_of(nb, QUESTION, "And a second paragraph.", nb.cells.index(cell_of(nb, QUESTION)) + 1)


def check_deleted(nb: NotebookNode) -> None:
    nb.cells.remove(cell_of(nb, CHECK))


def question_deleted(nb: NotebookNode) -> None:
    nb.cells.remove(cell_of(nb, QUESTION))


def answer_moved_to_another_cell(nb: NotebookNode) -> None:
    cell = cell_of(nb, ANSWER)
    cell.id, cell.metadata = "mine", NotebookNode()
    cell.source = "x = 1\n" + cell.source


def locked_helper_deleted(nb: NotebookNode) -> None:
    nb.cells.remove(cell_of(nb, "begin"))


def answer_made_markdown(nb: NotebookNode) -> None:
    cell = cell_of(nb, ANSWER)
    cell.cell_type = "markdown"
    del cell["outputs"], cell["execution_count"]


def question_made_code(nb: NotebookNode) -> None:
    cell_of(nb, QUESTION).update(cell_type="code", outputs=[], execution_count=None)


def check_made_raw(nb: NotebookNode) -> None:
    cell_of(nb, CHECK).cell_type = "raw"


def points_raised(nb: NotebookNode) -> None:
    cell_of(nb, CHECK).metadata.nbgrader.points = 1000


def check_unlocked(nb: NotebookNode) -> None:
    cell_of(nb, CHECK).metadata.nbgrader.update(locked=False, solution=True)


def check_pointed_at_another_task(nb: NotebookNode) -> None:
    cell_of(nb, CHECK).metadata.nbgrader.grade_id = "linear_params"


def answer_pointed_at_another_task(nb: NotebookNode) -> None:
    cell_of(nb, ANSWER).metadata.nbgrader.grade_id = "linear_params-solution"


def check_pointed_nowhere(nb: NotebookNode) -> None:
    cell_of(nb, CHECK).metadata.nbgrader.grade_id = "made_up"


def cell_of_another_lab(nb: NotebookNode) -> None:
    own = {**cell_of(nb, CHECK).metadata.nbgrader, "grade_id": "other_task"}
    nb.cells.append(nbformat.v4.new_code_cell("1", id="other", metadata={"nbgrader": own}))


def check_rewritten(nb: NotebookNode) -> None:
    cell_of(nb, CHECK).source = "def helper():\n    return 1\n\n" + cell_of(nb, CHECK).source


def marks_dropped(nb: NotebookNode) -> None:
    for cell in nb.cells:
        cell.metadata.pop("nbgrader", None)


def marks_are_no_marks(nb: NotebookNode) -> None:
    cell_of(nb, CHECK).metadata.nbgrader = "yes"


def marks_and_ids_dropped(nb: NotebookNode) -> None:
    marks_dropped(nb)
    nb.nbformat_minor = 4
    for cell in nb.cells:
        del cell["id"]


def texts_marks_and_ids_dropped(nb: NotebookNode) -> None:
    marks_and_ids_dropped(nb)
    nb.cells = [cell for cell in nb.cells if cell.cell_type == "code" or cell.source == WRITTEN]


def older_version(nb: NotebookNode) -> None:
    nb.metadata.effkit.version = "0.0.9"


def skipped_by_a_tag(nb: NotebookNode) -> None:
    cell_of(nb, ANSWER).metadata.tags = ["skip-execution"]


def huge_output(nb: NotebookNode) -> None:
    cell_of(nb, ANSWER).outputs = [nbformat.v4.new_output("stream", text="x" * 3_000_000)]


def odd_output(nb: NotebookNode) -> None:
    cell_of(nb, ANSWER).outputs = [{"output_type": "hologram"}]


def half_characters(nb: NotebookNode) -> None:
    nb.cells.append(nbformat.v4.new_code_cell("s = '\ud800'", id="half"))


def odd_metadata(nb: NotebookNode) -> None:
    nb.metadata.update(kernelspec="python3", widgets=[1], authors="me")


def kernel_of_another_language(nb: NotebookNode) -> None:
    nb.metadata.kernelspec = {"name": "ir", "display_name": "R", "language": "R"}


def cells_that_are_none(nb: NotebookNode) -> None:
    nb.cells.insert(3, "a cell?")
    nb.cells.insert(3, {"cell_type": "hologram", "source": ["a", 1]})


EDITS: dict[Callable[[NotebookNode], None], list[tuple[str, str]]] = {
    check_copied: [("duplicated", CHECK)],
    answer_copied_blank: [("duplicated", ANSWER)],
    answer_split: [("split", ANSWER)],
    answer_split_below: [("split", ANSWER)],
    question_split: [("split", QUESTION)],
    check_deleted: [("missing", CHECK)],
    question_deleted: [("missing", QUESTION)],
    answer_moved_to_another_cell: [("stripped metadata", "")],
    locked_helper_deleted: [("missing", "begin")],
    answer_made_markdown: [("retyped", ANSWER)],
    question_made_code: [("retyped", QUESTION)],
    check_made_raw: [("retyped", CHECK)],
    points_raised: [("re-flagged", CHECK)],
    check_unlocked: [("re-flagged", CHECK)],
    check_pointed_at_another_task: [("re-pointed", CHECK)],
    answer_pointed_at_another_task: [("re-pointed", ANSWER)],
    check_pointed_nowhere: [("re-pointed", CHECK)],
    cell_of_another_lab: [("unknown cell", "")],
    check_rewritten: [("changed", CHECK)],
    marks_dropped: [("stripped metadata", "")],
    marks_are_no_marks: [("stripped metadata", "")],
    marks_and_ids_dropped: [("stripped metadata", "")],
    older_version: [("old version", "")],
    skipped_by_a_tag: [("re-flagged", ANSWER)],
    huge_output: [("large outputs", "")],
    odd_output: [("outputs", "")],
    half_characters: [("encoding", "")],
    odd_metadata: [("metadata", "")] * 3,
    kernel_of_another_language: [("metadata", "")],
    cells_that_are_none: [("structure", "")] * 3,
}


@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.__name__)
def test_an_edit_is_found_and_put_right(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode, change: Callable[[NotebookNode], None]
) -> None:
    change(solved)
    found = examine(put(tmp_path / "first", solved), lab)
    assert kinds(found) == sorted(EDITS[change])
    assert is_whole(found.notebook, lab)
    for finding in found.findings:
        assert finding.sentence == " ".join(finding.sentence.split())
        assert finding.sentence[-1] in ".?)"
    again = examine(put(tmp_path / "second", found.notebook), lab)
    assert again.findings == tuple(finding for finding in found.findings if not finding.repaired)
    assert again.notebook == found.notebook


@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.__name__)
def test_no_text_of_a_student_is_lost(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode, change: Callable[[NotebookNode], None]
) -> None:
    change(solved)
    found = examine(put(tmp_path, solved), lab)
    assert found.notebook is not None
    kept = [cell.source for cell in found.notebook.cells]
    for cell in solved.cells:
        if isinstance(cell, dict) and isinstance(cell["source"], str):
            source = cell["source"].replace("\ud800", "�")
            assert source in kept, source
            kept.remove(source)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (answer_copied_blank, "solved"),
        (answer_split, "solved"),
        (answer_split_below, "solved"),
        (question_split, "And a second paragraph."),
    ],
)
def test_which_copy_of_an_answer_counts(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode, change: Callable[[NotebookNode], None], counts: str
) -> None:
    """Never the blank one, never one without the function; of parts of a text the last, below which a grader writes."""
    name = QUESTION if change is question_split else ANSWER
    expected = cell_of(solved, ANSWER).source if counts == "solved" else counts
    change(solved)
    found = examine(put(tmp_path, solved), lab)
    assert graded(found.notebook)[name].source == expected


def test_of_several_checks_the_last_counts_and_one_that_is_missing_sees_everything(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode
) -> None:
    check_copied(solved)
    solved.cells.remove(cell_of(solved, "norm_params"))
    found = examine(put(tmp_path, solved), lab)
    assert found.notebook is not None
    last_two = [cell.metadata.nbgrader.grade_id for cell in found.notebook.cells[-2:]]
    assert last_two == [CHECK, "norm_params"]


def test_two_cells_with_one_id_are_copies(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    marks_dropped(solved)
    solved.cells.append(deepcopy(cell_of(solved, CHECK)))
    found = examine(put(tmp_path, solved), lab)
    assert kinds(found) == [("duplicated", CHECK), ("stripped metadata", "")]
    assert is_whole(found.notebook, lab)


def test_a_question_without_marks_or_ids_is_known_by_its_place(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode
) -> None:
    marks_and_ids_dropped(solved)
    found = examine(put(tmp_path, solved), lab)
    assert graded(found.notebook)[QUESTION].source == WRITTEN


def test_answers_without_marks_or_ids_are_known_by_their_functions(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode
) -> None:
    texts_marks_and_ids_dropped(solved)
    found = examine(put(tmp_path, solved), lab)
    cells = graded(found.notebook)
    assert set(cells) == set(lab.cells)
    assert {name: cells[name].source for name in solution_sources(NAME) if name != QUESTION} == {
        name: source for name, source in solution_sources(NAME).items() if name != QUESTION
    }


def test_what_was_written_into_a_check_still_runs_before_it(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    check_rewritten(solved)
    found = examine(put(tmp_path, solved), lab)
    assert found.notebook is not None
    place = found.notebook.cells.index(graded(found.notebook)[CHECK])
    assert found.notebook.cells[place - 1].source.startswith("def helper():")
    assert "nbgrader" not in found.notebook.cells[place - 1].metadata


# Files that are not what they should be.
ENCODINGS = {
    "utf-8-sig": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-32": lambda text: text.encode("utf-32"),
    "latin-1": lambda text: text.replace("★", "").replace("☆", "").encode("latin-1", "ignore"),
    "one damaged byte": lambda text: text.encode().replace("×".encode(), b"\xff", 1),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_another_encoding_is_read_and_said(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode, encoding: str) -> None:
    cell_of(solved, QUESTION).source = "Größe × Tiefe: é à ü"
    content = ENCODINGS[encoding](json.dumps(solved, ensure_ascii=False))
    found = examine(put(tmp_path, content), lab)
    assert kinds(found) == [("encoding", "")]
    assert is_whole(found.notebook, lab)
    if "damaged" not in encoding:
        assert graded(found.notebook)[QUESTION].source == "Größe × Tiefe: é à ü"


UNREADABLE = {
    "empty": (b"", "empty (0 bytes)"),
    "blank": (b" \n\0\0\n", "nothing but blanks"),
    "cut off": (b'{"cells": [{"cell_type"', "cut off"),
    "python literal": (b"{'cells': []}", "not valid JSON in line 1"),
    "zip": (b"PK\x03\x04\x00\xff", "unpack it"),
    "web page": (b"\n<!DOCTYPE html><html>", "submit the notebook itself"),
    "conflict": (b'{"cells": [\n<<<<<<< HEAD\n{}\n=======\n>>>>>>> b\n]}', "merge conflict"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "deep object": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    "a number": (b"12", "without cells"),
    "no cells": (b'{"answers": [1, 2]}', "without cells"),
    "odd cells": (b'{"cells": "none"}', "not a list"),
    "noise": (bytes(range(256)) * 4, "not a readable notebook"),
    "old and broken": (b'{"nbformat": 3, "worksheets": 5}', "old format"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(tmp_path: Path, lab: ReleasedLab, what: str) -> None:
    content, words = UNREADABLE[what]
    found = examine(put(tmp_path, content), lab)
    assert found.notebook is None
    assert words in found.problem
    assert found.problem.endswith("ask the student to submit it again.")


def test_odd_numbers_do_not_spoil_a_notebook(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    """Numbers that JSON or Python could not write again."""
    text = json.dumps(solved).replace('"metadata": {}', f'"metadata": {{"a": NaN, "b": 1e999, "c": {"9" * 5000}}}', 1)
    found = examine(put(tmp_path, text.encode()), lab)
    assert is_whole(found.notebook, lab)
    json.dumps(found.notebook, allow_nan=False)


def test_line_breaks_inside_a_text_are_read(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    """Not strictly JSON, and nobody's fault: some programs write them."""
    found = examine(put(tmp_path, json.dumps(solved).replace("\\n", "\n").encode()), lab)
    assert is_whole(found.notebook, lab)


def test_an_old_format_is_converted(tmp_path: Path, lab: ReleasedLab) -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {},
        "worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1", "language": "python", "outputs": []}]}],
    }
    found = examine(put(tmp_path, json.dumps(old).encode()), lab)
    assert ("old format", "") in kinds(found)
    assert found.notebook is not None
    assert "x = 1" in [cell.source for cell in found.notebook.cells]


def test_a_file_far_too_large_is_not_read(tmp_path: Path, lab: ReleasedLab) -> None:
    with (tmp_path / FILE).open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # no blocks: it costs no disk
    found = examine(tmp_path, lab)
    assert "clear its outputs" in found.problem


# Names, and what else lies in the folder.
@pytest.mark.parametrize(
    "name",
    [
        "lab2_parameters (1).ipynb",
        "Copy of lab2_parameters.ipynb",
        "lab2_parameters-1.ipynb",
        "Lab2_Parameters.ipynb",
        "lab2_parameters.ipynb.txt",
        "my lab/final.ipynb",
    ],
)
def test_the_one_notebook_is_taken_whatever_its_name(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    found = examine(put(tmp_path, solved, name), lab)
    assert kinds(found) == [("renamed", "")]
    assert name in found.findings[0].sentence
    assert is_whole(found.notebook, lab)


def test_several_notebooks_are_not_guessed_at(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    put(tmp_path, solved, "first.ipynb")
    put(tmp_path, solved, "second.ipynb")
    assert is_whole(examine(tmp_path, lab).notebook, lab)  # the same one twice
    cell_of(solved, ANSWER).source = "def conv_params(*a):\n    return 0"
    put(tmp_path, solved, "second.ipynb")
    found = examine(tmp_path, lab)
    assert found.notebook is None
    assert "first.ipynb, second.ipynb" in found.problem
    assert f"to {FILE}" in found.problem


def test_a_notebook_of_something_else_is_not_taken(tmp_path: Path, lab: ReleasedLab) -> None:
    put(tmp_path, nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), "notes.ipynb")
    found = examine(tmp_path, lab)
    assert found.notebook is None
    assert f"there is no {FILE} in the submission, only: notes.ipynb" in found.problem


def test_a_blank_notebook_beside_the_answers_is_said(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    put(tmp_path, released(NAME))
    put(tmp_path, solved, "lab2_parameters-Copy1.ipynb")
    found = examine(tmp_path, lab)
    assert kinds(found) == [("several notebooks", "")]
    assert is_whole(found.notebook, lab)


def test_a_broken_file_of_the_right_name_gives_way_to_a_good_copy(
    tmp_path: Path, lab: ReleasedLab, solved: NotebookNode
) -> None:
    put(tmp_path, b"")
    put(tmp_path, solved, "lab2_parameters (1).ipynb")
    found = examine(tmp_path, lab)
    assert kinds(found) == [("renamed", "")]
    assert "empty (0 bytes)" in found.findings[0].sentence


def test_files_that_do_not_belong_are_named(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not for students")
    folder = put(tmp_path / "ann", solved)
    (folder / "torch.py").write_text("1")
    (folder / "effkit").mkdir()
    (folder / "effkit" / "__init__.py").write_text("1")
    (folder / "answers.txt").symlink_to(secret)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "numpy.py").write_text("1")
    (folder / "loop").symlink_to(tmp_path / "modules")
    os.mkfifo(folder / "pipe.ipynb")
    with (folder / "data.bin").open("wb") as file:
        file.truncate(20_000_000)
    found = examine(folder, lab)
    assert kinds(found) == [("code file", ""), ("large file", ""), ("link", ""), ("special file", "")]
    assert is_whole(found.notebook, lab)
    sentences = " ".join(finding.sentence for finding in found.findings)
    assert "numpy.py" not in sentences
    for name in ("torch.py", "effkit/__init__.py", "answers.txt, loop", "pipe.ipynb", "data.bin"):
        assert name in sentences


def test_a_link_in_place_of_the_notebook_is_not_followed(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    put(tmp_path, solved, "elsewhere")
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / FILE).symlink_to(tmp_path / "elsewhere")
    for place in (tmp_path / "ann", tmp_path / "ann" / FILE):
        found = examine(place, lab)
        assert found.notebook is None
        assert "link" in " ".join(finding.sentence for finding in found.findings)


def test_a_name_that_is_no_text_is_shown_escaped(tmp_path: Path, lab: ReleasedLab, solved: NotebookNode) -> None:
    put(tmp_path, solved, os.fsdecode(b"L\xf6sung.ipynb"))
    found = examine(tmp_path, lab)
    assert kinds(found) == [("renamed", "")]
    found.findings[0].sentence.encode()
    assert r"L\udcf6sung.ipynb" in found.findings[0].sentence
