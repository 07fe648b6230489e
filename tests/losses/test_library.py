"""Losses with parameters of their own against pytorch-metric-learning, and what is particular."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch import Tensor, nn
from torch.nn.functional import normalize

from losses import direction_regularization as direction
from losses import intra_pair_variance, pnp, potential_field, tcm_proxy_anchor, triplet
from losses._angles import cosine_of_sum, falling_multiple
from tests.losses.examples import value_and_gradient
from tests.losses.proxy_examples import DIM, N_CLASSES, batch, build, gradients, relative_error
from tests.twins import tuples as twins


def compare(ours: nn.Module, theirs: Any, weights: Tensor, of_theirs: Tensor) -> None:
    """Compare values, and gradients by embeddings and by weights [D, C] that are made equal."""
    with torch.no_grad():
        of_theirs.copy_(weights.T)
    x, labels = batch()
    value, expected = ours(x, labels), theirs(x, labels)
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    by_x, by_weights = gradients(value, x, weights)
    expected_by_x, expected_by_weights = gradients(expected, x, of_theirs)
    assert relative_error(by_x, expected_by_x) < 1e-7
    assert relative_error(by_weights, expected_by_weights.T) < 1e-7


@pytest.mark.parametrize("centres", [1, 3])
@pytest.mark.parametrize("margin", [0.0, 28.6, 85.0])
def test_subcenter_arcface_equals_the_library(margin: float, centres: int) -> None:
    ours = build("subcenter_arcface", margin=margin, scale=11.0, centers_per_class=centres)
    theirs = pml.SubCenterArcFaceLoss(
        num_classes=N_CLASSES,
        embedding_size=DIM,
        margin=margin,
        scale=11.0,
        sub_centers=centres,
    ).double()
    compare(ours, theirs, ours.get_parameter("proxies"), theirs.W)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library's use of numpy
@pytest.mark.parametrize("margin", [1, 2, 3, 4])
def test_large_margin_softmax_equals_the_library(margin: int) -> None:
    ours = build("large_margin_softmax", margin=margin, scale=0.7)
    theirs = pml.LargeMarginSoftmaxLoss(N_CLASSES, DIM, margin=margin, scale=0.7).double()
    compare(ours, theirs, ours.get_parameter("proxies"), theirs.W)


def test_p2s_grad_equals_the_library_whose_weights_have_unit_length() -> None:
    ours = build("p2s_grad")
    theirs = pml.P2SGradLoss(DIM, N_CLASSES).double()
    with torch.no_grad():
        theirs.weight.copy_(normalize(ours.get_parameter("proxies")).T)
    x, labels = batch()
    value, expected = ours(x, labels), theirs(x, labels)
    # the library's clamp of the cosine and its rescaling of weights are exact to 1e-5
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert relative_error(gradients(value, x)[0], gradients(expected, x)[0]) < 1e-5


@pytest.mark.parametrize(("positive", "negative"), [(0.9, 0.5), (0.2, -0.3), (-1.0, 1.0)])
def test_tcm_adds_the_librarys_margins_to_proxy_anchor(positive: float, negative: float) -> None:
    params: dict[str, Any] = {
        "tcm_weight": 0.6,
        "positive_margin": positive,
        "negative_margin": negative,
    }
    x, labels = batch(norm=1.0)
    with_margins, without = build("tcm_proxy_anchor", **params), build("proxy_anchor")
    without.load_state_dict(with_margins.get_submodule("base").state_dict())
    theirs = pml.ThresholdConsistentMarginLoss(margin_plus=positive, margin_minus=negative)
    added = with_margins(x, labels) - without(x, labels)
    expected = 0.6 * theirs(x, labels)
    assert added.item() == pytest.approx(expected.item(), abs=1e-12)
    if positive > 0:
        # the library normalises once more, which removes the gradient's radial part
        radial = (gradients(added, x)[0] * x).sum(1, keepdim=True) * x
        assert relative_error(gradients(added, x)[0] - radial, gradients(expected, x)[0]) < 1e-9


def test_tcms_margins_teach_the_embeddings_and_not_the_proxies() -> None:
    x, labels = batch(norm=1.0)
    by_weight = []
    for weight in (0.0, 5.0):
        loss = build("tcm_proxy_anchor", tcm_weight=weight)
        assert isinstance(loss, tcm_proxy_anchor.Loss)
        by_weight.append(gradients(loss(x, labels), x, loss.base.proxies))
    assert torch.equal(by_weight[0][1], by_weight[1][1])
    assert not torch.allclose(by_weight[0][0], by_weight[1][0])


@pytest.mark.parametrize("variant", ["Dq", "Ds", "O", "Iu"])
def test_pnp_equals_the_library_in_every_variant(variant: str) -> None:
    x, labels = batch(norm=1.0)
    ours = pnp.Loss(n_classes=N_CLASSES, dim=DIM, tau=0.2, alpha=2.0, variant=variant)
    theirs = pml.PNPLoss(anneal=0.2, alpha=2.0, variant=variant)
    value, gradient = value_and_gradient(ours, x.detach(), labels)
    expected = value_and_gradient(lambda e, y: theirs(normalize(e), y), x.detach(), labels)
    assert value == pytest.approx(expected[0], rel=1e-9)
    radial = (gradient * x).sum(1, keepdim=True) * x
    assert relative_error(gradient - radial, expected[1]) < 1e-9


def test_intra_pair_variance_alone_is_least_where_all_images_coincide() -> None:
    """Which is why it stands on the tuplet margin loss."""
    labels = torch.arange(4).repeat_interleave(3)
    loss = intra_pair_variance.Loss(n_classes=4, dim=2)
    assert float(loss.variance(torch.tensor([[1.0, 0.0]]).repeat(12, 1), labels)) == 0.0
    angles = labels * math.pi / 2
    apart = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert float(loss.variance(apart, labels)) > 0.05
    assert float(loss.tuplets(apart, labels)) < 1e-3


def test_direction_regularisation_with_gamma_0_is_the_triplet_loss() -> None:
    x, labels = batch(norm=1.0)
    ours = direction.Loss(n_classes=N_CLASSES, dim=DIM, margin=0.3, gamma=0.0)
    plain = triplet.Loss(n_classes=N_CLASSES, dim=DIM, margin=0.3)
    assert ours(x, labels).item() == pytest.approx(plain(x, labels).item(), rel=1e-12)


def test_soft_orthogonality_is_the_squared_frobenius_norm_of_cosines_less_the_identity() -> None:
    x, labels = batch()
    loss = build("soft_orthogonal_proxies", orthogonality=0.8)
    base = loss.get_submodule("base")
    proxies = normalize(base.get_parameter("proxies"))
    squares = (proxies @ proxies.T - torch.eye(N_CLASSES)).square().sum() / N_CLASSES
    added = loss(x, labels) - base(x, labels)
    assert added.item() == pytest.approx(0.8 * squares.item(), rel=1e-9)


@pytest.mark.parametrize(("seed", "delta"), [(0, 0.9), (1, 0.3), (2, 1.3)])
def test_potential_field_is_the_sum_over_all_pairs_of_charges(seed: int, delta: float) -> None:
    torch.manual_seed(seed)
    loss = potential_field.Loss(
        n_classes=4, dim=3, alpha=2.5, delta=delta, proxies_per_class=2
    ).double()
    labels = torch.tensor([0, 0, 1, 1, 2])
    x = normalize(torch.randn(5, 3, dtype=torch.float64)).requires_grad_()
    charges = normalize(torch.cat([x, loss.proxies]))
    classes = [0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 2, 3, 3]
    distances = torch.cdist(charges, charges).detach()[~torch.eye(13, dtype=torch.bool)]
    assert ((distances < delta).sum() > 0) & (distances > 0.1 * delta).all()
    value, expected = loss(x, labels), twins.potential_field(charges, classes, 5, 2.5, delta)
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    for ours, theirs in zip(
        gradients(value, x, loss.proxies), gradients(expected, x, loss.proxies), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_potential_field_in_blocks_has_the_value_of_one_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, labels = batch(norm=1.0)
    values = []
    for entries in (2**24, 100):
        monkeypatch.setattr(potential_field, "ENTRIES", entries)
        loss = build("potential_field", delta=1.2, proxies_per_class=4)
        value = loss(x, labels)
        values.append([value, *gradients(value, x, loss.get_parameter("proxies"))])
    for whole, in_blocks in zip(*values, strict=True):
        torch.testing.assert_close(in_blocks, whole, rtol=1e-9, atol=1e-9)


def test_the_pull_of_a_charge_fades_with_distance_and_stops_inside_delta() -> None:
    loss = potential_field.Loss(n_classes=2, dim=2, alpha=3.0, delta=0.5)
    distance = torch.tensor([0.2, 0.6, 0.9, 1.4], requires_grad=True)
    (pull,) = torch.autograd.grad(loss.potential(distance, torch.tensor(True)).sum(), distance)
    assert pull[0] == 0
    assert pull[1] > pull[2] > pull[3] > 0
    (push,) = torch.autograd.grad(loss.potential(distance, torch.tensor(False)).sum(), distance)
    assert push[0] < 0
    assert push[1:].abs().sum() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("alpha", "delta"), [(0.5, 0.05), (4.0, 0.2), (6.0, 0.6)])
def test_two_classes_nearer_than_a_tenth_of_delta_are_pushed_as_hard_as_there(
    alpha: float, delta: float, dtype: torch.dtype
) -> None:
    """Nowhere is the push stronger; a potential that is constant there would let them stay."""
    loss = potential_field.Loss(n_classes=2, dim=2, alpha=alpha, delta=delta)
    shares = torch.tensor([0.0, 0.001, 0.02, 0.09, 0.0999, 0.1001, 0.2], dtype=torch.float64)
    distance = (delta * shares).to(dtype).requires_grad_()
    potential = loss.potential(distance, torch.tensor(False))
    (push,) = torch.autograd.grad(potential.sum(), distance)
    slope = -alpha / (0.1 * delta) * 10**alpha  # of (delta / d)^alpha at delta / 10
    expected = torch.full((5,), slope, dtype=dtype)
    torch.testing.assert_close(push[:5], expected, rtol=1e-5, atol=0.0)
    assert float(push[4]) == pytest.approx(float(push[5]), rel=0.02)
    assert push[5] < push[6] < 0
    edge, inside = 10**alpha - 1, 0.1 * delta - distance[:5].detach()
    torch.testing.assert_close(potential[:5].detach(), edge - slope * inside, rtol=1e-5, atol=0.0)
    assert float(potential[4].detach()) == pytest.approx(float(potential[5].detach()), rel=0.02)


def test_an_image_is_pushed_away_from_one_of_another_class_that_nearly_coincides() -> None:
    loss = potential_field.Loss(n_classes=2, dim=3, proxies_per_class=1)
    with torch.no_grad():
        loss.proxies.copy_(torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))
    for angle in (1e-4, 1e-3, 1e-2, 0.019, 0.03):  # delta / 10 is 0.02
        at = torch.tensor(angle)
        x = torch.stack([torch.eye(3)[0], torch.stack([at.cos(), at.sin(), torch.tensor(0.0)])])
        x.requires_grad_()
        (by_x,) = gradients(loss(x, torch.tensor([0, 1])), x)
        away = torch.stack([-at.sin(), at.cos(), torch.tensor(0.0)])
        assert float(by_x[1] @ away) < -1e5, angle


@pytest.mark.parametrize(("n_classes", "proxies"), [(1000, 15), (1001, 2)])
def test_potential_field_has_the_authors_numbers_of_proxies(n_classes: int, proxies: int) -> None:
    loss = potential_field.Loss(n_classes=n_classes, dim=4)
    assert loss.proxies.shape == (proxies * n_classes, 4)


def test_shifted_and_multiplied_angles_are_those_of_the_arccosine() -> None:
    angles = torch.linspace(0.01, math.pi - 0.01, 50, dtype=torch.float64)
    torch.testing.assert_close(cosine_of_sum(angles.cos(), 0.4), (angles + 0.4).cos())
    for multiple in (1, 2, 3, 4):
        values = falling_multiple(angles.cos(), multiple)
        inside = angles < math.pi / multiple
        torch.testing.assert_close(values[inside], (multiple * angles[inside]).cos())
        assert (values.diff() < 0).all()
