"""Queries, galleries and groups against plain loops, pytorch-metric-learning and each other."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from harness.measure import neighbours
from harness.measure import scores as score_file
from harness.measure.scores import neighbour_lists, retrieval_scores, sums_by_class
from tests.measure.small import small_tiles
from tests.twins import retrieval as twins

COUNTS = [1, 2, 3, 7, 50]


@st.composite
def searches(draw):
    """Rows with ties and duplicates, any division into queries and gallery, any groups."""
    n = draw(st.integers(3, 28))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    labels = np.unique(rng.integers(0, draw(st.integers(1, 5)), n), return_inverse=True)[1]
    x = rng.integers(-1, 2, (n, 3)) if draw(st.booleans()) else rng.normal(size=(n, 3))
    is_query = rng.random(n) < draw(st.sampled_from([0.2, 0.5, 0.9, 1.0]))
    is_gallery = draw(st.sampled_from([~is_query, np.full(n, True), rng.random(n) < 0.7, is_query]))
    groups = rng.integers(-1, draw(st.integers(0, 4)), n)
    return np.asarray(x, dtype=np.float32), labels, is_query, is_gallery, groups


@settings(max_examples=300, deadline=None)
@given(searches(), st.sampled_from([0, 200]))
def test_scores_equal_the_brute_force_twin_whatever_queries_galleries_and_groups(case, long):
    x, labels, is_query, is_gallery, groups = case
    try:
        expected = twins.retrieval_scores_with_galleries(
            x,
            labels.tolist(),
            is_query=is_query.tolist(),
            is_gallery=is_gallery.tolist(),
            groups=groups.tolist(),
            ks=COUNTS,
        )
    except ZeroDivisionError:
        expected = None
    arguments = {"is_query": is_query, "is_gallery": is_gallery, "groups": groups}
    tensors = {name: torch.from_numpy(values) for name, values in arguments.items()}
    with (
        small_tiles(16, 2),
        mock.patch.object(neighbours, "MARGIN", 2),
        mock.patch.multiple(score_file, LONG=long, ENTRIES=20, SCORED=20),
    ):
        if expected is None:
            with pytest.raises(ValueError, match="no query has a positive"):
                retrieval_scores(torch.from_numpy(x), torch.from_numpy(labels), **tensors)
            return
        scores = retrieval_scores(
            torch.from_numpy(x), torch.from_numpy(labels), recall_at=COUNTS, **tensors
        )
    assert set(scores) == set(expected)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name


@settings(max_examples=60, deadline=None)
@given(searches())
def test_left_out_arguments_mean_what_they_say(case):
    x, labels, is_query = case[:3]
    x, labels, is_query = (torch.from_numpy(values) for values in (x, labels, is_query))
    everyone, nobody = torch.ones(len(x), dtype=torch.bool), torch.full((len(x),), -1)
    assume(bool((torch.bincount(labels) > 1).any()))
    plain = retrieval_scores(x, labels, recall_at=COUNTS)
    assert plain == retrieval_scores(
        x, labels, recall_at=COUNTS, is_query=everyone, is_gallery=everyone, groups=nobody
    )
    assert plain == retrieval_scores(x, labels, recall_at=COUNTS, is_gallery=everyone)
    apart = torch.from_numpy(np.arange(len(x)))  # every image in a group of its own
    assert plain == retrieval_scores(x, labels, recall_at=COUNTS, groups=apart)
    if bool((labels[is_query, None] == labels[~is_query]).any()):
        assert retrieval_scores(x, labels, is_query=is_query) == retrieval_scores(
            x, labels, is_query=is_query, is_gallery=~is_query
        )


def test_scores_equal_those_of_pytorch_metric_learning_where_the_gallery_holds_the_queries():
    rng = np.random.default_rng(1)
    labels = torch.from_numpy(rng.integers(0, 9, 300))
    x = torch.from_numpy(rng.normal(size=(300, 8)).astype(np.float32))
    is_query = torch.arange(300) < 80
    theirs = AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
    ).get_accuracy(x[:80].double(), labels[:80], x.double(), labels, ref_includes_query=True)
    scores = retrieval_scores(x, labels, is_query=is_query, is_gallery=torch.ones(300).bool())
    assert scores["queries"] == 80
    assert scores["map_at_r"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-9)
    assert scores["r_precision"] == pytest.approx(theirs["r_precision"], abs=1e-9)
    assert scores["precision_at_1"] == pytest.approx(theirs["precision_at_1"], abs=1e-9)


def test_a_match_of_the_query_s_group_is_neither_a_hit_nor_a_miss_nor_counted_in_r():
    x = torch.tensor([[0.0], [0.1], [0.2], [0.3], [0.4]])
    labels = torch.tensor([0, 0, 0, 1, 0])
    groups = torch.tensor([5, 5, 6, 6, 6])
    is_query = torch.tensor([True, False, False, False, False])
    scores = retrieval_scores(x, labels, is_query=is_query, groups=groups)
    # What is left: a positive at 0.2, a negative at 0.3, a positive at 0.4; so R = 2.
    assert scores["precision_at_1"] == 1.0
    assert scores["r_precision"] == 0.5
    assert scores["map_at_r"] == 0.5


def test_an_image_of_another_class_in_the_query_s_group_stays_in_its_gallery():
    x = torch.tensor([[0.0], [0.1], [0.2]])
    is_query = torch.tensor([True, False, False])
    scores = retrieval_scores(
        x, torch.tensor([0, 1, 0]), is_query=is_query, groups=torch.tensor([3, 3, 4])
    )
    assert scores["precision_at_1"] == 0.0


def test_a_duplicate_of_a_query_that_is_in_the_gallery_too_counts():
    x = torch.tensor([[0.0], [0.0], [1.0]])
    is_query = torch.tensor([True, False, False])
    scores = retrieval_scores(
        x, torch.tensor([0, 1, 0]), is_query=is_query, is_gallery=torch.ones(3).bool()
    )
    assert scores["precision_at_1"] == 0.0


def test_a_query_whose_class_is_all_in_its_group_is_not_scored():
    x = torch.arange(6.0)[:, None]
    labels, groups = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1, 1, 1, 1, 2, 2])
    lists = neighbour_lists(x, labels, groups=groups)
    assert lists.scores()["queries"] == 3
    assert lists.labels.tolist() == [1, 1, 1]
    assert sums_by_class(lists)["queries"] == [3.0]


def test_groups_that_leave_no_query_a_positive_are_refused():
    with pytest.raises(ValueError, match="no query has a positive"):
        retrieval_scores(torch.eye(4), torch.tensor([0, 0, 1, 1]), groups=torch.ones(4).long())


def test_group_numbers_may_be_as_large_as_timestamps():
    x = torch.tensor([[0.0], [0.1], [0.2], [0.3]])
    labels = torch.tensor([7, 7, 7, 0])
    groups = torch.tensor([2**62, 2**62, 2**62 - 1, 2**62])
    scores = retrieval_scores(x, labels, groups=groups)
    assert scores["queries"] == 3
    small = retrieval_scores(x, labels, groups=torch.tensor([1, 1, 0, 1]))
    assert scores == small
