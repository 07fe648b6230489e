"""A mean as text: its interval, or each repeat where there are few, and always who failed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness.measure.power import repeats_for_half_width
from harness.tables import mean_text

TWO = [0.3333, 0.5167]


@pytest.mark.parametrize(
    ("values", "failed", "expected"),
    [
        ([], 0, "-"),
        ([], 3, "- (0 of 3)"),
        ([0.1], 0, "10.00 (n = 1)"),
        ([0.1], 2, "10.00 (1 of 3)"),
        (TWO, 0, "42.50 (33.33; 51.67)"),  # and not 42.50 ± 116.51
        (TWO, 1, "42.50 (2 of 3: 33.33; 51.67)"),
        ([0.1, 0.2, 0.3, 0.4], 0, "25.00 (10.00; 20.00; 30.00; 40.00)"),
        ([0.1, 0.1, 0.1, 0.1, 0.2], 0, "12.00 ± 5.55"),
        ([0.1, 0.1, 0.1, 0.1, 0.2], 5, "12.00 ± 5.55 (5 of 10)"),
        ([0.1] * 5, 0, "10.00 (no spread)"),
        ([0.1] * 5, 1, "10.00 (5 of 6, no spread)"),
    ],
)
def test_a_mean_shows_its_interval_or_each_of_few_repeats_and_who_failed(values, failed, expected):
    assert mean_text.text(values, failed=failed) == expected


def test_a_difference_bears_its_sign():
    assert mean_text.text([0.01, -0.03], spec="+.2f") == "-1.00 (+1.00; -3.00)"


def test_repeats_stand_in_the_order_of_their_numbers():
    assert mean_text.in_order({2: 0.3, 0: 0.1, 1: 0.2}) == [0.1, 0.2, 0.3]


@settings(deadline=None)
@given(st.floats(1e-4, 0.3), st.floats(0.002, 0.2), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_repeats_needed_are_the_fewest_whose_interval_scipy_finds_small_enough(
    std, half, level
):
    def half_width(n):
        return scipy_stats.t.ppf(0.5 + level / 2, n - 1) * std / math.sqrt(n)

    n = repeats_for_half_width(half, std, level)
    assert half_width(n) <= half * (1 + 1e-9)
    assert n == 2 or half_width(n - 1) > half * (1 - 1e-9)


@pytest.mark.parametrize(("half_width", "std"), [(0, 1), (-1, 1), (1, -1), (1, math.inf)])
def test_repeats_for_no_half_width_or_no_std_are_refused(half_width, std):
    with pytest.raises(ValueError, match="half-width above 0"):
        repeats_for_half_width(half_width, std)


def test_few_repeats_are_explained_with_how_many_a_half_width_of_one_point_needs():
    columns = {"a": [TWO, [0.30, 0.31]], "b": [[0.1, 0.1]]}
    (line,) = mean_text.needed_line(columns, "each column")
    n = repeats_for_half_width(0.01, float(np.std(TWO, ddof=1)))
    assert (
        f"± 1 point in each column, if the spread is as here (few repeats say little of it): a {n}."
        in line
    )
    assert mean_text.needed_line({"a": [[0.1, 0.2, 0.3, 0.4, 0.5]]}, "each column") == []


def test_many_losses_are_not_listed_but_spanned():
    columns = {f"l{i}": [[0.1, 0.1 + 0.01 * (i + 1)]] for i in range(9)}
    (line,) = mean_text.needed_line(columns, "each column")
    assert "(l0) and" in line
    assert "(l8) a loss" in line
    assert "l4" not in line
