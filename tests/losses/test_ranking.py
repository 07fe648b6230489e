"""The ranking losses against average precision, plain loops and each other's orders of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor

from tests.losses.examples import build, unequal_batch, value_and_gradient
from tests.twins import ranking as twins_ranking


def average_precisions(embeddings: Tensor, labels: Tensor) -> float:
    scores, same = embeddings @ embeddings.T, labels[:, None] == labels
    return float(
        np.mean([average_precision_score(t, s) for t, s in zip(same, scores, strict=True)])
    )


def test_blackbox_ap_equals_plain_loops_and_scikit_learn_without_noise() -> None:
    embeddings, labels = unequal_batch()
    for lambda_val in (0.5, 4.0, 50.0):
        loss = build("blackbox_ap", 4, 5, lambda_val=lambda_val, margin=0.0)
        value, gradient = value_and_gradient(loss, embeddings, labels)
        expected, by_scores = twins_ranking.blackbox_ap(embeddings, labels.tolist(), lambda_val)
        assert value == pytest.approx(float(expected), rel=1e-6)
        assert value == pytest.approx(1 - average_precisions(embeddings, labels), abs=1e-4)
        wanted = (by_scores + by_scores.T).double() @ embeddings
        torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-7)


def test_blackbox_ap_noise_makes_every_class_harder_to_retrieve() -> None:
    embeddings, labels = unequal_batch()
    easy = float(build("blackbox_ap", 4, 5, margin=0.0)(embeddings, labels))
    torch.manual_seed(0)
    loss = build("blackbox_ap", 4, 5, margin=0.5)
    hard = [float(loss(embeddings, labels)) for _ in range(20)]
    assert len(set(hard)) > 1
    assert min(hard) >= easy - 1e-12
    assert sum(hard) / 20 > easy + 0.01


def test_smooth_ap_tends_to_average_precision_as_tau_vanishes() -> None:
    for seed in range(3):
        embeddings, labels = unequal_batch(seed=seed)
        value = float(build("smooth_ap", 4, 5, tau=1e-6)(embeddings, labels))
        assert value == pytest.approx(1 - average_precisions(embeddings, labels), abs=1e-6)


def test_roadmaps_sup_ap_bounds_one_minus_average_precision() -> None:
    for seed in range(3):
        embeddings, labels = unequal_batch(seed=seed)
        loss = build("roadmap", 4, 5, weight=0.0)
        assert float(loss(embeddings, labels)) >= 1 - average_precisions(embeddings, labels)


@pytest.mark.parametrize("name", ["smooth_ap", "roadmap", "recall_at_k", "contextual", "cbml"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(11)))
def test_order_of_an_unequal_batch_does_not_matter(name: str, seed: int, order: list[int]) -> None:
    embeddings, labels = unequal_batch(seed=seed)
    loss = build(name, 4, 5)
    value = float(loss(embeddings, labels))
    assert float(loss(embeddings[order], labels[order])) == pytest.approx(value, rel=1e-9)


def test_contextual_similarity_differs_from_the_labels_in_the_twins_batch() -> None:
    embeddings, labels = unequal_batch()
    alike = twins_ranking.contextual_similarity(embeddings @ embeddings.T, 4, 0.1)
    values = torch.tensor([[float(entry) for entry in row] for row in alike])
    assert ((values > 0.05) & (values < 0.95)).sum() > 10
    assert not torch.equal(values.round(), (labels[:, None] == labels).double())
