"""Batches that leave a loss few terms: one mined pair, or anchors whose loss rounds to zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losses import multi_similarity_miner, supcon
from tests.losses.examples import value_and_gradient
from tests.twins import pair as twins_pair
from tests.twins import tuples as twins_tuples


def on_a_circle(degrees: list[float]) -> Tensor:
    """Embeddings [B, 2] in float64, of unit length, at these angles."""
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.01, "beta": 200.0, "base": 0.0, "epsilon": 0.0},
        {"alpha": 2.0, "beta": 50.0, "base": 0.5, "epsilon": 0.0},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_positive_and_one_negative_pair_are_a_loss_and_have_a_gradient(
    params: dict[str, float], dtype: torch.dtype
) -> None:
    # of the first image alone another class is nearer than its own
    embeddings, labels = on_a_circle([0.0, 50.0, 312.0, 305.0]), torch.tensor([3, 3, 4, 4])
    loss = multi_similarity_miner.Loss(n_classes=5, dim=2, **params)
    assert [len(kept) for kept in loss.miner(embeddings, labels)] == [1, 1, 1, 1]
    value, gradient = value_and_gradient(loss, embeddings.to(dtype), labels)
    expected = value_and_gradient(
        lambda x, y: twins_pair.multi_similarity_miner(x, y, **params), embeddings, labels.tolist()
    )
    assert expected[0] > 0.1
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    assert value == pytest.approx(expected[0], rel=tolerance)
    assert (gradient - expected[1]).norm() <= tolerance * expected[1].norm()


@pytest.mark.parametrize("seed", range(6))
def test_mined_pairs_are_those_of_the_formula_however_few_they_are(seed: int) -> None:
    params: dict[str, Any] = {"alpha": 1.5, "beta": 20.0, "base": 0.4, "epsilon": 0.05}
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(5).repeat_interleave(2)
    centres = torch.randn(5, 16, generator=generator, dtype=torch.float64)
    noise = torch.randn(10, 16, generator=generator, dtype=torch.float64)
    kept = set()
    for spread in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5):
        embeddings = normalize(centres[labels] + spread * noise)
        loss = multi_similarity_miner.Loss(n_classes=5, dim=16, **params)
        kept.add(len(loss.miner(embeddings, labels)[0]))
        value, gradient = value_and_gradient(loss, embeddings, labels)
        expected = value_and_gradient(
            lambda x, y: 0 * x.sum() + twins_pair.multi_similarity_miner(x, y, **params),
            embeddings,
            labels.tolist(),
        )
        assert value == pytest.approx(expected[0], rel=1e-9, abs=1e-12)
        torch.testing.assert_close(gradient, expected[1], rtol=1e-9, atol=1e-12)
    assert len(kept) > 1


@pytest.mark.parametrize("alone", [0, 3])
@pytest.mark.parametrize("temperature", [0.001, 0.01, 0.1])
def test_supcon_counts_every_anchor_with_a_positive_also_where_its_loss_rounds_to_zero(
    temperature: float, alone: int
) -> None:
    """Two images a class; `alone` images of further classes have no positive."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.cat([torch.arange(12).repeat_interleave(2), torch.arange(12, 12 + alone)])
    centres = torch.randn(15, 64, generator=generator, dtype=torch.float64)
    centres[1] = centres[0] + 0.5 * torch.randn(64, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), 64, generator=generator, dtype=torch.float64)
    embeddings = normalize(centres[labels] + noise).float().double()
    loss = supcon.Loss(n_classes=15, dim=64, temperature=temperature)
    value, gradient = value_and_gradient(loss, embeddings.float(), labels)
    expected = value_and_gradient(
        lambda x, y: twins_tuples.supcon(x, y, temperature), embeddings, labels.tolist()
    )
    assert value == pytest.approx(expected[0], rel=1e-3, abs=1e-7)
    assert (gradient - expected[1]).norm() <= 1e-3 * expected[1].norm()
