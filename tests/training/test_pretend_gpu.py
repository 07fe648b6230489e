"""Losses, network, crops and scores on tensors that say they are on a GPU: nothing mixes devices.

And no step waits for the device more often than is written here. A wait costs a GPU what it could
have computed meanwhile; each loss has at least one, the check of its input.
"""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import losses
from harness.measure.scores import retrieval_scores
from harness.schema import Part, Study
from harness.training import network, resized_crops, transforms
from tests.twins.pretend_gpu import GPU, MixedDevices, OnGpu, pretending

LOSSES = sorted(m.name for m in pkgutil.iter_modules(losses.__path__) if not m.name.startswith("_"))
# Waits in a forward pass, where there are more than one. A number here may fall, and not rise.
BUDGET = {
    **dict.fromkeys(("center", "direction_regularization", "npair"), 2),
    **dict.fromkeys(("angular", "hierarchical_proxy", "hist", "lifted_structure", "margin"), 3),
    **dict.fromkeys(("margin_per_class", "pd_loss", "pnp", "smooth_ap", "triplet"), 3),
    **dict.fromkeys(("mean_field_multi_similarity", "multi_similarity", "nt_xent"), 4),
    **dict.fromkeys(("pd_loss_forms", "potential_field", "proxy_anchor"), 4),
    **dict.fromkeys(("contrastive", "d_loss", "dynamic_soft_margin", "histogram"), 5),
    **dict.fromkeys(("recall_at_k", "soft_orthogonal_proxies", "tcm_multi_similarity"), 5),
    **dict.fromkeys(("tcm_proxy_anchor", "tuplet_margin"), 5),
    **dict.fromkeys(("multi_similarity_miner", "supcon"), 6),
    "roadmap": 7,
    **dict.fromkeys(("intra_pair_variance", "magnet"), 8),
    "circle": 9,
    "fast_ap": 12,
}


def test_the_twin_counts_waits_and_refuses_tensors_of_both_devices():
    with pretending() as waits:
        here, there = torch.ones(3), torch.ones(3).to("cuda")
        assert isinstance(there, OnGpu)
        assert there.device == GPU
        doubled = there * 2
        assert not waits.total()
        assert float(doubled.sum()) == 6
        assert torch.nonzero(there).shape == (3, 1)
        assert waits == {"_local_scalar_dense": 1, "nonzero": 1}
        assert torch.equal(doubled.cpu(), here * 2)
        assert waits["_to_copy"] == 1
        with pytest.raises(MixedDevices):
            there + here
        assert torch.arange(3, device="cuda").device == GPU


def test_every_budget_is_of_a_loss():
    assert set(BUDGET) <= set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_stays_on_the_device_and_waits_no_more_than_it_may(name):
    module = importlib.import_module(f"losses.{name}")
    rows, labels = torch.randn(32, 16), torch.arange(8).repeat_interleave(4)
    rows = F.normalize(rows) if module.EMBEDDING == "unit" else rows
    torch.manual_seed(0)
    loss = module.Loss(n_classes=10, dim=16)
    with pretending() as waits:
        loss.to("cuda")
        on_gpu, labels_there = rows.to("cuda"), labels.to("cuda")
        loss(on_gpu, labels_there)  # the first call may prepare what later ones use
        waits.clear()
        value = loss(on_gpu, labels_there)
        assert value.device == GPU
        assert waits.total() <= BUDGET.get(name, 1), dict(+waits)
        assert torch.isfinite(value)


def test_crops_network_and_scores_on_a_gpu_are_those_of_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(
        torch, "inference_mode", torch.no_grad
    )  # which the twin's tensors are not for
    monkeypatch.setattr(
        resized_crops, "staging", lambda shape, _device: torch.empty(shape, dtype=torch.uint8)
    )
    monkeypatch.setattr(
        transforms, "staging", lambda shape, _device: torch.empty(shape, dtype=torch.uint8)
    )
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (60, 70, 3), np.uint8) for _ in range(16)]
    study = Study(name="x", weights="none", trunk="convnet", resize=60, crop=32, evaluate_batch=8)
    labels = np.arange(16) // 4
    part = Part(pictures, np.arange(16), labels)
    torch.manual_seed(0)
    model = network.build(study, 8, 3)
    expected = network.embed(model, part, study, torch.device("cpu"))
    scores = retrieval_scores(F.normalize(expected), torch.from_numpy(labels))
    with pretending():
        model = model.to("cuda")
        batch = transforms.train_batch(
            pictures, np.arange(8), study, np.random.default_rng(1), torch.device("cuda")
        )
        assert batch.device == GPU
        embedded = network.embed(model, part, study, torch.device("cuda"))
        assert embedded.device == GPU
        torch.testing.assert_close(embedded.cpu(), expected)
        there = retrieval_scores(F.normalize(embedded), torch.from_numpy(labels).to("cuda"))
        assert model(batch).device == GPU
    assert there == pytest.approx(scores)
