"""Claims against their own document."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import check_paper
from tests.audit.builders import claim_of


def test_the_eight_runs_that_do_not_give_their_printed_mean_are_named(published):
    findings = check_paper.on_paper([claim for claim in published if claim.runs])
    contradicted = [f for f in findings if f.verdict == "contradicted"]
    assert len(findings) == 12
    assert [f.reason.split(";")[0] for f in contradicted] == [
        "24.92 ± 0.35 (std, n = 8): the 8 printed runs average 24.959, not 24.92 "
        "(25.56 printed twice)"
    ]


def recalls(values):
    names = ("R@1", "R@2", "R@4", "R@8")
    return [claim_of(metric=m, value=v) for m, v in zip(names, values, strict=True)]


@settings(deadline=None)
@given(st.lists(st.floats(1, 100), min_size=4, max_size=4))
def test_rows_in_order_raise_no_doubt_and_any_swap_of_recalls_does(values):
    first, second, third, fourth = sorted(values)
    in_order = check_paper.on_paper(recalls([first, second, third, fourth]))
    assert {f.verdict for f in in_order} == {"consistent"}
    if second < third:
        swapped = check_paper.on_paper(recalls([first, third, second, fourth]))
        assert swapped[1].verdict == swapped[2].verdict == "contradicted"


def test_order_of_map_at_r_rp_and_p_at_1_is_checked():
    values = {"MAP@R": 30.0, "RP": 29.0, "P@1": 60.0, "R@1": 61.0}
    findings = check_paper.on_paper([claim_of(metric=m, value=v) for m, v in values.items()])
    verdicts = [f.verdict for f in findings]
    assert verdicts == ["contradicted"] * 4
    assert "MAP@R = 30 exceeds RP = 29" in findings[0].reason
    assert "are the same metric" in findings[2].reason


@pytest.mark.parametrize(
    ("spread", "verdict"),
    [
        (0.04, "suspicious"),
        (0.06, "consistent"),
        (0.2, "consistent"),
        (0.7, "consistent"),
        (0.9, "suspicious"),
    ],
)
def test_a_spread_is_flagged_at_four_times_its_neighbours_or_a_quarter(spread, verdict):
    columns = {"spread_kind": "ci95", "n_runs": 10, "category": "aggregate"}
    neighbours = [claim_of(method=method, spread=0.2, **columns) for method in "bcd"]
    claim = claim_of(method="a", spread=spread, **columns)
    assert check_paper.on_paper([claim, *neighbours])[0].verdict == verdict
