"""Power and the repeats needed against Cohen's tables, simulation and scipy's noncentral t."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure import power


@pytest.mark.parametrize(
    ("d", "design", "n"),
    [(0.5, "paired", 34), (0.5, "welch", 64), (0.8, "welch", 26), (0.2, "welch", 394)],
)
def test_repeats_needed_gives_cohens_tables(d, design, n):
    assert power.repeats_needed(d, 1.0, design=design) == n


def test_power_equals_the_share_of_simulated_studies_that_find_the_difference():
    source = np.random.default_rng(11)
    a, b = source.normal(0.9, 1, (20_000, 10)), source.normal(0, 1, (20_000, 10))
    paired = np.mean(scipy.stats.ttest_1samp(a, 0, axis=1).pvalue < 0.05)
    unpaired = np.mean(scipy.stats.ttest_ind(a, b, axis=1).pvalue < 0.05)
    assert power.power_of(0.9, 1, 10) == pytest.approx(paired, abs=0.012)
    assert power.power_of(0.9, 1, 10, design="welch") == pytest.approx(unpaired, abs=0.012)


@pytest.mark.parametrize("n", [2, 3, 10, 200])
@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0, 6.0])
def test_power_equals_scipys_noncentral_t(n, shift):
    critical = scipy.stats.t.ppf(0.975, n - 1)
    theirs = scipy.stats.nct(n - 1, shift)
    expected = theirs.sf(critical) + theirs.cdf(-critical)
    assert power.power_of(shift / math.sqrt(n), 1, n) == pytest.approx(expected, abs=2e-4)


def test_power_of_a_huge_difference_of_two_repeats_equals_simulation():
    d = 45 / math.sqrt(2)
    simulated = np.random.default_rng(0).normal(d, 1, (200_000, 2))
    share = np.mean(scipy.stats.ttest_1samp(simulated, 0, axis=1).pvalue < 0.05)
    assert power.power_of(d, 1, 2) == pytest.approx(share, abs=0.002)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.05, 4), st.floats(0.1, 3))
def test_one_repeat_fewer_than_needed_has_too_little_power(d, std):
    n = power.repeats_needed(d, std)
    assert power.power_of(d, std, n) >= 0.8
    assert n == 2 or power.power_of(d, std, n - 1) < 0.8


def test_no_number_of_repeats_finds_a_difference_of_0():
    with pytest.raises(ValueError, match="other than 0"):
        power.repeats_needed(0, 1)
