"""Comparability in the tables of 2408.15656, against counts by hand."""

from __future__ import annotations

import pytest

from tests.audit.builders import WARPED, only


def cells_by_hand(rows, column, values):
    """The cells of Table I in which an own number stands beside a number of the other value."""
    table = [row for row in rows if row["arxiv"] == WARPED and row["table"] == "I"]
    cells = set()
    for ours in (row for row in table if row["reported_by"] == "own"):
        for row in table:
            same_cell = row["dataset"] == ours["dataset"] and row["metric"] == ours["metric"]
            unequal = {row[column], ours[column]} == values
            if same_cell and row["method"] != ours["method"] and unequal:
                methods = frozenset((row["method"], ours["method"]))
                cells.add((row["dataset"], row["metric"], methods))
    return cells


@pytest.mark.parametrize(
    ("difference", "column", "values"),
    [
        ("tuned_on: test with val", "tuned_on", {"test", "val"}),
        ("dim: 512 with 64", "dim", {"64", "512"}),
        ("trunk: bn_inception with resnet50", "trunk", {"bn_inception", "resnet50"}),
    ],
)
def test_table_1_cells_under_unequal_settings_are_counted_as_by_hand(
    findings, rows, difference, column, values
):
    tables = {f.numbers["unequal"]: f for f in findings if f.about == "table"}
    finding = tables[difference]
    assert finding.verdict == "not comparable"
    assert len(finding.numbers["cells"]) == len(cells_by_hand(rows, column, values)) > 0


def test_the_methods_that_a_table_compares_under_unequal_settings_are_counted(findings):
    (finding,) = [
        f for f in findings if f.about == "table" and f.numbers["unequal"] == "dim: 512 with 64"
    ]
    assert "proxy_nca to warped (9 cells)" in finding.reason


def test_a_gap_stands_beside_the_known_effects_of_its_unequal_settings(findings):
    subject = "warp24.T1.proxy_nca.cub.R@1.bn_inception.64.single.test.small_unspecified"
    finding = only(findings, "comparability", subject)
    assert finding.verdict == "not comparable"
    assert "warped 72.6 (gap +23.40)" in finding.reason
    assert "dim: 64 to 512, worth +8.3" in finding.reason
    assert "trunk: bn_inception to resnet50, worth +" in finding.reason
