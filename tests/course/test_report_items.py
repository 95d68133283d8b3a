"""The statistics of tasks, by two roads: effkit's plain Python against numpy, and against classes with a known answer."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from effkit.course.report.items import by_chance, correlation, discrimination, histogram, mean, spread

points = st.integers(0, 40).map(lambda n: n / 4)
pairs = st.lists(st.tuples(points, points), min_size=2, max_size=60)


@given(pairs)
def test_the_correlation_is_numpys(scores: list[tuple[float, float]]) -> None:
    xs, ys = map(list, zip(*scores, strict=True))
    assume(len(set(xs)) > 1 and len(set(ys)) > 1)
    assert correlation(xs, ys) == pytest.approx(np.corrcoef(xs, ys)[0, 1], abs=1e-9)


@given(st.lists(st.tuples(points, points, points), min_size=10, max_size=60))
def test_discrimination_is_the_correlation_with_all_other_tasks(scores: list[tuple[float, float, float]]) -> None:
    table = np.array(scores)
    rest = table[:, 1:].sum(axis=1)
    assume(np.ptp(table[:, 0]) > 0 and np.ptp(rest) > 0)
    found = discrimination(list(table[:, 0]), list(table.sum(axis=1)))
    assert found == pytest.approx(np.corrcoef(table[:, 0], rest)[0, 1], abs=1e-9)


@given(points, st.integers(2, 40))
def test_without_variance_there_is_no_correlation(value: float, students: int) -> None:
    thirds = [value / 3] * students
    assert correlation(thirds, list(range(students))) is None
    assert correlation([0.1 + 0.2, 0.3] * students, [0, 1] * students) is None  # rounding is no variance


def test_a_task_that_has_nothing_to_do_with_itself_is_not_helped_by_its_own_points() -> None:
    scores, others = [0, 10] * 10, [0, 0, 1, 1] * 5
    totals = [a + b for a, b in zip(scores, others, strict=True)]
    assert correlation(scores, totals) == pytest.approx(1, abs=0.01)  # the uncorrected figure, which misleads
    assert discrimination(scores, totals) == pytest.approx(0)


def test_fewer_than_ten_students_say_nothing() -> None:
    assert discrimination([0, 1, 1], [2, 4, 5]) is None
    assert discrimination([0] * 4 + [1] * 5, [2] * 4 + [4] * 5) is None
    assert discrimination([0] * 5 + [1] * 5, [2] * 5 + [4] * 5) == 1


def test_chance_shrinks_with_the_class() -> None:
    assert by_chance(1) == 1
    assert by_chance(300) < by_chance(30) < by_chance(10) < 1


@given(st.lists(st.integers(-4, 140).map(lambda n: n / 4), max_size=80), st.integers(0, 400).map(lambda n: n / 4))
def test_every_total_is_in_one_bin_and_the_bins_are_few_and_touch(totals: list[float], maximum: float) -> None:
    bins = histogram(totals, maximum)
    assert sum(one.count for one in bins) == len(totals)
    assert len(bins) <= 16
    assert [one.low for one in bins[1:]] == [one.high for one in bins[:-1]]
    assert (bins[0].low, bins[-1].high) == (0, max(maximum, 1))
    for one in bins[1:-1]:
        assert one.count == sum(one.low <= total < one.high for total in totals)


@given(st.lists(points, min_size=2))
def test_the_quartiles_are_numpys(totals: list[float]) -> None:
    found = spread(totals)
    assert found is not None
    wanted = np.percentile(totals, [0, 25, 50, 75, 100])
    assert [found.low, found.lower_quarter, found.median, found.upper_quarter, found.high] == pytest.approx(list(wanted))


def test_nobody_and_one() -> None:
    assert (mean([]), spread([]), correlation([], [])) == (None, None, None)
    one = spread([7])
    assert one is not None
    assert one.median == one.low == one.high == 7
