"""What a teacher reads in the report: the right people, the right tasks, and nothing that a student planted there."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from effkit.course.records import NO_FEEDBACK, Record
from effkit.course.report import matters
from effkit.course.report.gather import Results
from effkit.course.report.page import visible
from effkit.course.report.tasks import TaskRow, Totals, rows
from effkit.course.report.write import make
from effkit.course.roster import Person
from effkit.grading.tasks import find
from tests.course.reporting import LAB, POINTS, WRITTEN, class_of, not_graded, person, record, results

TASK = "conv_params"


def page(of: Results) -> str:
    return make(of).files[f"{LAB}-report.html"].decode()


def row(of: Results, task: str = TASK) -> TaskRow:
    return next(row for row in rows(of, Totals(of)) if row.name == task)


def labels(of: Results, task: str = TASK) -> list[str]:
    return [mark.label for mark in row(of, task).marks]


class Reader(HTMLParser):
    """Reads a page as a browser would: elements with their attributes, and whether all are closed."""

    VOID = ("meta", "rect", "line", "path", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# -- the figures --------------------------------------------------------------------------------------------------------


def test_a_pass_is_full_points_and_who_waits_or_is_not_graded_is_left_out() -> None:
    of = results(
        record("ann"), record("bo", {TASK: 1}), record("cy", {TASK: 0}), record("di", {TASK: None}), not_graded("ed")
    )
    found = row(of)
    assert (found.full, found.part, found.none, found.waiting, len(found.scores)) == (1, 1, 1, 1, 3)
    assert found.pass_rate == pytest.approx(1 / 3)
    assert "1 wait for a person and are left out" in page(of)


def test_few_who_wait_are_left_out_of_the_totals_but_a_task_that_many_wait_for_is() -> None:
    one = results(record("di", {WRITTEN: None}), *(record(f"s{n}") for n in range(10)))
    assert (Totals(one).left_out_students, Totals(one).left_out_tasks, Totals(one).maximum) == (1, (), 32)
    many = results(*(record(f"s{n}", {WRITTEN: None if n else 0}) for n in range(11)))
    assert (Totals(many).left_out_students, Totals(many).left_out_tasks) == (0, (WRITTEN,))
    assert set(Totals(many).values) == {30}
    assert f"The totals are without {WRITTEN}" in page(many)


def test_lateness_is_in_the_totals_and_said() -> None:
    of = results(record("ann"), record("late", score=20.0))
    assert sorted(Totals(of).values) == [20, 32]
    assert "From 1 of the totals points are taken off for lateness" in page(of)


def test_a_score_of_a_failed_resubmission_is_in_no_figure() -> None:
    of = results(record("ann"), record("bo", {TASK: 0}, status="not graded", problem="it is empty"))
    assert row(of).scores == (POINTS[TASK],)
    assert Totals(of).values == (32,)


# -- tasks that look badly posed ----------------------------------------------------------------------------------------


def ranked(scores_of_task: list[float]) -> Results:
    """Return students of rising ability, with these scores in the task."""
    others = [task for task in POINTS if task != TASK]
    size = len(scores_of_task)
    made = []
    for place, score in enumerate(scores_of_task):
        full = len(others) * place // max(1, size - 1)
        own: dict[str, float | None] = {task: (POINTS[task] if n < full else 0.0) for n, task in enumerate(others)}
        made.append(record(f"s{place:02}", {**own, TASK: score}))
    return results(*made)


def test_a_task_that_good_students_fail_is_marked_with_what_to_do() -> None:
    of = ranked([3.0] * 6 + [0.0] * 6)
    found = row(of)
    assert found.discrimination is not None
    assert found.discrimination < -0.8
    assert labels(of) == ["good students lose points"]
    assert "Look for a wrong reference" in page(of)


def test_a_task_that_tells_nothing_is_marked_and_one_that_does_is_not() -> None:
    assert labels(ranked([0.0, 3.0] * 8)) == ["tells students badly apart"]
    assert labels(ranked([0.0] * 8 + [3.0] * 8)) == []
    assert "No task looks badly posed" in page(results(record("ann"), record("bo")))


def test_a_task_that_hardly_anybody_solves_is_marked() -> None:
    assert labels(ranked([0.0] * 13 + [3.0])) == ["hardly anybody solves it"]


def test_an_easy_task_is_not_called_badly_posed() -> None:
    of = ranked([0.0 if n == 12 else 3.0 for n in range(25)])
    assert labels(of) == []
    assert "nearly everybody solves it" in page(of)


def test_a_small_class_says_that_it_is_too_small() -> None:
    of = ranked([3.0] * 4 + [0.0] * 5)
    assert (labels(of), row(of).discrimination) == ([], None)
    assert "it takes 10 students, and there are 9" in page(of)


def test_without_variance_it_says_so() -> None:
    of = results(*(record(f"s{n}") for n in range(12)))
    assert row(of).discrimination is None
    assert "all scores, or all other scores, are the same" in page(of)


def test_an_unexplained_answer_that_many_share_marks_the_task_and_accuses_nobody() -> None:
    shared = [record(f"s{n:02}", {TASK: 0}, wrong={TASK: "d"}) for n in range(8)]
    of = results(*shared, *(record(f"t{n:02}") for n in range(12)))
    assert "many share an unexplained answer" in labels(of)
    assert "8 students give one and the same wrong answer" in page(of)
    assert not matters.flags(of)


# -- people -------------------------------------------------------------------------------------------------------------


def test_mistakes_come_by_frequency_with_the_students_and_the_hint() -> None:
    task = find(TASK)
    assert task is not None
    rare, often = task.misconceptions[0], task.misconceptions[1]
    of = results(
        record("ann", misconceptions={TASK: often.name}),
        record("bo", misconceptions={TASK: rare.name}),
        record("cy", misconceptions={TASK: often.name}),
        record("di"),
        people={"ann": person("ann")},
    )
    found = matters.mistakes(of)
    assert [(one.name, one.students, one.share) for one in found] == [
        (often.name, ("ann", "cy"), 0.5),
        (rare.name, ("bo",), 0.25),
    ]
    assert found[0].hint == often.hint
    assert "Ann Example ann" in Reader(page(of)).text


def test_a_student_without_a_name_in_the_gradebook_goes_by_the_id() -> None:
    of = results(record("ann"), not_graded("bo"), people={"ann": Person("ann"), "bo": Person("bo")})
    assert (of.name("ann"), of.name("bo"), of.name("unknown")) == ("ann", "bo", "unknown")
    assert f"effkit grade {LAB} again. bo" in Reader(page(of)).text


def flag(kind: str, text: str, line: int = 3, cell: str = "conv_params-solution") -> dict[str, object]:
    return {"kind": kind, "cell": cell, "line": line, "text": text}


def test_a_flag_stands_with_its_evidence_and_that_it_proves_nothing() -> None:
    of = results(record("ann", flags=[flag("reference used", "from effkit import counts")]), record("bo"))
    text = Reader(page(of)).text
    assert "A flag is no proof, and it costs no points." in text
    assert "ann conv_params-solution 3 from effkit import counts" in text
    assert of.needs_attention


def test_the_same_evidence_stands_once_with_all_who_share_it() -> None:
    same = {"wrong": {TASK: "d"}, "reasons": {TASK: "608 was expected and 600 came"}}
    flags = [flag("identical wrong answers", "the same wrong answers as the other", 0, TASK)]
    of = results(record("ann", flags=flags, **same), record("bo", flags=flags, **same), record("cy"))
    (found,) = matters.flags(of)
    assert [(one.students, one.text) for one in found.evidence] == [(("ann", "bo"), "608 was expected and 600 came")]


def test_not_graded_students_stand_with_the_reason_those_with_the_same_together() -> None:
    of = results(not_graded("ann"), not_graded("bo"), not_graded("cy", "it is empty. Ask again."), record("di"))
    found = [(one.title, one.students) for one in matters.attention(of)]
    assert found == [("Not graded", ("ann", "bo")), ("Not graded", ("cy",))]
    text = Reader(page(of)).text
    assert "it is empty. Ask again." in text
    assert f"effkit grade {LAB} again" in text
    assert "3 are not graded, for the reasons below, and left out of all figures" in text


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({"new": ("zed",)}, "Not graded yet"),
        ({"changed": ("ann",)}, "Changed"),
        ({"misplaced": ("submitted/x.ipynb",)}, "Left out"),
        ({"notices": ("There is no gradebook.",)}, "Take note"),
    ],
)
def test_what_grading_has_yet_to_do_needs_attention(more: dict[str, tuple[str, ...]], title: str) -> None:
    of = results(record("ann"), **more)
    assert of.needs_attention
    assert [one.title for one in matters.attention(of)] == [title]


def test_it_needs_attention_when_grading_says_so_and_not_for_written_answers() -> None:
    finding = {"kind": "timestamp", "cell": "", "sentence": "timestamp.txt holds no date.", "repaired": False}
    mended = {**finding, "kind": "duplicated", "repaired": True}
    assert results(record("ann", findings=[finding])).needs_attention
    assert results(record("ann", status=NO_FEEDBACK)).needs_attention
    assert not results(record("ann", {WRITTEN: None}, findings=[mended])).needs_attention
    assert not results(record("ann"), without=("bo",)).needs_attention
    assert "Nobody: everything that was handed in is graded" in page(results(record("ann")))


def test_repairs_are_grouped_and_how_it_was_run_is_said() -> None:
    finding = {"kind": "duplicated", "cell": TASK, "sentence": f"the cell {TASK} is there twice.", "repaired": True}
    of = results(
        record("ann", findings=[finding, finding], seconds=9.0), record("bo", findings=[finding], level="none", seed=8)
    )
    assert matters.attention(of) == []
    (found,) = matters.findings(of, repaired=True)
    assert (found.title, found.students) == ("duplicated", ("ann", "bo"))
    text = Reader(page(of)).text
    assert "bubblewrap: 1 student, no sandbox: students' code had your rights: 1 student." in text
    assert "7: 1 student, 8: 1 student" in text
    assert "slowest: ann 9.0" in text


# -- the page -----------------------------------------------------------------------------------------------------------


HOSTILE = "<script>alert(1)</script>"


def hostile() -> Results:
    finding = {"kind": HOSTILE, "cell": "", "sentence": f"{HOSTILE} `{HOSTILE}`", "repaired": False}
    nasty = record(
        f'"><img src=x onerror=alert(1)>{HOSTILE}',
        {TASK: 0},
        flags=[flag(HOSTILE, HOSTILE, cell=HOSTILE), flag("reference used", "\u202ex = 1 # \x1b[31m")],
        findings=[finding, {**finding, "repaired": True}],
        misconceptions={TASK: HOSTILE},
        level=HOSTILE,
    )
    broken = not_graded("javascript:alert(1)//\udcff", f"{HOSTILE} {{{{ 7 * 7 }}}} {{% raw %}}")
    people = {nasty.student: person(HOSTILE)}
    return results(nasty, broken, people=people, new=(HOSTILE,), misplaced=(HOSTILE,), without=(HOSTILE,))


def test_nothing_that_a_student_writes_runs_or_is_hidden() -> None:
    text = page(hostile())
    read = Reader(text)
    assert not {tag for tag, _ in read.tags} & {"script", "img", "iframe", "object", "embed", "link", "form"}
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    links = {attributes["href"] for tag, attributes in read.tags if tag == "a"}
    assert all(re.match(r"#\w+$|\.\./feedback/[^:<>\"]*$", link or "") for link in links)
    assert HOSTILE in read.text
    assert "{{ 7 * 7 }}" in read.text
    assert "49" not in read.text
    assert "\\u202ex = 1 # \\x1b[31m" in read.text
    assert "\u202e" not in text


def test_it_loads_nothing_and_allows_nothing() -> None:
    text = page(class_of(30))
    policies = [a["content"] for tag, a in Reader(text).tags if tag == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert not re.search(r"https?:|src=|@import|url\((?!#)", text)


@pytest.mark.parametrize("size", [0, 1, 2, 30, 300])
def test_any_size_of_class_gives_a_whole_page_the_same_each_time(size: int) -> None:
    of = class_of(size)
    first, second = make(of), make(class_of(size))
    assert first.files == second.files
    read = Reader(page(of))
    assert read.open == []
    assert f"{size} student{'' if size == 1 else 's'} handed in" in read.text
    assert [tag for tag, _ in read.tags if tag == "h1"] == ["h1"]


def test_it_is_a_page_for_everybody() -> None:
    """Charts say what is seen, tables say what they hold, and headings step down one level at a time."""
    read = Reader(page(class_of(30)))
    alts = [a["aria-label"] or "" for _, a in read.tags if a.get("role") == "img"]
    assert [alt.split(" of ")[0] for alt in alts] == ["Histogram", "Bars"]
    assert "The median is" in alts[0]
    assert re.search(rf"{TASK}: \d+ full, \d+ part, \d+ none", alts[1])
    tables = sum(tag == "table" for tag, _ in read.tags)
    assert tables == sum(tag == "caption" for tag, _ in read.tags) > 3
    assert all(a.get("scope") in ("row", "col") for tag, a in read.tags if tag == "th")
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for tag, a in read.tags if tag == "a" and (a["href"] or "").startswith("#")} <= set(ids)  # type: ignore[index]


def test_long_lists_fold_and_short_ones_do_not() -> None:
    mistake = {TASK: "bias forgotten"}
    few = results(*(record(f"s{n}", misconceptions=mistake) for n in range(3)))
    many = results(*(record(f"s{n:03}", misconceptions=mistake) for n in range(200)))
    assert "<details>" not in page(few)
    assert "<details><summary>200 students</summary>" in page(many)


def test_where_nobody_has_a_score_it_says_so() -> None:
    nothing: dict[str, float | None] = dict.fromkeys(POINTS)
    of = results(record("ann", nothing), record("bo", nothing), not_graded("cy"))
    text = Reader(page(of)).text
    assert "There are no complete scores" in text
    assert "no scores yet" in text
    only_broken: tuple[Record, ...] = (not_graded("cy"),)
    assert "Nothing was run." in Reader(page(results(*only_broken))).text


def test_visible_keeps_every_script_of_the_world() -> None:
    assert visible("Zoë Дмитрий 李雷 عمر\u00a0x") == "Zoë Дмитрий 李雷 عمر\u00a0x"
    assert visible("a\u200bb\udcff\x00") == "a\\u200bb\\udcff\\x00"
