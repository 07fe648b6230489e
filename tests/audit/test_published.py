"""The data in results/published: complete, in known words, and consistent between the files."""

from __future__ import annotations

import csv

from harness.audit.statements import pairs
from tests.audit.builders import PUBLISHED, WARPED


def test_every_statement_of_a_paper_with_claims_finds_its_numbers(published, statements):
    papers = {claim.arxiv for claim in published if claim.arxiv}
    for statement in statements:
        compared = pairs(statement, published)
        assert compared, statement.statement_id
        if statement.arxiv == WARPED:
            assert statement.arxiv in papers
            assert all(a.claim and b.claim for a, b in compared)
        if statement.n:
            assert len(compared) == statement.n


def test_every_number_keeps_its_source_and_known_words(rows):
    for row in rows:
        assert row["source"], row["claim_id"]
        assert row["evidence"] in ("primary", "secondary", "issue")
        assert row["reported_by"] in ("own", "quoted", "re-run", "unknown")
    assert len({row["claim_id"] for row in rows}) == len(rows) == 1544


def test_search_trajectories_never_fall():
    with (PUBLISHED / "mlrc2020_search_trajectories.csv").open(newline="") as lines:
        searches = list(csv.DictReader(lines))
    assert len(searches) == 53
    for row in searches:
        columns = ("first_val_map_at_r", "val_at_10", "val_at_25", "best_val_map_at_r")
        values = [float(row[column]) for column in columns]
        assert values == sorted(values), row
        assert 1 <= int(row["best_trial"]) <= int(row["trials"]) == 50


def test_facts_of_methods_name_methods_that_have_claims(facts, published):
    methods = {claim.method for claim in published}
    assert {fact.method for fact in facts} <= methods
    best_kept = {fact.method for fact in facts if fact.fact == "best_test_epoch_kept"}
    assert best_kept >= {"hist", "proxy_anchor"}
