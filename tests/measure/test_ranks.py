"""Average ranks against scipy.stats and Demsar's printed values."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure import ranks


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 6), st.integers(2, 8), st.randoms(use_true_random=False))
def test_ranks_and_friedman_equal_scipy_with_ties(k, n, random):
    table = [[random.randrange(5) for _ in range(n)] for _ in range(k)]
    result = ranks.average_ranks({f"l{i}": row for i, row in enumerate(table)})
    expected = scipy.stats.rankdata(-np.array(table), axis=0).mean(1)
    assert result.ranks == pytest.approx({f"l{i}": r for i, r in enumerate(expected)})
    if all(len({row[j] for row in table}) == 1 for j in range(n)):
        assert result.p_value == 1
    else:
        theirs = scipy.stats.friedmanchisquare(*table).pvalue
        assert result.p_value == pytest.approx(theirs, rel=1e-9)
    assert list(result.ranks.values()) == sorted(result.ranks.values())


@pytest.mark.parametrize(
    ("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (7, 2.949), (10, 3.164)]
)
def test_the_critical_difference_uses_demsars_printed_q(k, q):
    scores = {f"l{i}": [i, i + 0.5, i] for i in range(k)}
    expected = q * math.sqrt(k * (k + 1) / (6 * 3))
    assert ranks.average_ranks(scores).critical_difference == pytest.approx(expected, abs=2e-3)


def test_demsars_example_of_four_classifiers_on_fourteen_datasets_gives_a_cd_of_1_25():
    scores = {name: list(np.random.default_rng(i).random(14)) for i, name in enumerate("abcd")}
    assert ranks.average_ranks(scores, alpha=0.05).critical_difference == pytest.approx(
        1.25, abs=0.005
    )


def test_rank_groups_hold_exactly_the_pairs_within_the_critical_difference():
    source = np.random.default_rng(4)
    scores = {f"l{i}": list(source.normal(i, 1.5, 9)) for i in range(7)}
    result = ranks.average_ranks(scores)
    together = {frozenset(p) for g in result.groups for p in combinations(g, 2)}
    close = {
        frozenset((a, b))
        for a, b in combinations(scores, 2)
        if abs(result.ranks[a] - result.ranks[b]) < result.critical_difference
    }
    assert together == close
    assert len(result.groups) > 1


def test_a_single_loss_has_no_rank():
    with pytest.raises(ValueError, match="at least 2 losses"):
        ranks.average_ranks({"a": [1, 2]})
