"""`check` as a student uses it: it never raises, always shows a score, and says what to do."""

import contextlib
import linecache
import signal
import sys
import threading
import warnings
from dataclasses import replace
from typing import Any

import pytest

import effkit
from effkit import counts
from effkit.grading import begin, check, progress
from effkit.grading.answers import MIME
from effkit.grading.tasks import LABS, find, tasks_of

check_module = sys.modules["effkit.grading.check"]


@pytest.fixture(autouse=True)
def fresh_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "_last", {})
    monkeypatch.setattr(check_module, "_needed_version", "")
    monkeypatch.delenv("EFFKIT_SEED", raising=False)


def right(in_features: int, out_features: int, bias: bool) -> int:
    return in_features * out_features + out_features * bias


def test_the_display_holds_score_findings_and_answers() -> None:
    data = check("linear_params", right)._repr_mimebundle_()
    assert data["text/plain"] == "2"
    assert "2 of 2 points" in data["text/html"]
    assert data[MIME]["task"] == "linear_params"
    assert len(data[MIME]["answers"]) == len(find("linear_params").cases(0))  # type: ignore[union-attr]


def test_the_text_report_is_there_where_no_html_is() -> None:
    shown = check("linear_params", lambda i, o, b: i * o)
    assert repr(shown) == "1"
    assert "Known mistake: bias forgotten." in str(shown)


def test_the_validate_button_is_told_the_reason(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """nbgrader's Validate shows what a check that is not at full points writes to stderr, and sets this variable."""
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")
    check("linear_params", right)
    assert capsys.readouterr().err == ""
    check("linear_params", lambda i, o, b: i * o)
    assert "Known mistake: bias forgotten." in capsys.readouterr().err
    monkeypatch.delenv("NBGRADER_VALIDATING")
    check("linear_params", lambda i, o, b: i * o)
    assert capsys.readouterr().err == ""


def test_the_seed_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFKIT_SEED", "12345")
    assert check("linear_params", right)._repr_mimebundle_()[MIME]["seed"] == 12345


def endless(*arguments: Any) -> int:
    while True:
        pass


def endless_and_deaf(*arguments: Any) -> int:
    while True:
        with contextlib.suppress(Exception):
            endless()


def lying_error(*arguments: Any) -> int:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Unspeakable


def two_arguments(in_features: int, out_features: int) -> int:
    return in_features * out_features


two_arguments.__qualname__ = "linear_params"


def broken_text(*arguments: Any) -> int:
    raise ValueError("\udc80")


def interrupted(*arguments: Any) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda i, o, b: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda i, o: i * o, "TypeError"),
        (two_arguments, "Keep the first line: def linear_params(in_features, out_features, bias):"),
        (lambda i, o, b: sys.exit(3), "SystemExit: 3"),
        (lambda i, o, b: float("inf"), "inf, which is not a finite number"),
        (lambda i, o, b: float("nan"), "nan, which is not a finite number"),
        (lambda i, o, b: "12", "Return a number, not a str"),
        (lambda i, o, b: None, "does it end in `return`?"),
        (lambda i, o, b: object(), "an object object, which is not a plain number"),
        (lambda i, o, b: True, "not a bool"),
        (lambda i, o, b: float(i * o + o * b), "Return an int, not a float"),
        (lambda i, o, b: 10**10_000, "more than 300 digits"),
        (lambda i, o, b: counts.linear_params(i, o, bias=b), "implement this yourself"),
        (lambda i, o, b: effkit.explain(counts.linear_params, i, o).values[0], "implement this yourself"),
        (lying_error, "Unspeakable"),
        (broken_text, "ValueError: \\udc80"),
        (lambda i, o, b: "\ud800", "not valid Unicode"),
        (interrupted, "the check was interrupted"),
        (endless, "no answer after"),
        (endless_and_deaf, "no answer after"),
        (None, "check needs the function itself"),
        (12, "not a int"),
    ],
)
def test_whatever_a_function_does_the_check_reports_it(function: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = replace(find("linear_params"), cpu_budget_s=0.2)  # type: ignore[type-var]  the endless loop need not take 5 s here
    monkeypatch.setattr(check_module, "find", lambda name: task)
    shown = check("linear_params", function)
    assert repr(shown) == "0"
    assert words in str(shown)


def test_an_exception_is_shown_with_the_students_own_line() -> None:
    namespace: dict[str, Any] = {}
    source = "def f(i, o, b):\n    total = i * o\n    return total / 0\n"
    linecache.cache["<cell>"] = (len(source), None, source.splitlines(True), "<cell>")
    exec(compile(source, "<cell>", "exec"), namespace)
    assert "at line 3: return total / 0" in str(check("linear_params", namespace["f"]))


def test_anything_may_be_given_as_a_name() -> None:
    for name in (["x"], None, 3, {}):
        assert "effkit knows no task of this name" in str(check(name, right))  # type: ignore[arg-type]


def test_an_unknown_task_is_answered_with_the_nearest_name() -> None:
    shown = check("linear_param", right)
    assert repr(shown) == "0"
    assert "Did you mean 'linear_params'?" in str(shown)


@pytest.mark.filterwarnings("ignore:a warning")
def test_what_a_function_prints_is_folded_into_the_report(capfd: pytest.CaptureFixture[str]) -> None:
    def chatty(i: int, o: int, b: bool) -> int:
        print("counting", i)
        print("to stderr", file=sys.stderr)
        warnings.warn("a warning", stacklevel=1)
        return right(i, o, b)

    shown = check("linear_params", chatty)
    assert repr(shown) == "2"
    assert "counting 4" in shown.html
    assert "to stderr" in shown.html
    out, err = capfd.readouterr()
    assert "counting" not in out
    assert "to stderr" not in err


def test_printing_without_end_does_not_fill_the_notebook() -> None:
    def flood(i: int, o: int, b: bool) -> int:
        for _ in range(2_000):
            print("x" * 1_000)
        print("x" * 1_000_000)
        return right(i, o, b)

    assert len(check("linear_params", flood).html) < 20_000


def test_a_function_cannot_change_a_case_for_the_next_call() -> None:
    def destroys(layers: Any) -> int:
        total = sum(params * bits for params, bits in layers) // 8
        if isinstance(layers, list):
            layers.clear()
        return total

    assert repr(check("mixed_precision_bytes", destroys)) == "3"


def test_the_time_limit_leaves_no_timer_or_handler_behind() -> None:
    before = signal.getsignal(signal.SIGPROF)
    check("linear_params", right)
    assert signal.getsignal(signal.SIGPROF) is before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_check_outside_the_main_thread_works() -> None:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(repr(check("linear_params", right))))
    thread.start()
    thread.join()
    assert results == ["2"]


