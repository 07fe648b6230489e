"""Claims and statements against our own measurements."""

from __future__ import annotations

import math
from statistics import mean, stdev

import pytest
import scipy.stats

from harness.audit import check_evidence
from harness.audit.statements import STEPS, pairs
from tests.audit.builders import A_AGAINST_B, SETTINGS, claim_of, evidence_of, statement_of

STATED = {"trunk": "resnet50", "dim": 512, "tuned_on": "cv4", "category": "complete"}
NEAR_50 = [50.1, 50.4, 49.8, 50.2, 49.9]
KEY = ("a", "cub", "complete", "recall_at_1")


@pytest.mark.parametrize(
    ("columns", "values", "verdict"),
    [
        ({**STATED, "value": 50.3}, NEAR_50, "supported"),
        ({**STATED, "value": 58.0}, NEAR_50, "contradicted"),
        ({**STATED, "value": 58.0, "trunk": "unknown"}, NEAR_50, "not supported"),
        ({**STATED, "value": 50.3, "trunk": "bn_inception"}, NEAR_50, "not comparable"),
        ({**STATED, "value": 50.3, "category": "single"}, NEAR_50, "supported"),
        ({**STATED, "value": 50.3, "category": "ensemble"}, NEAR_50, "no evidence"),
        ({**STATED, "value": 50.3}, NEAR_50[:1], "no evidence"),
    ],
)
def test_a_claim_beside_our_interval(columns, values, verdict):
    finding = check_evidence.of_claim(claim_of(**columns), {KEY: evidence_of(values)})
    assert finding.verdict == verdict
    if verdict in ("supported", "contradicted"):
        assert finding.records == ("r0", "r1", "r2", "r3", "r4")
        assert finding.numbers["measured"] == pytest.approx(mean(NEAR_50))


def test_two_repeats_are_an_interval_that_a_claim_can_be_set_beside():
    finding = check_evidence.of_claim(claim_of(**STATED, value=50.3), {KEY: evidence_of([50, 51])})
    assert (finding.verdict, finding.records) == ("supported", ("r0", "r1"))
    assert finding.numbers["measured"] == 50.5


def test_a_claim_with_a_spread_is_tested_by_welch():
    spread = {"spread": 0.2, "spread_kind": "std", "n_runs": 5}
    claim = claim_of(**STATED, value=50.6, **spread)
    expected = scipy.stats.ttest_ind_from_stats(
        50.6, 0.2, 5, mean(NEAR_50), stdev(NEAR_50), 5, equal_var=False
    )
    reason = check_evidence.of_claim(claim, {KEY: evidence_of(NEAR_50)}).reason
    assert f"p = {expected.pvalue:.3g}" in reason


def test_a_claim_without_a_spread_is_tested_by_prediction():
    claim = claim_of(**STATED, value=50.6)
    t = (50.6 - mean(NEAR_50)) / (stdev(NEAR_50) * math.sqrt(1 + 1 / 5))
    reason = check_evidence.of_claim(claim, {KEY: evidence_of(NEAR_50)}).reason
    assert f"p = {2 * scipy.stats.t.sf(t, 4):.3g}" in reason


def test_statements_pair_by_repeat_and_show_claimed_beside_measured():
    measured = {
        KEY: evidence_of([51.0, 52.1, 50.4, 53.0], repeats=[0, 1, 2, 3], name="a"),
        ("b", *KEY[1:]): evidence_of([50.2, 49.4, 51.1, 49.0], repeats=[2, 1, 3, 4], name="b"),
    }
    claims = [claim_of(method="a", value=60.0), claim_of(method="b", value=55.0)]
    statement = statement_of("beats", **A_AGAINST_B)
    finding = check_evidence.of_statement(statement, pairs(statement, claims), measured)
    expected = scipy.stats.ttest_rel([52.1, 50.4, 53.0], [49.4, 50.2, 51.1])
    assert finding.numbers["cells"][0]["p_value"] == pytest.approx(expected.pvalue)
    assert "(+1.60)" in finding.reason
    assert "claimed +5.00" in finding.reason
    assert "paired t, 3 pairs" in finding.reason
    assert finding.verdict == "not supported"
    assert finding.records[0] == "a0"
    assert len(finding.records) == 8


