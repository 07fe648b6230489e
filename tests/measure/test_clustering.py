"""Clusters against classes: known cases, scikit-learn's k-means, pairs counted one by one."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from harness.measure import clustering
from harness.schema import Problem

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


@given(ASSIGNMENTS)
def test_purity_counts_the_commonest_class_of_each_cluster(assignments):
    labels, assigned = np.array(assignments).T
    right = sum(max(Counter(labels[assigned == c]).values()) for c in set(assigned.tolist()))
    assert clustering.purity_of(labels, assigned) == pytest.approx(right / len(labels))


def test_classes_in_several_places_are_pure_with_more_clusters_than_classes():
    rows, places = blobs(0.1)
    labels = places % 2  # three places each: with two clusters they cannot be found
    assert clustering.agreement(rows, labels, seed=1).nmi < 0.9
    assert clustering.overclustering_purity(rows, labels, seed=1) == 1


def test_more_clusters_than_rows_are_one_a_row():
    rows = np.arange(10, dtype=np.float32)[:, None] ** 2
    labels = np.arange(10) // 2
    assert clustering.overclustering_purity(rows, labels, seed=1) == 1


def test_without_faiss_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(Problem, match="python -m pip install faiss-cpu"):
        clustering.clusters(*blobs(1.0)[:1], 6, seed=0)
