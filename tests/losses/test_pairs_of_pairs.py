"""Pair losses that hold no pairs of pairs, against the library that does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning.distances import DotProductSimilarity, LpDistance
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from tests.losses.examples import build, value_and_gradient


@pytest.mark.parametrize("temperature", [1e-5, 1e-3, 0.01, 0.07, 1.0, 100.0])
def test_nt_xent_is_the_librarys_where_terms_reach_their_limit_too(temperature: float) -> None:
    cosines = DotProductSimilarity(normalize_embeddings=False)
    expected = pml.NTXentLoss(temperature, distance=cosines)
    loss = build("nt_xent", 6, 8, temperature=temperature)
    for spread in range(4):
        embeddings, labels = around_centres(spread)
        value, gradient = value_and_gradient(loss, normalize(embeddings), labels)
        wanted, its_gradient = value_and_gradient(expected, normalize(embeddings), labels)
        assert value == pytest.approx(wanted, rel=1e-4, abs=1e-5)
        assert (gradient - its_gradient).norm() <= 1e-3 * its_gradient.norm() + 1e-6


@pytest.mark.parametrize("neg_margin", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_lifted_structure_is_the_librarys_at_every_norm(neg_margin: float, scale: float) -> None:
    raw = LpDistance(normalize_embeddings=False)
    expected = pml.LiftedStructureLoss(neg_margin, 0, distance=raw)
    loss = build("lifted_structure", 6, 8, neg_margin=neg_margin)
    embeddings, labels = around_centres(1)
    value, gradient = value_and_gradient(loss, scale * embeddings, labels)
    wanted, its_gradient = value_and_gradient(expected, scale * embeddings, labels)
    assert value == pytest.approx(wanted, rel=1e-4)
    assert (gradient - its_gradient).norm() <= 1e-3 * its_gradient.norm()


@pytest.mark.parametrize("labels", [[0] * 6, list(range(6))])
def test_lifted_structure_without_positives_or_negatives_has_its_l2_term_alone(
    labels: list[int],
) -> None:
    embeddings = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    loss = build("lifted_structure", 6, 8, l2_reg_weight=0.5)
    value, gradient = value_and_gradient(loss, embeddings, torch.tensor(labels))
    assert value == pytest.approx(0.5 * float(embeddings.square().sum(1).mean()))
    assert torch.allclose(gradient, embeddings / 6)


@pytest.mark.parametrize("name", ["nt_xent", "lifted_structure"])
def test_no_tensor_holds_every_positive_pair_beside_every_negative_one(name: str) -> None:
    labels = torch.arange(16).repeat_interleave(4)
    embeddings = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with Largest() as seen:
        build(name, 16, 8)(embeddings, labels).backward()
    assert seen.entries == 64 * 64


def around_centres(spread: int) -> tuple[Tensor, Tensor]:
    """24 embeddings around 6 centres, unequal classes."""
    generator = torch.Generator().manual_seed(spread)
    labels = torch.randint(6, (24,), generator=generator)
    centres = spread * torch.randn(6, 8, generator=generator)
    return torch.randn(24, 8, generator=generator) + centres[labels], labels


class Largest(TorchDispatchMode):
    """Counts the entries of the largest tensor that an operation makes."""

    entries = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for one in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(one, torch.Tensor):
                self.entries = max(self.entries, one.numel())
        return result