def evidence_at(levels, settings=SETTINGS):
    """Evidence of five repeats around a level per (loss, dataset), each loss with its own noise."""
    noise = [0.1, -0.1, 0.2, -0.2, 0.0]
    return {
        (loss, dataset, "complete", "recall_at_1"): evidence_of(
            [level + n * (1 + i) for n in noise], settings, name=f"{loss}-{dataset}-"
        )
        for i, ((loss, dataset), level) in enumerate(levels.items())
    }


def test_an_addition_that_helps_one_loss_and_hurts_another_is_contradicted():
    statement = statement_of(
        "improves_everywhere",
        addition="nir",
        a={"method": ("nir_x", "nir_y")},
        b={"method": ("x", "y")},
        where={"dataset": ("cub",), "metric": ("R@1",), "category": ("complete",)},
    )
    compared = pairs(statement, [])
    assert [(a.method, b.method) for a, b in compared] == [("nir_x", "x"), ("nir_y", "y")]

    def verdict(evidence):
        return check_evidence.of_statement(statement, compared, evidence).verdict

    levels = {("x", "cub"): 50, ("nir_x", "cub"): 55, ("y", "cub"): 50, ("nir_y", "cub"): 45}
    assert verdict(evidence_at(levels)) == "contradicted"
    reason = check_evidence.of_statement(statement, compared, evidence_at(levels)).reason
    assert "in 2 of 2 cells: ahead in 1, not told apart in 0, behind in 1 after Holm" in reason
    levels["nir_y", "cub"] = 56
    assert verdict(evidence_at(levels)) == "supported"
    assert verdict({}) == "no evidence"
    del levels["nir_y", "cub"]
    assert verdict(evidence_at(levels)) == "not supported"


def test_records_under_unequal_settings_are_not_comparable():
    statement = statement_of(
        "beats",
        a={"method": ("x",)},
        b={"method": ("y",)},
        where={"dataset": ("cub",), "metric": ("R@1",)},
    )
    measured = evidence_at({("x", "cub"): 50}) | evidence_at({("y", "cub"): 40}, {"dim": "64"})
    finding = check_evidence.of_statement(statement, pairs(statement, []), measured)
    assert finding.verdict == "not comparable"
    assert "dim 512 against 64" in finding.reason


@pytest.mark.parametrize(
    ("factor", "verdict"), [(2.0, "supported"), (3.0, "not supported"), (5.0, "contradicted")]
)
def test_convergence_is_a_ratio_of_steps(factor, verdict):
    statement = statement_of(
        "converges_faster",
        factor=factor,
        a={"method": ("x",)},
        b={"method": ("y",)},
        where={"dataset": ("cars",)},
    )
    steps = {"x": [100, 110, 95, 105], "y": [300, 320, 310, 290]}
    measured = {(m, "cars", "complete", STEPS): evidence_of(v) for m, v in steps.items()}
    finding = check_evidence.of_statement(statement, pairs(statement, []), measured)
    assert finding.verdict == verdict
    assert "2.98 times as fast" in finding.reason


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ({}, [50.0, 50.0, 50.0]),
        ({"spread": 0.0, "spread_kind": "std", "n_runs": 5}, [51.0, 51.0, 51.0]),
    ],
)
def test_numbers_without_any_spread_are_no_evidence_however_far_apart(columns, values):
    claim = claim_of(**STATED, value=58.0, **columns)
    finding = check_evidence.of_claim(claim, {KEY: evidence_of(values)})
    assert finding.verdict == "no evidence"
    assert "without any spread: no test" in finding.reason


def test_two_repeats_with_equal_differences_decide_no_statement():
    measured = {
        KEY: evidence_of([52.0, 53.0], repeats=[0, 1], name="a"),
        ("b", *KEY[1:]): evidence_of([50.0, 51.0], repeats=[0, 1], name="b"),
    }
    statement = statement_of("beats", **A_AGAINST_B)
    claims = [claim_of(**STATED, method=method, value=50.0) for method in "ab"]
    finding = check_evidence.of_statement(statement, pairs(statement, claims), measured)
    assert finding.verdict == "no evidence"
    assert "without any spread, no test" in finding.reason
    assert finding.numbers["cells"][0]["p_value"] is None
