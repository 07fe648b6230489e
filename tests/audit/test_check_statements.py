"""Statements against printed numbers: verdicts from outcomes, leads by points, separability."""

from __future__ import annotations

import dataclasses

import pytest
import scipy.stats

from harness.audit import check_statements
from harness.audit.statements import Side, pairs
from tests.audit.builders import A_AGAINST_B, claim_of, statement_of


def cells(*outcomes):
    side = Side("a", "cub", "complete", "R@1")
    rivals = [dataclasses.replace(side, method=method) for method in "bcde"]
    return [
        check_statements.Cell(side, rival, outcome=outcome)
        for rival, outcome in zip(rivals, outcomes, strict=False)
    ]


@pytest.mark.parametrize(
    ("kind", "fields", "outcomes", "verdict"),
    [
        ("beats", {}, (1, 1), "supported"),
        ("beats", {}, (1, 0), "not supported"),
        ("beats", {}, (1, None), "not supported"),
        ("beats", {}, (1, -1, None), "contradicted"),
        ("beats", {}, (None, None), "no evidence"),
        ("beats", {}, (), "no evidence"),
        ("improves_everywhere", {"addition": "r"}, (1, -1), "contradicted"),
        ("beats_in", {"k": 2}, (1, 1, -1), "supported"),
        ("beats_in", {"k": 2}, (1, 0, -1), "not supported"),
        ("beats_in", {"k": 2}, (1, -1, -1), "contradicted"),
        ("best_among", {}, (1, 1, 1), "supported"),
        ("best_among", {}, (1, 0, 1), "not supported"),
        ("best_among", {}, (1, -1, 0), "contradicted"),
        ("best_among", {"rank": 2}, (1, -1, 1), "supported"),
        ("best_among", {"rank": 2}, (1, 1, 1), "contradicted"),
        ("best_among", {"rank": 2}, (1, 0, 1), "not supported"),
        ("best_among", {"rank": 2}, (-1, -1, 0), "contradicted"),
    ],
)
def test_verdicts_follow_from_the_outcomes_of_the_cells(kind, fields, outcomes, verdict):
    assert check_statements.judge(statement_of(kind, **fields), cells(*outcomes)) == verdict


@pytest.mark.parametrize(
    ("by", "verdict"), [(6.0, "supported"), (6.1, "contradicted"), (-1.0, "supported")]
)
def test_a_lead_by_points_holds_at_the_points(by, verdict):
    claims = [claim_of(method="a", value=56.0), claim_of(method="b", value=50.0)]
    statement = statement_of("beats", by=by, **A_AGAINST_B)
    assert check_statements.on_paper(statement, pairs(statement, claims)).verdict == verdict


def test_a_lead_by_no_stated_points_needs_more_than_a_tie():
    claims = [claim_of(method="a", value=56.0), claim_of(method="b", value=56.0)]
    statement = statement_of("beats", **A_AGAINST_B)
    compared = pairs(statement, claims)
    assert check_statements.on_paper(statement, compared).verdict == "not supported"


def test_separable_shifts_the_test_by_the_points_claimed():
    columns = {"spread": 0.3, "spread_kind": "std", "n_runs": 8}
    claims = [claim_of(method="a", value=56.0, **columns)]
    claims.append(claim_of(method="b", value=50.0, **columns))
    statement = statement_of("beats", by=5.9, **A_AGAINST_B)
    finding = check_statements.separable(statement, pairs(statement, claims))
    expected = scipy.stats.ttest_ind_from_stats(50.1, 0.3, 8, 50.0, 0.3, 8, equal_var=False)
    cell = finding.numbers["cells"][0]
    assert cell["p_value"] == pytest.approx(expected.pvalue)
    assert cell["gap"] == pytest.approx(6.0)
    assert finding.verdict == "not supported"
