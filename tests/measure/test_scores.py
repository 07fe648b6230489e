"""Retrieval scores against plain loops, pytorch-metric-learning and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from harness.measure.neighbours import nearest
from harness.measure.scores import retrieval_scores, scores_of_lists
from tests.twins import retrieval as twins


@st.composite
def embedded(draw):
    n = draw(st.integers(3, 24))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, draw(st.integers(1, 6)), n)
    labels[1] = labels[0]
    # Few distinct values, so that duplicates and ties are common.
    grid = draw(st.booleans())
    x = rng.integers(-1, 2, (n, 3)) if grid else rng.normal(size=(n, 3))
    return np.asarray(x, dtype=np.float32), np.unique(labels, return_inverse=True)[1]


@settings(max_examples=150, deadline=None)
@given(embedded())
def test_scores_equal_the_brute_force_twin_with_ties_and_duplicates(case):
    x, labels = case
    expected = twins.retrieval_scores(twins.neighbour_lists(x), labels.tolist(), [1, 2, 4])
    scores = retrieval_scores(torch.from_numpy(x), torch.from_numpy(labels), recall_at=(1, 2, 4))
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name


@settings(max_examples=50, deadline=None)
@given(embedded())
def test_given_neighbour_lists_score_as_the_twin_to_1e_12(case):
    x, labels = case
    lists = twins.neighbour_lists(x)
    counts = np.bincount(labels)[labels] - 1
    has_positive = counts > 0
    hits = np.array([[labels[j] == labels[i] for j in lists[i]] for i in range(len(labels))])
    scores = scores_of_lists(
        torch.from_numpy(hits[has_positive]), torch.from_numpy(counts[has_positive]), (1, 2, 4)
    )
    for name, value in twins.retrieval_scores(lists, labels.tolist(), [1, 2, 4]).items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name


def test_neighbours_are_those_of_float64_where_float32_cannot_tell_them_apart():
    rng = np.random.default_rng(3)
    base = rng.normal(size=(1, 16))
    # Differences near the resolution of float32 on top of a large common offset.
    x = (1000.0 + base + rng.normal(size=(400, 16)) * 1e-3).astype(np.float32)
    exact = ((x[:, None].astype(np.float64) - x[None].astype(np.float64)) ** 2).sum(2)
    np.fill_diagonal(exact, np.inf)
    expected = np.argsort(exact, axis=1, kind="stable")[:, :20]
    rows = torch.from_numpy(x)
    lists = nearest(rows, rows, 20, excluded=torch.arange(400))
    np.testing.assert_array_equal(lists.numpy(), expected)


def test_equal_embeddings_are_ordered_by_index():
    x = torch.ones(60, 8)
    lists = nearest(x, x, 5, excluded=torch.arange(60))
    assert lists[0].tolist() == [1, 2, 3, 4, 5]
    assert lists[30].tolist() == [0, 1, 2, 3, 4]


def test_a_duplicate_of_the_query_counts_and_the_query_itself_does_not():
    x = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    labels = torch.tensor([0, 1, 0, 1])
    assert retrieval_scores(x, labels)["precision_at_1"] == 0.0


def test_classes_of_one_image_are_not_queried_but_stay_in_the_gallery():
    x = torch.tensor([[0.0], [0.1], [0.15], [5.0]])
    labels = torch.tensor([0, 1, 0, 2])
    scores = retrieval_scores(x, labels)
    assert scores["queries"] == 2
    assert scores["precision_at_1"] == 0.0


def test_scores_equal_those_of_pytorch_metric_learning_where_nothing_is_tied():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 12, 500)
    x = rng.normal(size=(500, 16)) + 0.6 * rng.normal(size=(12, 16))[labels]
    x = torch.nn.functional.normalize(torch.from_numpy(x.astype(np.float32)))
    theirs = AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
    ).get_accuracy(x.double(), torch.from_numpy(labels))  # in float32 it may exchange near-ties
    scores = retrieval_scores(x, torch.from_numpy(labels))
    assert scores["map_at_r"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-9)
    assert scores["r_precision"] == pytest.approx(theirs["r_precision"], abs=1e-9)
    assert scores["precision_at_1"] == pytest.approx(theirs["precision_at_1"], abs=1e-9)


def test_queries_apart_from_their_gallery_score_as_the_twin_of_the_definition():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    labels = rng.integers(0, 5, 60)
    is_query = np.arange(60) % 3 == 0
    scores = retrieval_scores(
        torch.from_numpy(x), torch.from_numpy(labels), is_query=torch.from_numpy(is_query)
    )
    firsts = []
    for i in np.flatnonzero(is_query):
        gallery = np.flatnonzero(~is_query)
        distance = ((x[gallery].astype(np.float64) - x[i]) ** 2).sum(1)
        firsts.append(labels[gallery[np.argmin(distance)]] == labels[i])
    assert scores["precision_at_1"] == pytest.approx(np.mean(firsts), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(embedded(), st.integers(0, 2**16))
def test_scores_do_not_depend_on_the_order_of_untied_images(case, seed):
    x, labels = case
    rng = np.random.default_rng(seed)
    x = x + rng.normal(size=x.shape).astype(np.float32)
    order = rng.permutation(len(labels))
    scores = retrieval_scores(torch.from_numpy(x), torch.from_numpy(labels))
    reordered = retrieval_scores(torch.from_numpy(x[order]), torch.from_numpy(labels[order]))
    for name, value in scores.items():
        assert reordered[name] == pytest.approx(value, abs=1e-12)


def test_lists_that_stop_short_of_r_are_refused_instead_of_scored_wrongly():
    with pytest.raises(ValueError, match="every list must reach R"):
        scores_of_lists(torch.ones(2, 3, dtype=torch.bool), torch.tensor([4, 2]))


def test_embeddings_with_nan_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        retrieval_scores(torch.full((4, 2), float("nan")), torch.tensor([0, 0, 1, 1]))
