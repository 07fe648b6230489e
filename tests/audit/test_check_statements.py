"""Statements against printed numbers: verdicts from outcomes, leads by points, separability."""

from __future__ import annotations

import dataclasses

import pytest
import scipy.stats

from harness.audit import check_statements
from harness.audit.cells import Cell, judge
from harness.audit.statements import Side, pairs
from tests.audit.builders import A_AGAINST_B, claim_of, statement_of


def cells(*outcomes):
    side = Side("a", "cub", "complete", "R@1")
    rivals = [dataclasses.replace(side, method=method) for method in "bcde"]
    return [
        Cell(side, rival, outcome=outcome) for rival, outcome in zip(rivals, outcomes, strict=False)
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
    assert judge(statement_of(kind, **fields), cells(*outcomes)) == verdict


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


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ({"spread": 0.5, "spread_kind": "std"}, {"spread": 0.4, "spread_kind": "std"}, "not supp"),
        ({"spread": 0.5, "spread_kind": "ci95", "n_runs": 5}, {}, "not supp"),
        ({"spread": 0.2, "spread_kind": "std"}, {"spread": 0.2, "spread_kind": "std"}, "no evid"),
        ({"spread": 0.5, "spread_kind": "other"}, {}, "no evid"),
        ({}, {}, "no evid"),
    ],
)
def test_without_a_test_a_gap_within_a_printed_spread_is_noise(a, b, verdict):
    claims = [claim_of(method="a", value=70.3, **a), claim_of(method="b", value=70.0, **b)]
    statement = statement_of("beats", **A_AGAINST_B)
    finding = check_statements.separable(statement, pairs(statement, claims))
    assert finding.verdict.startswith(verdict)
    assert ("within a printed spread" in finding.reason) == (verdict == "not supp")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"paper": "q", **A_AGAINST_B}, "no claim is of 'q'"),
        ({"a": {"method": ("c",)}, "b": {"method": ("b",)}}, "a: no claim of this document has m"),
        ({**A_AGAINST_B, "where": {"dataset": ("cars",)}}, "where: no claim of this document has"),
    ],
)
def test_a_statement_that_selects_nothing_says_which_part_fits_no_claim(fields, words):
    claims = [claim_of(method="a"), claim_of(method="b")]
    statement = statement_of("beats", **fields)
    finding = check_statements.on_paper(statement, pairs(statement, claims), claims)
    assert finding.verdict == "no evidence"
    assert words in finding.reason


def test_two_printed_means_without_any_spread_are_separable_in_no_direction():
    columns = {"spread": 0.0, "spread_kind": "std", "n_runs": 3}
    claims = [claim_of(method="a", value=56.0, **columns)]
    claims.append(claim_of(method="b", value=50.0, **columns))
    statement = statement_of("beats", **A_AGAINST_B)
    finding = check_statements.separable(statement, pairs(statement, claims))
    assert finding.verdict == "no evidence"
    assert finding.numbers["cells"][0]["p_value"] is None
