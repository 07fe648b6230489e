"""Intervals and tests of differences against scipy.stats."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure import intervals
from harness.measure.separation import paired_p_values

VALUES = st.lists(st.floats(-100, 100, allow_nan=False), min_size=3, max_size=12).filter(
    lambda v: np.std(v) > 1e-3
)


@settings(deadline=None)
@given(VALUES, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_t_interval_equals_scipy(v, level):
    interval = intervals.t_interval(v, level)
    low, high = scipy.stats.t.interval(level, len(v) - 1, np.mean(v), scipy.stats.sem(v))
    assert interval.mean - interval.half_width == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert interval.mean + interval.half_width == pytest.approx(high, rel=1e-9, abs=1e-9)
    assert interval.std == pytest.approx(np.std(v, ddof=1), rel=1e-9)
    assert interval.n == len(v)


def test_the_interval_of_ten_repeats_uses_t_of_nine_degrees():
    v = np.arange(10.0)
    by_hand = 2.2621571628 * v.std(ddof=1) / math.sqrt(10)
    assert intervals.t_interval(v).half_width == pytest.approx(by_hand, rel=1e-9)


def test_one_value_has_an_infinite_interval_and_says_so():
    interval = intervals.t_interval([3.0])
    assert (interval.mean, interval.half_width, interval.n) == (3.0, math.inf, 1)
    assert interval.describe() == "one of repeats, no interval"


def test_an_interval_says_what_it_is_and_of_how_many():
    text = intervals.t_interval(range(10)).describe()
    assert text == "± 95 % t interval of the mean of 10 repeats"


@settings(deadline=None)
@given(VALUES, st.data())
def test_paired_difference_equals_scipy(a, data):
    b = data.draw(st.lists(st.floats(-100, 100), min_size=len(a), max_size=len(a)))
    if np.std(np.subtract(a, b)) < 1e-3:
        return
    difference = intervals.paired_difference(a, b)
    theirs = scipy.stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval(0.95)
    assert difference.p_value == pytest.approx(theirs.pvalue, rel=1e-7)
    assert difference.mean - difference.half_width == pytest.approx(low, rel=1e-7, abs=1e-7)
    assert difference.mean + difference.half_width == pytest.approx(high, rel=1e-7, abs=1e-7)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_welch_equals_scipy_from_values_and_from_printed_summaries(a, b):
    theirs = scipy.stats.ttest_ind(a, b, equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    summaries = [
        intervals.summary(float(np.mean(v)), float(np.std(v, ddof=1)), len(v)) for v in (a, b)
    ]
    for difference in (intervals.welch(a, b), intervals.welch(*summaries)):
        assert difference.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
        assert difference.df == pytest.approx(theirs.df, rel=1e-6)
        assert difference.mean - difference.half_width == pytest.approx(low, rel=1e-6, abs=1e-6)
        assert difference.mean + difference.half_width == pytest.approx(high, rel=1e-6, abs=1e-6)
        assert (difference.n, difference.n_b) == (len(a), len(b))


def test_welch_from_intervals_of_unequal_level_agrees_with_scipy_from_stats():
    a = intervals.Interval(28.47, 0.29, 10)
    b = intervals.Interval(26.82, 0.30, 10, level=0.99)
    t95, t99 = scipy.stats.t.ppf([0.975, 0.995], 9)
    theirs = scipy.stats.ttest_ind_from_stats(
        28.47, 0.29 * 10**0.5 / t95, 10, 26.82, 0.30 * 10**0.5 / t99, 10, equal_var=False
    )
    assert intervals.welch(a, b).p_value == pytest.approx(theirs.pvalue, rel=1e-9)


@pytest.mark.parametrize(
    "difference",
    [
        intervals.paired_difference([2, 3, 4], [1, 2, 3]),
        intervals.paired_difference([1, 2, 3], [1, 2, 3]),
        intervals.paired_difference([0.1, 0.3], [0.2, 0.4]),  # equal but for rounding
        intervals.paired_difference([0.1 + 0.2, 0.7], [0.2, 0.6]),
        intervals.welch([1, 1], [2, 2]),
        intervals.welch(intervals.summary(41.5, 0.0, 5), intervals.summary(40.0, 0.0, 3)),
    ],
)
def test_a_difference_without_any_spread_has_no_test_and_says_so(difference):
    assert difference.p_value is None
    assert difference.half_width is None
    assert "without any spread" in difference.describe()


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=12),
    st.floats(-0.5, 0.5).filter(lambda shift: abs(shift) > 1e-6),
)
def test_no_two_losses_that_differ_by_one_constant_are_told_apart_for_certain(values, shift):
    shifted = [value + shift for value in values]
    assert intervals.paired_difference(shifted, values).p_value is None
    runs = {"a": dict(enumerate(shifted)), "b": dict(enumerate(values))}
    assert paired_p_values(runs) == {("a", "b"): None}


def test_a_spread_on_one_side_is_enough_for_a_test_of_welch():
    theirs = scipy.stats.ttest_ind([1.0, 1.0, 1.0], [2.0, 2.2, 2.1], equal_var=False)
    ours = intervals.welch([1.0, 1.0, 1.0], [2.0, 2.2, 2.1])
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_one_more_run_beside_others_has_the_p_value_of_its_prediction_interval():
    others = [50.0, 51.0, 53.0, 50.5]
    t = (56.0 - np.mean(others)) / (np.std(others, ddof=1) * np.sqrt(1 + 1 / 4))
    interval = intervals.t_interval(others)
    expected = 2 * scipy.stats.t.sf(t, 3)
    assert intervals.prediction_p_value(56.0, interval) == pytest.approx(expected)
    assert intervals.prediction_p_value(56.0, intervals.t_interval([50.0, 50.0])) is None


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: intervals.t_interval([]), "at least 1"),
        (lambda: intervals.t_interval([1.0, math.nan]), "NaN"),
        (lambda: intervals.paired_difference([1, 2], [1, 2, 3]), "pairs needed"),
        (lambda: intervals.welch([1.0], [1.0, 2.0]), "at least 2"),
        (
            lambda: intervals.welch(intervals.Interval(1, math.inf, 1), [1.0, 2.0]),
            "at least 2 runs",
        ),
        (lambda: intervals.Interval(1.0, -0.1, 5), "half_width >= 0"),
        (lambda: intervals.summary(1.0, 0.1, 1), "n >= 2"),
    ],
)
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 7))
def test_p_values_of_all_pairs_are_scipys_over_the_repeats_that_both_have(seed, names, repeats):
    rng = np.random.default_rng(seed)
    runs = {
        str(name): {r: float(rng.normal(name / 3)) for r in range(repeats) if rng.random() < 0.8}
        for name in range(names)
    }
    p_values = paired_p_values(runs)
    assert list(p_values) == list(combinations(runs, 2))
    for (a, b), p in p_values.items():
        shared = sorted(set(runs[a]) & set(runs[b]))
        if len(shared) < 2:
            assert p is None
        else:
            left, right = ([runs[name][r] for r in shared] for name in (a, b))
            assert p == pytest.approx(scipy.stats.ttest_rel(left, right).pvalue, rel=1e-9)


def test_pairs_without_any_spread_or_two_shared_repeats_have_no_test_and_nan_is_refused():
    runs = {"a": {0: 1.0, 1: 2.0}, "b": {0: 1.0, 1: 2.0}, "c": {0: 2.0, 1: 3.0}, "d": {5: 1.0}}
    assert paired_p_values(runs) == dict.fromkeys(combinations("abcd", 2))
    assert paired_p_values({"a": {0: 1.0}}) == {}
    with pytest.raises(ValueError, match="NaN or infinite"):
        paired_p_values({"a": {0: float("nan")}, "b": {0: 1.0}})


def test_importing_the_statistics_pulls_in_neither_torch_nor_scipy_stats():
    code = (
        "import sys, harness.measure.intervals, harness.measure.multiple_comparisons\n"
        "import harness.measure.bootstrap, harness.measure.ranks, harness.measure.separation\n"
        "print([m for m in ('torch', 'scipy.stats', 'pandas') if m in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"
