"""Runs every lecture on the stand-in for Colab, from a folder that holds only the notebook, and compares what comes out.

`make test-colab` runs this file once more with the versions that Colab has: see colab-requirements.txt.
"""

import copy
import re
from typing import Any

import matplotlib.font_manager  # noqa: F401  makes the font cache; a lecture that has to do so tells it on stderr
import pytest
from nbformat import NotebookNode

import effkit
from effkit.course.lecture_outputs import clean
from tests.notebooks.colab_stand_in import Colab, Visit, errors, printed
from tests.notebooks.committed import LECTURES, ROOT, read


@pytest.fixture(scope="module", params=LECTURES, ids=str)
def visit(request: pytest.FixtureRequest, colab: Colab) -> Visit:
    path = request.param
    return colab.open(path.name, (ROOT / path).read_text(encoding="utf-8"))


def test_lecture_runs_to_its_end(visit: Visit, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():  # a report and no test: how long it takes depends on the machine
        print(f" {visit.files[0]} took {visit.seconds():.1f} s ", end="")
    assert errors(visit) == {}


def test_lecture_writes_nothing_on_stderr(visit: Visit) -> None:
    noise = {cell.id: printed(cell, "stderr") for cell in visit.notebook.cells}
    assert {cell_id: text for cell_id, text in noise.items() if text} == {}


def test_lecture_needs_and_leaves_no_file(visit: Visit) -> None:
    assert [name for name in visit.files if not name.endswith(".ipynb")] == []
    assert len(visit.files) == 1


def test_lecture_adds_effkit_and_changes_no_package(visit: Visit) -> None:
    assert visit.after == visit.before | {"effkit": effkit.__version__}


def test_lecture_shows_what_is_committed(visit: Visit) -> None:
    """Text is the same to the letter, a picture by its alt text: its pixels depend on the version of matplotlib."""
    committed = read(next(path for path in LECTURES if path.name == visit.files[0]))
    ran = copy.deepcopy(visit.notebook)
    clean(ran)
    pairs = [pair for pair in zip(committed.cells, ran.cells, strict=True) if pair[0].cell_type == "code"]
    pairs = pairs[1:]  # the first cell installs effkit on Colab and says so
    differ = [f"{after.id}: {shown(before)} -> {shown(after)}" for before, after in pairs if shown(before) != shown(after)]
    assert not differ, "\n".join(["If that is what effkit now shows, run `make notebooks RERUN=1`.", *differ])


def shown(cell: NotebookNode) -> list[dict[str, Any]]:
    """Return a cell's outputs with the alt text in place of each picture."""
    return [{kind: described(text) for kind, text in contents(output).items()} for output in cell.outputs]


def contents(output: NotebookNode) -> dict[str, Any]:
    return output.get("data") or {"text": output.get("text", "")}


def described(text: Any) -> Any:
    return re.sub(r"<img\b[^>]*?\balt=\"([^\"]*)\"[^>]*>", r"[\1]", text) if isinstance(text, str) else text
