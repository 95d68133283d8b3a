"""The report's CSV files: what a spreadsheet, Canvas and Moodle make of them."""

import csv
import io

import pytest

from effkit.course.report.gather import Results
from effkit.course.report.write import make
from effkit.course.roster import Person
from tests.course.reporting import LAB, POINTS, WRITTEN, class_of, not_graded, person, record, results

TASK = "conv_params"
FORMULA = "=cmd|' /C calc'!A0"


def table(of: Results, kind: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(make(of).files[f"{LAB}-{kind}.csv"].decode(), newline="")))


def column(lines: list[list[str]], name: str) -> list[str]:
    return [line[lines[0].index(name)] for line in lines[1:]]


def test_canvas_gets_its_five_columns_then_a_column_for_each_task_and_the_points_possible() -> None:
    header, points, ann = table(results(record("ann", {TASK: 1.5}), people={"ann": person("ann", 7)}), "canvas")
    assert header[:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert header[5:] == [f"{LAB}: {task}" for task in [*POINTS, "total"]]
    assert points[:5] == ["Points Possible", "", "", "", ""]
    assert points[5:] == [f"{value:g}" for value in [*POINTS.values(), 32]]
    assert ann[:5] == ["Example, Ann", "1007", "ann", "ann", ""]
    assert (ann[header.index(f"{LAB}: {TASK}")], ann[-1]) == ("1.5", "30.5")


def test_moodle_gets_the_ids_it_can_look_for_and_a_column_for_each_task() -> None:
    header, ann = table(results(record("ann"), people={"ann": person("ann")}), "moodle")
    assert header[:5] == ["First name", "Last name", "Username", "ID number", "Email address"]
    assert header[5:] == [f"{LAB}: {task}" for task in [*POINTS, "total"]]
    assert ann[:5] == ["Ann", "Example", "ann", "ann", "ann@uni.example"]
    assert ann[-1] == "32"


def test_moodle_gets_no_column_of_addresses_that_some_lack() -> None:
    """It would refuse the file, or take an empty one for the student of the line before."""
    of = results(record("ann"), record("bo"), people={"ann": person("ann"), "bo": Person("bo")})
    assert "Email address" not in table(of, "moodle")[0]


@pytest.mark.parametrize(("kind", "nothing"), [("canvas", ""), ("moodle", "-")])
def test_what_waits_for_a_person_is_no_grade_and_neither_is_its_total(kind: str, nothing: str) -> None:
    lines = table(results(record("ann", {WRITTEN: None}), record("bo", {WRITTEN: 0})), kind)
    assert column(lines, f"{LAB}: {WRITTEN}")[-2:] == [nothing, "0"]
    assert column(lines, f"{LAB}: total")[-2:] == [nothing, "30"]
    assert column(lines, f"{LAB}: {TASK}")[-2:] == ["3", "3"]


@pytest.mark.parametrize("kind", ["canvas", "moodle"])
def test_who_is_not_graded_is_not_in_it_so_that_an_import_changes_nothing(kind: str) -> None:
    of = results(not_graded("ann"), record("bo", status="not graded", problem="it is empty"), record("cy"), new=("di",))
    ids = column(table(of, kind), "SIS Login ID" if kind == "canvas" else "Username")
    assert [one for one in ids if one] == ["cy"]


def test_lateness_is_in_the_total() -> None:
    assert table(results(record("ann", score=20.0)), "canvas")[-1][-1] == "20"


@pytest.mark.parametrize("student", ["ann", "+49-170", "-x", "@ann", "007", "o'neil", "Zoë", "a@b.c"])
def test_an_id_that_can_do_no_harm_is_left_as_the_lms_knows_it(student: str) -> None:
    of = results(record(student), people={student: Person(student, email=f"{student}@uni.example")})
    assert table(of, "canvas")[-1][2:4] == [student, student]
    assert table(of, "moodle")[-1][2:5] == [student, student, f"{student}@uni.example"]


@pytest.mark.parametrize("formula", [FORMULA, "=cmd()", "@SUM(1)", "+1|2", "-2+3+cmd|' /C calc'!A0", " =1"])
def test_a_formula_in_an_id_or_a_name_does_not_run_and_the_teacher_is_told_of_the_id(formula: str) -> None:
    of = results(record(formula), people={formula: Person(formula, formula, "", formula, "12")})
    for kind in ("canvas", "moodle", "report"):
        for line in table(of, kind):
            assert not [cell for cell in line if cell.lstrip()[:1] in ("=", "@", "+") or cell[:1] == "\t"]
    assert table(of, "canvas")[-1][:4] == [f"'{formula}", "12", f"'{formula}", f"'{formula}"]
    assert "Not found by their ids" in make(of).files[f"{LAB}-report.html"].decode()


def test_a_tab_before_a_formula_is_spelled_out() -> None:
    of = results(record("\t=1"))
    assert table(of, "canvas")[-1][:4] == [r"\t=1", "", r"\t=1", r"\t=1"]


def test_a_student_called_points_possible_does_not_set_the_points() -> None:
    of = results(record("ann"), people={"ann": Person("ann", "Ann", "Points Possible")})
    assert [line[0] for line in table(of, "canvas")] == ["Student", "Points Possible", "ann"]


def test_only_a_number_is_put_into_canvas_id() -> None:
    for lms_id in ("=1+1", "12a", "١٢"):
        of = results(record("ann"), people={"ann": Person("ann", lms_id=lms_id)})
        assert table(of, "canvas")[-1][1] == ""


def test_the_tasks_table_has_the_figures_and_the_most_frequent_mistake() -> None:
    of = results(
        record("ann", {TASK: 0}, misconceptions={TASK: "bias forgotten"}),
        record("bo", {TASK: 1}, misconceptions={TASK: "kernel taken as square"}),
        record("cy", {TASK: 0}, misconceptions={TASK: "bias forgotten"}),
        record("di", {TASK: None}),
        record("ed"),
    )
    lines = table(of, "report")
    assert [line[0] for line in lines[1:]] == list(POINTS)
    row = dict(zip(lines[0], next(line for line in lines if line[0] == TASK), strict=True))
    figures = ("points", "students", "waiting", "full", "part", "none", "mean", "pass_rate", "discrimination")
    assert [row[name] for name in figures] == ["3", "4", "1", "1", "1", "2", "1", "0.25", ""]
    assert (row["most_frequent_mistake"], row["students_with_it"]) == ("bias forgotten", "2")


def test_every_line_has_as_many_cells_as_the_first() -> None:
    for of in (class_of(0), class_of(1), class_of(300)):
        for kind in ("canvas", "moodle", "report"):
            assert len({len(line) for line in table(of, kind)}) == 1
    assert len(table(class_of(300), "canvas")) == 2 + len(class_of(300).graded)
