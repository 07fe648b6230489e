"""The proxy and classification losses against the authors' outputs, the library and slow twins."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning.regularizers import SparseCentersRegularizer
from torch import Tensor
from torch.nn.functional import normalize

from tests.losses.proxy_examples import (
    DIM,
    N_CLASSES,
    N_IMAGES,
    batch,
    build,
    gradients,
    relative_error,
)
from tests.twins import proxy as twins
from tests.twins.proxy import cosines

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
FAMILY = (
    "warped",
    "euclidean_softmax",
    "proxy_nca",
    "proxy_nca_pp",
    "proxy_anchor",
    "normalized_softmax",
    "soft_triple",
    "hist",
    *("mean_field_contrastive", "mean_field_multi_similarity"),
)
CASES = [
    (name, case)
    for name in FAMILY
    for case in sorted({key.split("/")[0] for key in np.load(GOLDEN / f"{name}.npz").files})
]

# the authors' outputs


@pytest.mark.parametrize(("name", "case"), CASES)
def test_value_and_gradients_equal_the_authors_outputs(name: str, case: str) -> None:
    data = np.load(GOLDEN / f"{name}.npz")
    hyper = json.loads(str(data[f"{case}/hyper"]))
    if name == "proxy_nca_pp":  # the file holds the temperature and the scale it is made of
        assert hyper["temperature"] == pytest.approx(1 / hyper.pop("scale") ** 2)
    weights = {
        key.split("/param/")[1]: torch.tensor(data[key])
        for key in data.files
        if key.startswith(f"{case}/param/")
    }
    assert weights
    x = torch.tensor(data[f"{case}/embeddings"]).requires_grad_()
    labels = torch.tensor(data[f"{case}/labels"])
    first = next(iter(weights.values()))
    n_classes = (
        first.shape[1] // hyper["centers_per_class"] if name == "soft_triple" else len(first)
    )
    loss = importlib.import_module(f"losses.{name}").Loss(
        n_classes=n_classes, dim=x.shape[1], **hyper
    )
    loss.load_state_dict(loss.state_dict() | weights)
    parameters = dict(loss.named_parameters())
    with torch.no_grad():
        for key, value in weights.items():
            parameters[key].copy_(value)

    value = loss(x, labels)
    value.backward()

    assert value.item() == pytest.approx(float(data[f"{case}/loss"]), rel=1e-4)
    assert x.grad is not None
    assert relative_error(x.grad, torch.tensor(data[f"{case}/grad_embeddings"])) < 1e-3
    for key in weights:
        gradient, expected = parameters[key].grad, torch.tensor(data[f"{case}/grad_param/{key}"])
        assert gradient is not None
        assert relative_error(gradient, expected) < 1e-3, key


def test_golden_cases_of_warped_lie_on_both_sides_of_alpha() -> None:
    data = np.load(GOLDEN / "warped.npz")
    sides = set()
    for case in ("case0", "case1", "case2"):
        targets = data[f"{case}/param/proxies"][data[f"{case}/labels"]]
        alpha = json.loads(str(data[f"{case}/hyper"]))["alpha"]
        distances = np.linalg.norm(data[f"{case}/embeddings"] - targets, axis=1)
        sides |= set((distances < alpha).tolist())
    assert sides == {False, True}


# pytorch-metric-learning's losses


def compare_with_library(name: str, theirs: Any, weights: str, **params: Any) -> None:
    """Compare a loss with the library's, whose weights are its attribute `weights`."""
    ours, theirs = build(name, **params), theirs.double()
    proxies = ours.get_parameter("proxies")
    transposed = weights == "W"  # [D, C]
    with torch.no_grad():
        getattr(theirs, weights).copy_(proxies.T if transposed else proxies)
    x, labels = batch()
    # this loss takes x as unit length already, where the library's normalises it
    value = ours(normalize(x) if name == "normalized_softmax" else x, labels)
    expected = theirs(x, labels)
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)
    by_x, by_weights = gradients(value, x, proxies)
    expected_by_x, expected_by_weights = gradients(expected, x, getattr(theirs, weights))
    if transposed:
        expected_by_weights = expected_by_weights.T
    assert relative_error(by_x, expected_by_x) < 1e-7
    assert relative_error(by_weights, expected_by_weights) < 1e-7


def test_proxy_nca_pp_is_what_the_library_calls_proxy_nca() -> None:
    theirs = pml.ProxyNCALoss(N_CLASSES, DIM, softmax_scale=5.0)
    compare_with_library("proxy_nca_pp", theirs, "proxies", temperature=0.2)


def test_proxy_anchor_equals_the_library() -> None:
    theirs = pml.ProxyAnchorLoss(N_CLASSES, DIM, margin=0.3, alpha=17.0)
    compare_with_library("proxy_anchor", theirs, "proxies", margin=0.3, alpha=17.0)


def test_normalized_softmax_equals_the_library() -> None:
    theirs = pml.NormalizedSoftmaxLoss(N_CLASSES, DIM, temperature=0.2)
    compare_with_library("normalized_softmax", theirs, "W", temperature=0.2)


def test_cosface_equals_the_library() -> None:
    theirs = pml.CosFaceLoss(N_CLASSES, DIM, margin=0.4, scale=11.0)
    compare_with_library("cosface", theirs, "W", margin=0.4, scale=11.0)