def test_effkit_and_torch_count_again_after_a_check() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    seen: list[str] = []

    def peeks(i: int, o: int, b: bool) -> int:
        try:
            with FlopCounterMode(display=False):
                pass
        except RuntimeError as refused:
            seen.append(str(refused))
        return right(i, o, b)

    assert repr(check("linear_params", peeks)) == "2"
    assert all("implement this yourself" in text for text in seen)
    assert seen
    with FlopCounterMode(display=False) as counter:
        torch.ones(2, 3) @ torch.ones(3, 4)
    assert counter.get_total_flops() == 2 * 2 * 3 * 4
    assert counts.linear_params(4, 3) == 15


def test_progress_lists_every_task_of_the_lab() -> None:
    check("linear_params", right)
    check("norm_params", lambda c, b: c)
    text = str(progress("lab2_parameters"))
    for task in tasks_of("lab2_parameters"):
        assert task.name in text
    assert "solved" in text
    assert "partly solved" in text
    assert "not checked yet" in text
    assert "3 of 30" in text


@pytest.mark.parametrize(("needed", "mismatch"), [("0.1.0", False), ("0.1.1", True), ("0.2.0", True), ("0.0.9", True)])
def test_a_check_tells_when_effkit_is_not_the_one_the_lab_needs(
    needed: str, mismatch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effkit, "__version__", "0.1.0")
    begun = str(begin("lab2_parameters", effkit_version=needed))
    assert "11 checked tasks, 30 points" in begun
    told = f"written for effkit {needed}"
    assert (told in begun) == mismatch
    assert (told in str(check("linear_params", right))) == mismatch


def test_begin_and_progress_name_the_labs_when_given_another() -> None:
    for call in (lambda: begin("lab9", effkit_version="0.1.0"), lambda: progress("lab9")):
        with pytest.raises(ValueError, match=LABS[0]):
            call()
