"""What every lecture keeps to, and the labs where the rule fits. The rules are in `rules`, each with what it asks."""

import csv
import re
from pathlib import Path

import pytest

from tests.notebooks.committed import LECTURES, NOTEBOOKS, ROOT, each, read
from tests.notebooks.rules import FOR_ALL, FOR_LECTURES, Rule
from tests.notebooks.rules.text import headings

MAX_BYTES = 5_000_000
# What a lecture has to teach, by the ids of the course's list of concepts.
TAUGHT = {"07_roofline": "C070 C098-C099 C101 C105-C115 C125-C132 C144-C145 C153-C164"}

for_each_rule = pytest.mark.parametrize("rule", FOR_LECTURES, ids=lambda rule: rule.__name__)


@for_each_rule
@each(LECTURES)
def test_lectures_keep_to(rule: Rule, path: Path) -> None:
    findings = rule(read(path))
    assert not findings, "\n".join([rule.__doc__, *findings])


@pytest.mark.parametrize("rule", FOR_ALL, ids=lambda rule: rule.__name__)
@each([path for path in NOTEBOOKS if path not in LECTURES])
def test_labs_keep_to(rule: Rule, path: Path) -> None:
    findings = rule(read(path))
    assert not findings, "\n".join([rule.__doc__, *findings])


def test_each_lecture_has_its_source_and_its_notebook() -> None:
    sources = {path.with_suffix(".ipynb").relative_to(ROOT) for path in ROOT.glob("lectures/*.py")}
    assert sources == set(LECTURES), "run `make notebooks`"
    assert [path for path in LECTURES if not re.fullmatch(r"lectures/\d\d_[a-z0-9_]+\.ipynb", path.as_posix())] == []


@each(LECTURES)
def test_lecture_is_small_enough_to_open_anywhere(path: Path) -> None:
    sizes = {cell.id: len(str(cell.get("outputs", ""))) for cell in read(path).cells}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
    assert (ROOT / path).stat().st_size < MAX_BYTES, f"draw smaller pictures; the largest outputs: {largest}"


# -- which concept is taught where ---------------------------------------------------------------------------------------


def concepts() -> list[dict[str, str]]:
    with (ROOT / "lectures" / "concepts.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ids(ranges: str) -> set[str]:
    """Return all ids in a text such as "C070 C098-C099"."""
    ends = (part.replace("C", "").partition("-") for part in ranges.split())
    return {f"C{number:03d}" for first, _, last in ends for number in range(int(first), int(last or first) + 1)}


def test_each_concept_is_listed_once_with_the_place_where_it_is_taught() -> None:
    rows = concepts()
    assert rows
    assert all(set(row) == {"id", "notebook", "section"} for row in rows)
    assert [row["id"] for row in rows if not re.fullmatch(r"C\d{3}", row["id"])] == []
    assert len({row["id"] for row in rows}) == len(rows)


def test_each_section_of_the_concepts_is_a_heading() -> None:
    titles = {path.stem: {title for _, title in headings(read(path))} for path in LECTURES}
    assert [row for row in concepts() if row["section"] not in titles.get(row["notebook"], set())] == []


@pytest.mark.parametrize("lecture", TAUGHT)
def test_lecture_teaches_its_concepts(lecture: str) -> None:
    taught = {row["id"] for row in concepts() if row["notebook"] == lecture}
    assert ids(TAUGHT[lecture]) - taught == set()