@pytest.mark.parametrize("margin", [0.0, 28.6, 85.0])
def test_arcface_equals_the_library_on_both_branches(margin: float) -> None:
    theirs = pml.ArcFaceLoss(N_CLASSES, DIM, margin=margin, scale=11.0)
    compare_with_library("arcface", theirs, "W", margin=margin, scale=11.0)
    if margin == 85.0:
        loss = build("arcface")
        x, labels = batch()
        rows = torch.tensor(cosines(x, loss.get_parameter("proxies")))
        beyond = rows[torch.arange(N_IMAGES), labels] <= -math.cos(math.radians(margin))
        assert 0 < int(beyond.sum()) < N_IMAGES


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library's use of numpy
@pytest.mark.parametrize("margin", [1, 2, 3, 4, 5])
def test_sphereface_without_annealing_equals_the_library(margin: int) -> None:
    ours = build("sphereface", margin=margin, scale=0.7, lambda_min=0.0)
    cast(Tensor, ours.batches).fill_(math.inf)
    theirs = pml.SphereFaceLoss(N_CLASSES, DIM, margin=margin, scale=0.7).double()
    proxies = ours.get_parameter("proxies")
    with torch.no_grad():
        proxies.copy_(normalize(proxies))  # the library multiplies by the weight's length
        theirs.W.copy_(proxies.T)
    x, labels = batch(norm=3.0)
    value, expected = ours(x, labels), theirs(x, labels)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)
    assert relative_error(gradients(value, x)[0], gradients(expected, x)[0]) < 1e-6


@pytest.mark.parametrize("k", [1, 3])
def test_soft_triple_equals_the_library_with_its_regulariser(k: int) -> None:
    regulariser = SparseCentersRegularizer(N_CLASSES, k) if k > 1 else None
    theirs = pml.SoftTripleLoss(
        N_CLASSES,
        DIM,
        centers_per_class=k,
        la=9.0,
        gamma=0.3,
        margin=0.2,
        weight_regularizer=regulariser,
        weight_reg_weight=0.4 if k > 1 else 1.0,
    )
    ours = build("soft_triple", centers_per_class=k, la=9.0, gamma=0.3, margin=0.2, tau=0.4)
    centers = ours.get_parameter("centers")
    with torch.no_grad():
        theirs.double().fc.copy_(centers)
    x, labels = batch()
    # the library leaves out the authors' 1e-5 under the root
    expected = theirs(x, labels)
    assert ours(normalize(x), labels).item() == pytest.approx(expected.item(), rel=1e-5)


# slow twins

TWINS: list[tuple[str, Any, dict[str, Any]]] = [
    ("proxy_nca", twins.proxy_nca, {"scale": 2.0}),
    ("proxy_nca_pp", twins.proxy_nca_pp, {"temperature": 0.3, "label_smoothing": 0.15}),
    ("cross_entropy", twins.cross_entropy, {"label_smoothing": 0.2, "dropout": 0.0}),
    ("cross_entropy", twins.cross_entropy, {"label_smoothing": 0.0, "dropout": 0.0}),
    ("sphereface", twins.sphereface, {"margin": 4, "lambda_min": 5.0, "scale": 0.5}),
    ("sphereface", twins.sphereface, {"margin": 3, "lambda_min": 2000.0}),
    ("magface", twins.magface, {"l_a": 2.0, "u_a_over_l_a": 1.5, "scale": 8.0}),
    (
        "center_contrastive",
        twins.center_contrastive,
        {"scale": 6.0, "margin": 0.2, "lam": 0.7},
    ),
    ("sgsl", twins.sgsl, {"ce_gate": 50.0, "gamma": 9.0}),
    ("sgsl", twins.sgsl, {"ce_gate": 0.1, "gamma": 9.0, "label_smoothing": 0.0}),
    ("proxy_gml", twins.proxy_gml, {"proxies_per_class": 3, "r": 0.4, "logit_scale": 2.0}),
    ("proxy_gml", twins.proxy_gml, {"proxies_per_class": 2, "r": 0.1, "reg_lambda": 0.0}),
    ("center", twins.center, {"lam": 0.3}),
    ("pd_loss", twins.pd_loss, {}),
    ("pd_loss", twins.pd_loss, {"min_gap": 0.9}),
]


@pytest.mark.parametrize(("name", "twin", "params"), TWINS)
@pytest.mark.parametrize("seed", [3, 4])
def test_the_value_equals_a_plain_loop(
    name: str, twin: Any, params: dict[str, Any], seed: int
) -> None:
    loss = build(name, seed=seed, **params).eval()
    if name == "sphereface":
        cast(Tensor, loss.batches).fill_(400)  # lambda = 20.4, half-way down
    x, labels = batch(seed, norm=1.0 if name == "proxy_gml" else None)
    value = loss(x, labels)
    assert value.item() == pytest.approx(twin(loss, x, labels.tolist()), rel=1e-6)
    # the gradient is that of the value, except where the definition stops it
    if name not in ("sgsl", "proxy_gml"):
        step = (
            1e-6 * torch.randn(N_IMAGES, DIM, generator=torch.Generator().manual_seed(9)).double()
        )
        slope = float((gradients(value, x)[0] * step).sum())
        with torch.no_grad():
            rise = float(loss(x + step, labels) - loss(x - step, labels)) / 2
        assert slope == pytest.approx(rise, rel=1e-4, abs=1e-12)


def test_pd_loss_is_compared_on_both_sides_of_its_smallest_gap() -> None:
    gaps = []
    for seed in (3, 4):
        (x, labels), loss = batch(seed), build("pd_loss", seed=seed)
        rows = torch.tensor(cosines(x, loss.get_parameter("proxies")))
        is_target = torch.nn.functional.one_hot(labels, N_CLASSES).bool()
        gaps.append(float(rows[is_target].mean() - rows[~is_target].mean()))
    assert all(0.01 < gap < 0.9 for gap in gaps)  # the twins' two values of min_gap
