"""Printed runs against the number, the spread and the n beside them, by scipy's formulas."""

from __future__ import annotations

from statistics import mean

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.audit import check_runs
from tests.audit.builders import claim_of

RUNS = st.lists(st.integers(3000, 9000), min_size=3, max_size=12)


def spreads(runs):
    """std and 95 % interval of unrounded runs, by scipy."""
    interval = scipy.stats.t.interval(
        0.95, len(runs) - 1, loc=np.mean(runs), scale=scipy.stats.sem(runs)
    )
    return {"std": np.std(runs, ddof=1), "ci95": (interval[1] - interval[0]) / 2}


def claim_with(runs, kind, spread, **columns):
    numbers = {"value": round(mean(runs), 2), "n_runs": len(runs), "spread": round(spread, 2)}
    return claim_of(**numbers, spread_kind=kind, runs=tuple(runs), **columns)


@settings(deadline=None)
@given(RUNS, st.sampled_from(["std", "ci95"]))
def test_runs_with_their_mean_n_and_spread_are_never_doubted(hundredths, kind):
    runs = [value / 100 for value in hundredths]
    assume(len(set(runs)) > 1)
    assert list(check_runs.of_claim(claim_with(runs, kind, spreads(runs)[kind]))) == []


@settings(deadline=None)
@given(RUNS, st.sampled_from(["std", "ci95"]))
def test_a_spread_under_the_other_kinds_name_is_contradicted(hundredths, kind):
    runs = [value / 100 for value in hundredths]
    assume(len(set(runs)) > 1)
    other = {"std": "ci95", "ci95": "std"}[kind]
    n = len(runs)
    normal = 1.96 * spreads(runs)["std"] / np.sqrt(n)  # accepted as ci95, too
    population = np.std(runs)
    right = {"std": (spreads(runs)["std"], population), "ci95": (spreads(runs)["ci95"], normal)}
    wrong = spreads(runs)[other]
    assume(min(abs(value - wrong) for value in right[kind]) > 0.1)
    (doubt,) = check_runs.of_claim(claim_with(runs, kind, wrong))
    assert (doubt.fault, doubt.certain) == ("spread_kind", True)
    assert "a standard deviation" in doubt.reason or "a 95 % interval" in doubt.reason


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"value": 51.0}, "average 50.000, not 51, which is the best of them"),
        ({"value": 52.0}, "which lies outside of them (49 to 51)"),
        ({"value": 50.5}, "average 50.000, not 50.5"),
        ({"n_runs": 4}, "n = 4 is printed, but 3 runs are listed"),
        ({"n_runs": 1}, "n = 1 is printed, but 3 runs are listed"),
        ({"runs": (50.0,), "value": 51.0}, "the printed run is 50, not 51"),
        ({"runs": (50.0,), "spread": 0.1, "spread_kind": "std"}, "with a single run"),
        ({"runs": (50.0,) * 3}, "all 3 printed runs are 50"),
        ({"spread": 0.58, "spread_kind": "std"}, "it is their standard error"),
    ],
)
def test_what_does_not_follow_from_the_runs_is_told(columns, words):
    claim = claim_of(**{"value": 50.0, "runs": (49.0, 50.0, 51.0)} | columns)
    (doubt,) = check_runs.of_claim(claim)
    assert words in doubt.reason


@settings(deadline=None)
@given(st.floats(0.1, 9), st.integers(2, 30), st.booleans())
def test_a_std_and_an_interval_of_one_number_agree_or_are_contradicted(std, n, agree):
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * std / np.sqrt(n)
    printed = round(half * (1 if agree else 3), 2)
    columns = {"value": 50.0, "n_runs": n}
    claims = [
        claim_of(spread=round(std, 2), spread_kind="std", **columns),
        claim_of(spread=printed, spread_kind="ci95", **columns),
    ]
    # rounding to 0.01 is half of an interval of 0.02
    assume(agree or half > 0.2)
    assert (list(check_runs.twins(claims)) == []) == agree
