"""Clusters against classes: known cases, scikit-learn's k-means, pairs counted one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from harness.measure import clustering

ASSIGNMENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30)


def blobs(spread: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(6), 20)
    rows = rng.normal(size=(6, 8))[labels] * 10 + rng.normal(size=(120, 8)) * spread
    return rows.astype(np.float32), labels


def test_classes_that_lie_apart_are_all_there():
    assert clustering.agreement(*blobs(0.1), seed=1) == pytest.approx((1, 1, 1))


def test_labels_without_any_relation_to_the_rows_have_an_ami_of_about_0():
    rows, labels = blobs(0.1)
    shuffled = np.random.default_rng(3).permutation(labels)
    assert abs(clustering.agreement(rows, shuffled, seed=1).ami) < 0.1


def test_the_clusters_are_as_good_as_scikit_learn_s():
    rows, _ = blobs(8.0)
    assigned = clustering.clusters(rows, 6, seed=2)
    means = np.stack([rows[assigned == c].mean(0) for c in range(6)])
    within = ((rows - means[assigned]) ** 2).sum()
    assert within <= KMeans(6, n_init=10, random_state=0).fit(rows).inertia_ * 1.03


def test_the_same_seed_gives_the_same_clusters():
    rows, _ = blobs(8.0)
    again = [clustering.clusters(rows, 6, seed=5) for _ in range(2)]
    assert np.array_equal(*again)


@given(ASSIGNMENTS)
def test_f1_counts_pairs(assignments):
    labels, assigned = np.array(assignments).T
    pairs = list(combinations(range(len(labels)), 2))
    same_class = {p for p in pairs if labels[p[0]] == labels[p[1]]}
    same_cluster = {p for p in pairs if assigned[p[0]] == assigned[p[1]]}
    both = len(same_class & same_cluster)
    total = len(same_class) + len(same_cluster)
    expected = 2 * both / total if total else 0
    assert clustering.agreement_of(labels, assigned).f1 == pytest.approx(expected)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        clustering.clusters(np.array([[np.nan], [1.0]], np.float32), 1, seed=0)
