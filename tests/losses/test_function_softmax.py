"""The function softmax against the losses that it takes apart, and against its formula in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from losses import euclidean_softmax, function_softmax, warped

N_CLASSES, DIM = 7, 5
# f with f(0) = 0 and f(s) = s, straight from the docstring
FORMULAS = {
    "identity": lambda t, s: t,
    "power_3_2": lambda t, s: np.sqrt(t**3 / s),
    "square": lambda t, s: t**2 / s,
    "t_log": lambda t, s: t * np.log(1 + t / s) / math.log(2),
    "sqrt": lambda t, s: np.sqrt(s * t),
    "log": lambda t, s: s * np.log(1 + t / s) / math.log(2),
    "saturating": lambda t, s: s * (1 - np.exp(-t / s)) / (1 - 1 / math.e),
}
CONVEX = {"power_3_2": 1, "square": 1, "t_log": 1, "identity": 0}


def loss_of(module, **params) -> nn.Module:
    torch.manual_seed(0)
    loss: nn.Module = module.Loss(n_classes=N_CLASSES, dim=DIM, **params).double()
    return loss


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    embeddings = 3 * torch.randn(20, DIM, generator=generator, dtype=torch.float64)
    return embeddings.requires_grad_(), torch.arange(20) % N_CLASSES


def value_and_gradients(loss: nn.Module) -> tuple[float, Tensor, Tensor]:
    embeddings, labels = batch()
    value = loss(embeddings, labels)
    value.backward()
    assert embeddings.grad is not None
    return float(value.detach()), embeddings.grad, loss.proxies.grad


@pytest.mark.parametrize(
    ("params", "module", "theirs"),
    [
        ({"temperature": 0.7}, euclidean_softmax, {"temperature": 0.7}),
        *(
            ({"function": "warp", **warp}, warped, warp)
            for warp in (
                {"temperature": 0.7, "alpha": 4.0, "k1": 0.6, "k2": 1.7, "margin": 2.5},
                {"temperature": 0.7, "alpha": 0.0, "k1": 0.6, "k2": 1.7, "margin": 1.0},
            )
        ),
    ],
)
def test_it_is_the_plain_softmax_and_the_warped_one_in_value_and_gradients(params, module, theirs):
    ours = value_and_gradients(loss_of(function_softmax, **params))
    expected = value_and_gradients(loss_of(module, **theirs))
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_every_function_gives_the_value_of_its_formula(name):
    assert set(FORMULAS) == set(function_softmax.FUNCTIONS)
    loss = loss_of(function_softmax, function=name, temperature=0.3, scale=6.0)
    embeddings, labels = batch()
    x, p = embeddings.detach().numpy(), loss.proxies.detach().numpy()
    logits = -0.3 * FORMULAS[name](np.linalg.norm(x[:, None] - p[None], axis=2), 6.0)
    log_sum = np.log(np.exp(logits).sum(1))
    expected = float(np.mean(log_sum - logits[np.arange(20), labels.numpy()]))
    assert float(loss(embeddings, labels)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", FORMULAS)
def test_every_function_is_monotone_of_the_declared_shape_and_meets_the_scale(name):
    t = torch.linspace(1e-3, 3, 400, dtype=torch.float64)
    f = function_softmax.FUNCTIONS[name](t)
    assert float(function_softmax.FUNCTIONS[name](torch.ones(1, dtype=torch.float64))) == (
        pytest.approx(1, rel=1e-12)
    )
    assert bool((f.diff() > 0).all())
    second = f.diff().diff()
    wanted = CONVEX.get(name, -1)
    assert bool((second.abs() < 1e-12).all() if wanted == 0 else (second * wanted > 0).all())


def test_half_a_warp_pulls_only_one_way():
    """Beyond its own proxy, on the line away from another, the gradient's sign says which way."""

    def outward(k1: float, k2: float, alpha: float, distance: float) -> bool:
        loss = function_softmax.Loss(
            n_classes=2, dim=1, function="warp", alpha=alpha, k1=k1, k2=k2, temperature=1.0
        ).double()
        with torch.no_grad():
            loss.proxies.copy_(torch.tensor([[0.0], [-3.0]]))
        x = torch.tensor([[distance]], dtype=torch.float64, requires_grad=True)
        loss(x, torch.tensor([0])).backward()
        assert x.grad is not None
        return bool(x.grad < 0)  # descent moves x further out

    near, far = 1.0, 4.0
    assert [outward(0.6, 1.5, 1e6, d) for d in (near, far)] == [True, True]
    assert [outward(0.6, 1.5, 0.0, d) for d in (near, far)] == [False, False]
    assert [outward(0.6, 1.5, 2.0, d) for d in (near, far)] == [True, False]
