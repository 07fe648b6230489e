"""Separation and compactness of classes: against sums by hand, and what scaling does to them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.clusters import Clusters


def clusters_of(seed, classes=4, each=5, dim=2) -> Clusters:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    proxies = rng.normal(0, 5, (classes, dim))
    return Clusters(proxies[labels] + rng.normal(size=(len(labels), dim)), labels, proxies)


def test_two_classes_on_a_line_have_the_numbers_of_a_sum_by_hand():
    rows = np.array([[0.0, 0.0], [2.0, 0.0], [10.0, 0.0], [14.0, 0.0]])
    proxies = np.array([[0.0, 0.0], [3.0, 0.0]])  # the image at 2 is nearer to the other one
    measured = Clusters(rows, np.array([0, 0, 1, 1]), proxies).measures()
    assert measured == {
        "separation": 11.0,  # of the means 1 and 12
        "nearest": 11.0,
        "compactness": 1.5,  # of 1, 1, 2, 2
        "ratio": 1.5 / 11,
        "overfit": 0.75,
    }


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(1, 4))
def test_the_measures_are_means_of_distances_one_at_a_time(seed, classes, each):
    clusters = clusters_of(seed, classes, each)
    rows, labels = clusters.embeddings.tolist(), clusters.labels.tolist()
    means = []
    for c in range(classes):
        own = [row for row, label in zip(rows, labels, strict=True) if label == c]
        means.append([sum(values) / len(own) for values in zip(*own, strict=True)])
    pairs = [math.dist(a, b) for a, b in itertools.combinations(means, 2)]
    nearest = [min(math.dist(a, b) for b in means if b is not a) for a in means]
    within = [math.dist(row, means[label]) for row, label in zip(rows, labels, strict=True)]
    measured = clusters.measures()
    assert measured["separation"] == pytest.approx(sum(pairs) / len(pairs))
    assert measured["nearest"] == pytest.approx(sum(nearest) / classes)
    assert measured["compactness"] == pytest.approx(sum(within) / len(within))


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_scale_changes_distances_in_proportion_and_the_ratio_not_at_all(seed, scale):
    clusters = clusters_of(seed)
    scaled = Clusters(scale * clusters.embeddings, clusters.labels, scale * clusters.proxies)
    before, after = clusters.measures(), scaled.measures()
    assert after["separation"] == pytest.approx(scale * before["separation"])
    assert after["compactness"] == pytest.approx(scale * before["compactness"])
    assert after["ratio"] == pytest.approx(before["ratio"])
    assert after["overfit"] == before["overfit"]


def test_a_class_without_embeddings_is_refused():
    with pytest.raises(ValueError, match="3 proxies, labels of 2"):
        Clusters(np.zeros((2, 2)), np.array([0, 1]), np.zeros((3, 2))).measures()
