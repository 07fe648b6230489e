"""Margin losses, N-pair and SNR against pytorch-metric-learning; the margin losses' sampling."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from pytorch_metric_learning import distances as pml_distances
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning import regularizers as pml_regularizers
from torch import Tensor

from losses import margin
from losses.margin import FARTHEST, NEAREST, sample_negatives
from tests.losses.examples import build, unequal_batch, value_and_gradient


@pytest.mark.parametrize("name", ["margin", "margin_per_class"])
@pytest.mark.parametrize("nu", [0.0, 0.3])
def test_margin_over_all_triplets_equals_the_library_down_to_beta(name: str, nu: float) -> None:
    embeddings, labels = unequal_batch()
    ours = build(name, 4, 5, margin=0.25, beta=0.9, nu=nu, sampling="all")
    theirs = pml_losses.MarginLoss(
        margin=0.25, nu=nu, beta=0.9, learn_beta=True, num_classes=4
    ).double()
    with torch.no_grad():
        if name == "margin_per_class":
            cast(Any, ours).beta += torch.tensor([0.0, 0.1, -0.1, 0.2])
            theirs.beta += torch.tensor([0.0, 0.1, -0.1, 0.2])
    value, gradient = value_and_gradient(ours, embeddings, labels)
    expected = value_and_gradient(theirs, embeddings, labels)
    assert value == pytest.approx(expected[0], rel=1e-9)
    # the library normalises once more, which removes the radial part
    radial = (gradient * embeddings).sum(1, keepdim=True) * embeddings
    torch.testing.assert_close(gradient - radial, expected[1], rtol=1e-7, atol=1e-9)
    beta = cast(Any, ours).beta.grad
    expected_beta = (
        theirs.beta.grad if name == "margin_per_class" else theirs.beta.grad.sum(0, True)
    )
    torch.testing.assert_close(beta, expected_beta, rtol=1e-9, atol=1e-12)


def test_margin_draws_one_negative_for_every_positive_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embeddings, labels = unequal_batch()
    draws: list[tuple[Tensor, Tensor]] = []

    def recorded(distances: Tensor, negatives: Tensor, anchors: Tensor, *, dim: int) -> Tensor:
        draws.append((anchors, sample_negatives(distances, negatives, anchors, dim=dim)))
        return draws[-1][1]

    monkeypatch.setattr(margin, "sample_negatives", recorded)
    torch.manual_seed(0)
    value = float(build("margin", 4, 5)(embeddings, labels).detach())
    [(anchors, negatives)] = draws
    counts = torch.bincount(labels)
    assert torch.bincount(anchors).tolist() == (counts[labels] - 1).tolist()
    assert (labels[anchors] != labels[negatives]).all()
    positives = (labels[:, None] == labels).fill_diagonal_(False).nonzero()[:, 1]
    theirs = pml_losses.MarginLoss(beta=1.2, margin=0.2)
    expected = theirs(embeddings, labels, (anchors, positives, negatives))
    assert value == pytest.approx(float(expected), rel=1e-9)


def test_negatives_are_drawn_inversely_to_the_density_of_distances() -> None:
    dim = 8
    distances = torch.tensor([[0.0, 0.3, 0.5, 0.8, 1.1, 1.39, 1.45, 0.6]]).double()
    negatives = torch.tensor([[False, True, True, True, True, True, True, False]])
    weights = []
    for d, negative in zip(distances[0].tolist(), negatives[0].tolist(), strict=True):
        d = max(d, NEAREST)
        density = d ** (dim - 2) * (1 - d * d / 4) ** ((dim - 3) / 2)
        weights.append(1 / density if negative and d < FARTHEST else 0.0)
    expected = np.array(weights) / sum(weights)
    torch.manual_seed(0)
    anchors = torch.zeros(40_000, dtype=torch.long)
    drawn = sample_negatives(distances, negatives, anchors, dim=dim)
    shares = torch.bincount(drawn, minlength=8).double().numpy() / len(anchors)
    assert np.abs(shares - expected).max() < 0.01
    beyond = sample_negatives(torch.full((1, 8), 1.6), negatives, anchors[:1000], dim=dim)
    assert set(beyond.tolist()) == {1, 2, 3, 4, 5, 6}


def test_npair_with_two_images_of_a_class_equals_the_library_unnormalised() -> None:
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(10, 6, generator=generator, dtype=torch.float64)
    labels = torch.tensor([3, 0, 1, 2, 4, 4, 2, 1, 0, 3])
    theirs = pml_losses.NPairsLoss(
        distance=pml_distances.DotProductSimilarity(normalize_embeddings=False)
    )
    ours = value_and_gradient(build("npair", 5, 6, l2_reg_weight=0.0), embeddings, labels)
    expected = value_and_gradient(theirs, embeddings, labels)
    assert ours[0] == pytest.approx(expected[0], rel=1e-9)
    torch.testing.assert_close(ours[1], expected[1], rtol=1e-9, atol=1e-12)


def test_snr_contrastive_equals_the_library_with_its_regulariser() -> None:
    embeddings, labels = unequal_batch()
    theirs = pml_losses.SignalToNoiseRatioContrastiveLoss(
        pos_margin=0.2,
        neg_margin=1.5,
        embedding_regularizer=pml_regularizers.ZeroMeanRegularizer(),
        embedding_reg_weight=0.3,
    )
    ours = build("snr_contrastive", 4, 5, pos_margin=0.2, neg_margin=1.5, regularizer_weight=0.3)
    assert float(ours(embeddings, labels)) == pytest.approx(
        float(theirs(embeddings, labels).detach()), rel=1e-9
    )
