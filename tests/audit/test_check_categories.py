"""Aggregate, Ensemble and Complete of one loss against one another."""

from __future__ import annotations

from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import check_categories
from tests.audit.builders import claim_of


@settings(deadline=None)
@given(st.integers(2, 12), st.data())
def test_two_levels_have_the_mean_and_std_that_they_explain(n, data):
    m = data.draw(st.integers(1, n - 1))
    low = data.draw(st.floats(0, 40))
    high = data.draw(st.floats(45, 90))
    runs = [low] * m + [high] * (n - m)
    n_low, upper, lower = check_categories.two_levels(mean(runs), stdev(runs), n=n, healthy=high)
    rebuilt = [lower] * n_low + [upper] * (n - n_low)
    assert mean(rebuilt) == pytest.approx(mean(runs))
    assert stdev(rebuilt) == pytest.approx(stdev(runs))
    assert abs(upper - high) < 1e-6


@pytest.mark.parametrize(("ensemble", "doubted"), [(24.9, True), (25.0, False), (27.0, False)])
def test_an_ensemble_is_doubted_below_every_run_of_its_members(ensemble, doubted):
    members = claim_of(category="aggregate", value=25.4, runs=(25.0, 25.8))
    claims = [members, claim_of(category="ensemble", value=ensemble)]
    doubts = list(check_categories.ensembles(claims))
    assert [doubt.claim_id for doubt in doubts] == [claims[1].claim_id] * doubted


def test_an_ensemble_of_trunks_that_nobody_trained_is_not_doubted():
    claims = [
        claim_of(method="pretrained_imagenet", category="aggregate", value=14.5),
        claim_of(method="pretrained_imagenet", category="ensemble", value=14.2),
    ]
    assert list(check_categories.ensembles(claims)) == []


def test_a_table_in_which_every_complete_lies_below_its_aggregate_is_doubted_as_permuted():
    claims = [
        claim_of(method=method, category=category, value=value)
        for method in "abcd"
        for category, value in {"complete": 23.0, "aggregate": 25.0}.items()
    ]
    doubts = list(check_categories.collapses(claims))
    assert len(doubts) == 4
    assert "permuted" in doubts[0].reason
