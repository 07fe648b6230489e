"""Printed spreads that cannot be: of one run, of zero, or wider than runs can vary."""

from __future__ import annotations

from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import check_spreads
from harness.measure.intervals import t_interval
from tests.audit.builders import claim_of


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=12), st.sampled_from(["std", "ci95"]))
def test_no_runs_have_an_impossible_spread(runs, kind):
    spread = {"std": stdev(runs), "ci95": t_interval(runs).half_width}[kind]
    columns = {"spread": min(100.0, round(spread, 2)), "spread_kind": kind, "n_runs": len(runs)}
    claim = claim_of(value=round(mean(runs), 2), **columns)
    assert "impossible_spread" not in {doubt.fault for doubt in check_spreads.of_claim(claim)}


@pytest.mark.parametrize(
    ("columns", "faults"),
    [
        ({"spread_kind": "std", "spread": 0.3, "n_runs": 1}, ["one_run"]),
        ({"spread_kind": "ci95", "spread": 0.0, "n_runs": 1}, ["one_run"]),
        ({"spread_kind": "other", "spread": 0.3, "n_runs": 1}, []),
        ({"spread_kind": "ci95", "spread": 0.0, "n_runs": 5}, ["zero_spread"]),
        ({"spread_kind": "std", "spread": 0.0}, ["zero_spread"]),
        ({"spread_kind": "std", "spread": 60.0, "n_runs": 10}, ["impossible_spread"]),
        ({"spread_kind": "ci95", "spread": 60.0, "n_runs": 10}, ["impossible_spread"]),
        ({"spread_kind": "std", "spread": 0.01, "n_runs": 10}, []),
        ({"n_runs": 1}, []),
    ],
)
def test_spreads_that_cannot_be(columns, faults):
    doubts = check_spreads.of_claim(claim_of(**columns))
    assert [doubt.fault for doubt in doubts] == faults
