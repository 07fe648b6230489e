"""The spread over searches beside that over repeats, against the analysis of variance."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from harness.measure.variance import least_difference, spread


def test_the_spreads_are_those_of_a_one_way_analysis_of_variance():
    rng = np.random.default_rng(3)
    values = (rng.normal(0, 2, (5, 1)) + rng.normal(0, 1, (5, 4))).tolist()
    result = spread(values)
    assert result is not None
    ratio = 4 * result.sd_searches**2 / result.sd_repeats**2
    assert ratio == pytest.approx(scipy.stats.f_oneway(*values).statistic)
    means = [np.mean(repeats) for repeats in values]
    assert result.interval.mean == pytest.approx(np.mean(means))
    low, high = scipy.stats.t.interval(0.95, 4, np.mean(means), scipy.stats.sem(means))
    assert result.interval.half_width == pytest.approx((high - low) / 2)
    alone = np.var(means, ddof=1) - np.mean([np.var(repeats, ddof=1) for repeats in values]) / 4
    assert result.sd_search_alone == pytest.approx(np.sqrt(alone))


def test_equal_searches_have_no_spread_of_their_own_and_one_search_has_none():
    assert spread([[1.0, 3.0], [3.0, 1.0]]).sd_search_alone == 0
    assert spread([[1.0, 3.0]]) is None
    assert spread([[1.0, 3.0], [2.0]]) is None


def test_the_least_difference_of_two_searches_is_that_of_a_pooled_t_test():
    """Means of k searches differ by 1 / sqrt(k) of it where scipy's pooled t test has p = 0.05."""
    searches = [[0.30, 0.34, 0.33, 0.29], [0.52, 0.50, 0.55, 0.49]]
    spreads = [spread([[mean - 0.01, mean + 0.01] for mean in of]) for of in searches]
    least, freedom = least_difference(spreads)
    assert freedom == 6
    a, b = (np.array(of) for of in searches)
    shifted = b - b.mean() + a.mean() + least / 2
    assert scipy.stats.ttest_ind(shifted, a).pvalue == pytest.approx(0.05)
