"""What is particular to each proxy or classification loss, and the ends of its domain."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from losses import proxy_gml
from tests.losses.proxy_examples import DIM, N_CLASSES, N_IMAGES, batch, build, gradients


def test_proxy_nca_leaves_the_classs_proxy_out_and_can_be_negative() -> None:
    loss = build("proxy_nca")
    proxies = loss.get_parameter("proxies")
    labels = torch.arange(N_CLASSES)
    assert loss(proxies.detach(), labels) < 0
    assert build("proxy_nca_pp")(proxies.detach(), labels) > 0


def test_magface_lengthens_short_embeddings_and_ignores_lengths_outside_its_bounds() -> None:
    loss = build("magface", l_a=2.0, u_a_over_l_a=4.0, scale=1.0, margin_range=0.0)
    for norm, sign in ((1.0, 0), (4.0, -1), (9.0, 0)):
        x, labels = batch(norm=norm)
        along = (gradients(loss(x, labels), x)[0] * x).sum(1)
        assert torch.equal(
            along.where(along.abs() > 1e-9, 0.0).sign(), torch.full((N_IMAGES,), sign)
        )


def test_sphereface_anneals_in_training_only_and_keeps_count_in_its_state() -> None:
    loss = build("sphereface")
    x, labels = batch()
    plain = build("sphereface", margin=1)(x, labels)
    values = [loss(x, labels).item() for _ in range(3)]
    assert values == sorted(values)
    assert values[0] < values[2]
    assert values[0] == pytest.approx(plain.item(), rel=2e-2)  # lambda near 1000: no margin yet
    loss.eval()
    assert loss(x, labels).item() == values[2]
    again = build("sphereface", lambda_min=0.5)
    again.load_state_dict(loss.state_dict())
    assert float(cast(Tensor, again.batches)) == 3


def test_sgsl_moves_class_weights_by_its_first_term_only() -> None:
    x, labels = batch()
    by_gate = {}
    for gate in (0.0, 100.0):
        loss = build("sgsl", ce_gate=gate)
        by_gate[gate] = gradients(loss(x, labels), x, loss.get_parameter("proxies"))
    assert torch.equal(by_gate[0.0][1], by_gate[100.0][1])
    assert not torch.allclose(by_gate[0.0][0], by_gate[100.0][0])


def test_hist_groups_give_the_network_its_own_learning_rate() -> None:
    loss = build("hist", hgnn_lr_factor=0.25, hidden=4)
    groups = cast(Any, loss).groups()
    names = {id(parameter): name for name, parameter in loss.named_parameters()}
    factor = {names[id(p)]: group["lr_factor"] for group in groups for p in group["params"]}
    assert {name for name, value in factor.items() if value == 1.0} == {"means", "log_vars"}
    assert {name.split(".")[0] for name, value in factor.items() if value == 0.25} == {
        "theta1",
        "bn1",
        "theta2",
    }


def test_hist_bounds_its_log_variances_to_0_and_6() -> None:
    loss = build("hist", hidden=4, tau=2.0)
    x, labels = batch()
    values = []
    for log_var in (-3.0, 0.0, 3.0, 6.0, 9.0):
        with torch.no_grad():
            loss.get_parameter("log_vars").fill_(log_var)
        values.append(loss(x, labels).item())
    assert values[0] == values[1]
    assert values[3] == values[4]
    assert len(set(values)) == 3


def test_hist_leaves_out_samples_whose_probability_underflows() -> None:
    loss = build("hist", hidden=4, lambda_s=0.0, tau=1e6)
    x, labels = batch()
    assert loss(x, labels).item() == 0.0
    assert torch.equal(gradients(loss(x, labels), x)[0], torch.zeros(N_IMAGES, DIM).double())
    assert loss(x[:1], labels[:1]).item() == 0.0


def test_center_moves_centres_by_the_papers_rule_after_the_loss() -> None:
    loss = build("center", center_lr=0.4)
    x, labels = batch()
    before = cast(Tensor, loss.centers).clone()
    expected = loss.eval()(x, labels)
    assert torch.equal(cast(Tensor, loss.centers), before)
    with torch.no_grad():
        loss.train()(x, labels)
    assert torch.equal(cast(Tensor, loss.centers), before)
    value = loss(x, labels)
    assert value.item() == expected.item()
    for c in range(N_CLASSES):
        members = [i for i in range(N_IMAGES) if labels[i] == c]
        total = sum((before[c] - x[i].detach() for i in members), torch.zeros(DIM).double())
        moved = before[c] - 0.4 * total / (1 + len(members))
        torch.testing.assert_close(cast(Tensor, loss.centers)[c], moved)
    # the gradient still refers to the centres before the move
    pull = gradients(value, x)[0] - gradients(build("center", lam=0.0).eval()(x, labels), x)[0]
    torch.testing.assert_close(pull, 0.008 * (x - before[labels]) / N_IMAGES)


def test_dropout_of_cross_entropy_is_drawn_in_training_only() -> None:
    loss = build("cross_entropy", dropout=0.5)
    x, labels = batch()
    assert loss(x, labels).item() != loss(x, labels).item()
    loss.eval()
    assert loss(x, labels).item() == loss(x, labels).item()


def test_proxy_gml_keeps_a_proxy_of_another_class_whatever_r() -> None:
    loss = build("proxy_gml", proxies_per_class=3, r=0.01, reg_lambda=0.0)
    x, labels = batch(norm=1.0)
    assert cast(Any, loss).n_nearest == 4
    assert float(gradients(loss(x, labels), x)[0].norm()) > 0.01


@pytest.mark.parametrize("entries", [1, 3 * N_CLASSES, 7 * N_CLASSES])
def test_proxy_gml_in_blocks_has_the_value_and_gradients_of_all_pairs_at_once(
    monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    n = 3
    loss = build("proxy_gml", proxies_per_class=n, reg_lambda=0.7)
    bare = build("proxy_gml", proxies_per_class=n, reg_lambda=0.0)
    x, labels = batch(norm=1.0)
    monkeypatch.setattr(proxy_gml, "ENTRIES", entries)
    value = loss(x, labels)
    proxies = bare.get_parameter("proxies")
    unit = normalize(proxies)
    pairs = (unit @ unit.T).view(len(unit), N_CLASSES, n).sum(2)  # the authors' form
    classes = torch.arange(N_CLASSES).repeat_interleave(n)
    expected = bare(x, labels) + 0.7 * torch.nn.functional.cross_entropy(pairs, classes)
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    mine = gradients(value, x, loss.get_parameter("proxies"))
    for gradient, other in zip(mine, gradients(expected, x, proxies), strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-10, atol=1e-13)


STRONG: list[tuple[str, dict[str, Any]]] = [
    ("euclidean_softmax", {"temperature": 1e4}),
    ("proxy_nca", {"scale": 100.0}),
    ("proxy_nca_pp", {"temperature": 1e-4}),
    ("proxy_anchor", {"alpha": 1e4}),
    ("normalized_softmax", {"temperature": 1e-4}),
    ("cosface", {"scale": 1e4}),
    ("arcface", {"scale": 1e4}),
    ("magface", {"scale": 1e4}),
    ("soft_triple", {"la": 1e4, "gamma": 1e-4}),
    ("hist", {"tau": 1e4, "alpha": 1e4}),
    ("center_contrastive", {"scale": 1e4}),
    ("sgsl", {"gamma": 1e4, "ce_gate": 1e6}),
    ("proxy_gml", {"logit_scale": 1e4, "proxies_per_class": 3}),
    ("sphereface", {"scale": 1e4}),
]


@pytest.mark.parametrize(("name", "params"), STRONG)
def test_large_scales_do_not_overflow_in_float32(name: str, params: dict[str, Any]) -> None:
    loss = build(name, **params).float()
    x, labels = batch(norm=1.0)
    x = x.detach().float().requires_grad_()
    value = loss(x, labels)
    assert torch.isfinite(value)
    assert torch.isfinite(gradients(value, x)[0]).all()


@pytest.mark.parametrize("name", ["arcface", "magface", "sphereface", "cosface", "proxy_anchor"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_are_finite_exactly_on_and_opposite_the_classs_weight(
    name: str, sign: float
) -> None:
    loss = build(name).float()
    proxies = loss.get_parameter("proxies")
    x = (20.0 * sign * normalize(proxies.detach())).requires_grad_()
    value = loss(x, torch.arange(N_CLASSES))
    assert torch.isfinite(value)
    assert all(torch.isfinite(gradient).all() for gradient in gradients(value, x, proxies))


NORMALISING = (
    "proxy_nca",
    "proxy_nca_pp",
    "proxy_anchor",
    "cosface",
    "arcface",
    "center_contrastive",
    "pd_loss",
)


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 100), name=st.sampled_from(NORMALISING))
def test_losses_of_cosines_do_not_see_the_embeddings_length(
    factor: float, seed: int, name: str
) -> None:
    loss = build(name, seed=seed)
    x, labels = batch(seed)
    assert loss(factor * x, labels).item() == pytest.approx(loss(x, labels).item(), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(theta=st.floats(0.0, math.pi), margin=st.integers(1, 6))
def test_spherefaces_phi_falls_with_the_angle_and_stays_below_its_cosine(
    theta: float, margin: int
) -> None:
    loss = cast(Any, build("sphereface", margin=margin))
    angles = torch.tensor([theta, min(theta + 0.05, math.pi)], dtype=torch.float64)
    first, second = loss.phi(angles.cos()).tolist()
    assert second <= first + 1e-6
    assert first <= math.cos(theta) + 1e-6


OUTSIDE: list[tuple[str, str, Any]] = [
    ("euclidean_softmax", "temperature", 0.0),
    ("proxy_nca", "scale", -1.0),
    ("proxy_nca_pp", "label_smoothing", 1.0),
    ("proxy_anchor", "alpha", 0.0),
    ("normalized_softmax", "temperature", math.inf),
    ("cosface", "margin", -0.1),
    ("arcface", "margin", 180.0),
    ("sphereface", "margin", 0),
    ("magface", "u_a_over_l_a", 1.0),
    ("soft_triple", "centers_per_class", 0),
    ("hist", "tau", 0.0),
    ("center_contrastive", "lam", -1.0),
    ("sgsl", "gamma", 0.0),
    ("proxy_gml", "r", 1.5),
    ("center", "center_lr", 1.5),
    ("cross_entropy", "dropout", 1.0),
    ("pd_loss", "n_classes", 1),
]


@pytest.mark.parametrize(("name", "parameter", "value"), OUTSIDE)
def test_a_value_outside_its_domain_is_refused_with_parameter_value_and_domain(
    name: str, parameter: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{parameter} = {value!r} is outside its domain: .+"):
        build(name, **{parameter: value})
