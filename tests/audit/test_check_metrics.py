"""The metrics of a row: theorems are never broken by real rankings, habits only raise a doubt."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import check_metrics
from harness.audit.check_metrics import QUERIES
from harness.data.datasets import cars, cub, sop
from tests.audit.builders import claim_of


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=5))
def test_no_ranking_contradicts_itself(queries):
    """queries: which of the nearest neighbours of a query are of its class; R is 8."""
    r = 8
    hits = np.array(queries)[:, :r]
    precision = hits.cumsum(axis=1) / np.arange(1, r + 1)
    scores = {
        "MAP@R": (precision * hits).sum(axis=1) / r,
        "RP": hits.mean(axis=1),
        "P@1": hits[:, 0],
        **{f"R@{k}": hits[:, :k].any(axis=1) for k in (1, 2, 4, 8)},
    }
    row = {
        metric: claim_of(metric=metric, value=round(100 * float(np.mean(score)), 2))
        for metric, score in scores.items()
    }
    assert not any(doubt.certain for doubt in check_metrics.order(row))


@pytest.mark.parametrize(
    ("values", "certain"),
    [
        ({"MAP@R": 35.0, "RP": 34.0}, True),
        ({"R@4": 80.0, "R@8": 79.0}, True),
        ({"P@1": 80.0, "R@2": 79.0}, True),
        ({"MAP@R": 28.0, "P@1": 27.0}, False),
        ({"MAP@R": 28.0, "R@1": 27.0}, False),
        ({"RP": 28.0, "P@1": 27.0}, False),
        ({"RP": 28.0, "R@1": 27.0}, False),
    ],
)
def test_theorems_contradict_and_habits_raise_a_doubt(values, certain):
    row = {metric: claim_of(metric=metric, value=value) for metric, value in values.items()}
    doubts = list(check_metrics.order(row))
    assert {doubt.claim_id for doubt in doubts} == {claim.claim_id for claim in row.values()}
    assert {doubt.certain for doubt in doubts} == {certain}


def test_p_at_1_is_compared_with_r_at_2_where_r_at_1_stands_too():
    values = {"P@1": 80.0, "R@1": 70.0, "R@2": 79.0}
    row = {metric: claim_of(metric=metric, value=value) for metric, value in values.items()}
    reasons = {doubt.reason for doubt in check_metrics.order(row)}
    assert "P@1 = 80 exceeds R@2 = 79" in reasons


@settings(deadline=None)
@given(st.sampled_from(sorted(QUERIES)), st.data(), st.integers(1, 5), st.booleans())
def test_every_count_of_queries_is_possible_rounded_or_cut_off(dataset, data, places, cut):
    count = data.draw(st.integers(0, QUERIES[dataset]))
    share = 100 * count / QUERIES[dataset]
    value = math.floor(share * 10**places) / 10**places if cut else round(share, places)
    claim = claim_of(dataset=dataset, value=value, n_runs=1)
    assert list(check_metrics.granularity(claim)) == []


def test_half_a_query_is_not_possible_and_a_mean_is_not_asked():
    value = round(100 * 4000.5 / QUERIES["cub"], 4)
    (doubt,) = check_metrics.granularity(claim_of(value=value, n_runs=1))
    assert "5,924 test queries of cub" in doubt.reason
    assert list(check_metrics.granularity(claim_of(value=value, n_runs=2))) == []
    assert list(check_metrics.granularity(claim_of(value=value))) == []
    (doubt,) = check_metrics.granularity(claim_of(value=70.0, runs=(value, 70.0)))
    for columns in ({"category": "aggregate"}, {"metric": "MAP@R"}, {"dataset": "glyphs"}):
        assert list(check_metrics.granularity(claim_of(value=value, n_runs=1, **columns))) == []


def test_the_queries_are_those_of_the_datasets():
    counts = {"cub": cub, "cars": cars, "sop": sop}
    assert {name: module.COUNTS.test_images for name, module in counts.items()} == {
        name: QUERIES[name] for name in counts
    }
    assert QUERIES["inshop"] == 14_218
