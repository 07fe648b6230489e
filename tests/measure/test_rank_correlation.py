"""Kendall's tau and its interval, against a count of pairs, scipy and a published formula."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.measure.rank_correlation import LEAST, rank_correlation

COLUMN = st.lists(st.integers(0, 30), min_size=LEAST, max_size=20)


def counted(a, b):
    """Kendall's tau-b from its definition: concordant less discordant pairs, ties in the root."""
    signs = [
        (np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)
    ]
    agreed = sum(x * y for x, y in signs)
    return agreed / math.sqrt(sum(x != 0 for x, _ in signs) * sum(y != 0 for _, y in signs))


@given(st.data())
def test_tau_is_the_count_of_pairs_whatever_is_tied(data):
    a = data.draw(COLUMN)
    b = data.draw(st.lists(st.integers(0, 9), min_size=len(a), max_size=len(a)))
    found = rank_correlation(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found is None
        return
    assert found.tau == pytest.approx(counted(a, b))
    assert found.p_value == pytest.approx(stats.kendalltau(a, b).pvalue)
    assert found.n == len(a)


@given(st.data())
def test_only_the_order_counts_and_the_opposite_order_turns_all_signs(data):
    a = data.draw(st.permutations(range(9)))
    found = rank_correlation(a, range(9))
    assert rank_correlation([math.exp(value) for value in a], range(9)).tau == found.tau
    opposite = rank_correlation([-value for value in a], range(9))
    assert opposite.tau == pytest.approx(-found.tau)
    if found.low is not None:
        assert (opposite.low, opposite.high) == pytest.approx((-found.high, -found.low))
        assert -1 < found.low < found.tau < found.high < 1


def test_the_interval_is_fishers_z_with_the_published_variance():
    """By hand: z = atanh(tau), +- 1.96 sqrt(0.437 / (n - 4)), and back."""
    a, b = [1, 2, 3, 4, 5, 6, 7, 8], [2, 1, 4, 3, 6, 5, 8, 7]
    found = rank_correlation(a, b)
    assert found.tau == pytest.approx(20 / 28)
    z, half = math.atanh(20 / 28), 1.959964 * math.sqrt(0.437 / 4)
    assert found.low == pytest.approx(math.tanh(z - half), abs=1e-6)
    assert found.high == pytest.approx(math.tanh(z + half), abs=1e-6)


def test_the_interval_covers_the_tau_of_a_normal_pair_about_as_often_as_it_says():
    """Of a bivariate normal with correlation r, tau is 2 asin(r) / pi."""
    rng = np.random.default_rng(0)
    r = 0.5
    true = 2 / math.pi * math.asin(r)
    covered = 0
    for _ in range(400):
        x = rng.normal(size=30)
        found = rank_correlation(x, r * x + math.sqrt(1 - r * r) * rng.normal(size=30))
        covered += found.low < true < found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_equal_and_opposite_orders_have_no_interval():
    same = rank_correlation(range(6), range(6))
    assert same.tau == pytest.approx(1)
    assert (same.low, same.high) == (None, None)
    assert rank_correlation(range(6), range(6, 0, -1)).low is None


def test_too_few_constant_and_broken_columns():
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, 4]) is None
    assert rank_correlation([1, 2, 3, 4, 5], [2, 2, 2, 2, 2]) is None
    with pytest.raises(ValueError, match="NaN"):
        rank_correlation([1, 2, 3, 4, math.nan], [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="shape"):
        rank_correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6])
