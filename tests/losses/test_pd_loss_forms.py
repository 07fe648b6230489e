"""The forms of PD-Loss against pd_loss, against d' in numpy, and where their proxies start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from losses import pd_loss, pd_loss_forms

N_CLASSES, DIM = 6, 5


def loss_of(module, **params) -> nn.Module:
    torch.manual_seed(0)
    loss: nn.Module = module.Loss(n_classes=N_CLASSES, dim=DIM, **params).double()
    return loss


def batch(classes=(0, 1, 2, 3), seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(4 * len(classes), DIM, generator=generator, dtype=torch.float64)
    return normalize(embeddings).requires_grad_(), torch.tensor(classes).repeat_interleave(4)


def test_with_the_logarithm_and_a_random_start_it_is_pd_loss_in_value_and_gradients():
    outcomes = []
    for module in (pd_loss, pd_loss_forms):
        loss, (embeddings, labels) = loss_of(module), batch()
        value = loss(embeddings, labels)
        value.backward()
        outcomes.append((value.detach(), embeddings.grad, loss.proxies.grad))
    for theirs, ours in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_without_the_logarithm_it_is_minus_the_decidability_index():
    loss, (embeddings, labels) = loss_of(pd_loss_forms, logarithm=False), batch()
    x, p = embeddings.detach().numpy(), loss.proxies.detach().numpy()
    cosine = x @ (p / np.linalg.norm(p, axis=1, keepdims=True)).T
    own = np.arange(N_CLASSES) == labels.numpy()[:, None]
    genuine, impostor = cosine[own], cosine[~own]
    d_prime = (genuine.mean() - impostor.mean()) / np.sqrt((genuine.var() + impostor.var()) / 2)
    assert float(loss(embeddings, labels).detach()) == pytest.approx(-d_prime, rel=1e-9)


def test_a_class_starts_at_the_mean_of_its_first_batch_and_is_learned_from_then_on():
    loss = loss_of(pd_loss_forms, start="class_means")
    random = loss.proxies.detach().clone()
    embeddings, labels = batch((0, 3))
    loss(embeddings, labels)
    rows = embeddings.detach()
    torch.testing.assert_close(loss.proxies[0].detach(), rows[:4].mean(0))
    torch.testing.assert_close(loss.proxies[3].detach(), rows[4:].mean(0))
    torch.testing.assert_close(loss.proxies[[1, 2, 4, 5]].detach(), random[[1, 2, 4, 5]])
    first = loss.proxies.detach().clone()
    later, later_labels = batch((0, 1), seed=9)
    loss(later, later_labels)
    torch.testing.assert_close(loss.proxies[0].detach(), first[0])
    torch.testing.assert_close(loss.proxies[1].detach(), later.detach()[4:].mean(0))


def test_what_has_started_stays_so_through_its_state():
    loss = loss_of(pd_loss_forms, start="class_means")
    loss(*batch((0, 1, 2, 3, 4, 5)))
    other = loss_of(pd_loss_forms, start="class_means")
    other.load_state_dict(loss.state_dict())
    before = other.proxies.detach().clone()
    other(*batch(seed=5))
    torch.testing.assert_close(other.proxies.detach(), before, rtol=0, atol=0)
