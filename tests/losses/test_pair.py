"""The pair and ranking losses against outputs of the authors' code and slow twins; their limits."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from tests.losses.examples import build, unequal_batch, value_and_gradient
from tests.twins import pair as twins_pair
from tests.twins import ranking as twins_ranking
from tests.twins import tuples as twins_tuples

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"
WITH_GOLDEN = ["contextual", "multi_similarity_miner", "recall_at_k", "roadmap", "smooth_ap"]
WITH_TWIN: dict[str, dict[str, Any]] = {
    "contrastive": {"pos_margin": 0.4, "neg_margin": 1.3},
    "triplet": {"margin": 0.15},
    "multi_similarity": {"alpha": 2.0, "beta": 12.0, "base": 0.4},
    "npair": {"l2_reg_weight": 0.05},
    "nt_xent": {"temperature": 0.2},
    "circle": {"m": 0.3, "gamma": 12.0},
    "fast_ap": {"num_bins": 7},
    "snr_contrastive": {"pos_margin": 0.3, "neg_margin": 1.8, "regularizer_weight": 0.4},
    "lifted_structure": {"neg_margin": 1.2, "l2_reg_weight": 0.03},
    "smooth_ap": {"tau": 0.1},
    "recall_at_k": {"anneal": 0.1, "k_vals": [1, 2, 16], "k_temperatures": [1.0, 0.5, 2.0]},
    "contextual": {
        "lam": 0.6,
        "gamma": 0.1,
        "reg_sim": 0.2,
        "eps": 0.1,
        "pos_margin": 0.8,
        "neg_margin": 0.2,
        "k": 4,
    },
    "cbml": {
        "pos_a": 0.4,
        "pos_b": 0.3,
        "neg_a": 0.9,
        "neg_b": 0.2,
        "margin": 0.1,
        "weight": 0.7,
        "hyper_weight": 0.3,
    },
    "d_loss": {},
    "angular": {"alpha": 42.0},
    "histogram": {"n_bins": 12},
    "ranked_list": {"margin": 0.5, "t_n": 6.0, "imbalance": 0.4},
    "tuplet_margin": {"margin": 8.0, "scale": 9.0},
    "intra_pair_variance": {"margin": 8.0, "scale": 9.0, "epsilon": 0.1, "variance_weight": 2.0},
    "supcon": {"temperature": 0.3},
    "dynamic_soft_margin": {"num_bins": 9},
    "pnp": {"tau": 0.1, "alpha": 2.0},
    "direction_regularization": {"margin": 0.3, "gamma": 0.4},
    "tcm_multi_similarity": {
        "alpha": 2.0,
        "beta": 12.0,
        "base": 0.4,
        "tcm_weight": 0.7,
        "positive_margin": 0.8,
        "negative_margin": 0.2,
    },
}
TWINS = (twins_pair, twins_ranking, twins_tuples)
NORMALISED_AGAIN = ("circle", "fast_ap")
EVERY = sorted({*WITH_TWIN, *WITH_GOLDEN, "margin", "margin_per_class", "blackbox_ap"})
UNDEFINED_WITHOUT_POSITIVES = [
    "triplet",
    "margin",
    "margin_per_class",
    "nt_xent",
    "multi_similarity_miner",
    "circle",
    "fast_ap",
    "recall_at_k",
    "cbml",
    "d_loss",
    "angular",
    "histogram",
    "tuplet_margin",
    "supcon",
    "dynamic_soft_margin",
    "direction_regularization",
]
UNDEFINED_IN_ONE_CLASS = [
    "triplet",
    "margin",
    "margin_per_class",
    "nt_xent",
    "multi_similarity_miner",
    "circle",
    "cbml",
    "d_loss",
    "angular",
    "histogram",
    "tuplet_margin",
    "supcon",
    "dynamic_soft_margin",
    "direction_regularization",
    "pnp",
]


@pytest.mark.parametrize("name", WITH_GOLDEN)
def test_value_and_gradient_equal_the_authors_code(name: str) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")
    cases = [case for case in range(3) if f"case{case}/loss" in golden]
    assert cases
    for case in cases:
        labels = torch.from_numpy(golden[f"case{case}/labels"]).long()
        embeddings = torch.from_numpy(golden[f"case{case}/embeddings"])
        params = json.loads(str(golden[f"case{case}/hyper"]))
        module = importlib.import_module(f"losses.{name}")
        loss = module.Loss(n_classes=int(labels.max()) + 1, dim=embeddings.shape[1], **params)
        value, gradient = value_and_gradient(loss, embeddings, labels)
        assert value == pytest.approx(float(golden[f"case{case}/loss"]), rel=1e-4)
        expected = torch.from_numpy(golden[f"case{case}/grad_embeddings"])
        assert (gradient - expected).norm() <= 1e-3 * expected.norm()


@pytest.mark.parametrize("name", WITH_TWIN)
def test_value_and_gradient_equal_plain_loops_over_unequal_classes(name: str) -> None:
    params = WITH_TWIN[name]
    twin = next(getattr(twins, name) for twins in TWINS if hasattr(twins, name))
    for seed in range(2):
        embeddings, labels = unequal_batch(name, seed)
        loss = build(name, 4, 5, **params)
        value, gradient = value_and_gradient(loss, embeddings, labels)
        # the library normalises these two once more, which removes the gradient's radial part
        again = normalize if name in NORMALISED_AGAIN else torch.clone
        expected = value_and_gradient(
            lambda x, y, again=again: twin(again(x), y, **params), embeddings, labels.tolist()
        )
        tolerance = 1e-6 if name == "d_loss" else 1e-9  # 1e-8 in the root
        assert value == pytest.approx(expected[0], rel=tolerance, abs=tolerance)
        assert gradient.norm() > 1e-3
        torch.testing.assert_close(gradient, expected[1], rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("name", EVERY)
def test_autocast_to_bfloat16_leaves_the_value_of_float32_embeddings_alone(name: str) -> None:
    embeddings, labels = unequal_batch(name)
    loss = build(name, 4, 5).float()
    values = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            values.append(float(loss(embeddings.float(), labels).detach()))
    assert values[0] == values[1]


@pytest.mark.parametrize("name", EVERY)
def test_every_edge_of_the_searched_ranges_gives_finite_gradients(name: str) -> None:
    space = importlib.import_module(f"losses.{name}").SPACE
    low = {key: value.low for key, value in space.items()}
    high = {key: value.high for key, value in space.items()}
    edges = [low, high]
    edges += [low | {key: high[key]} for key in space] + [high | {key: low[key]} for key in space]
    generator = torch.Generator().manual_seed(1)
    embeddings = normalize(torch.randn(12, 16, generator=generator))
    if name in ("npair", "lifted_structure"):
        embeddings = 64.0 * embeddings
    labels = torch.arange(4).repeat_interleave(3)
    for params in edges:
        loss = build(name, 4, 16, **params).float()
        value, gradient = value_and_gradient(loss, embeddings, labels)
        assert math.isfinite(value), params
        assert torch.isfinite(gradient).all(), params


@pytest.mark.parametrize(
    ("name", "labels"),
    [(name, list(range(8))) for name in UNDEFINED_WITHOUT_POSITIVES]
    + [(name, [2] * 8) for name in UNDEFINED_IN_ONE_CLASS],
)
def test_an_undefined_loss_is_a_zero_with_a_zero_gradient(name: str, labels: list[int]) -> None:
    embeddings = normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(1)))
    loss = build(name, 8, 16).float()
    value, gradient = value_and_gradient(loss, embeddings, torch.tensor(labels))
    assert value == 0.0
    assert gradient.abs().max() == 0.0
    for parameter in loss.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() == 0.0


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("contrastive", {"neg_margin": math.inf}, "neg_margin = inf"),
        ("triplet", {"margin": math.inf}, "margin = inf"),
        ("multi_similarity", {"alpha": 0.0}, "alpha = 0.0"),
        ("multi_similarity_miner", {"beta": -1.0}, "beta = -1.0"),
        ("margin", {"nu": -0.1}, "nu = -0.1"),
        ("margin_per_class", {"sampling": "semihard"}, "sampling = 'semihard'"),
        ("npair", {"l2_reg_weight": -1.0}, "l2_reg_weight = -1.0"),
        ("nt_xent", {"temperature": 0.0}, "temperature = 0.0"),
        ("circle", {"m": 1.5}, "m = 1.5"),
        ("fast_ap", {"num_bins": 0}, "num_bins = 0"),
        ("snr_contrastive", {"regularizer_weight": -1.0}, "regularizer_weight = -1.0"),
        ("smooth_ap", {"tau": -0.01}, "tau = -0.01"),
        ("roadmap", {"delta": -0.1}, "delta = -0.1"),
        ("blackbox_ap", {"lambda_val": 0.0}, "lambda_val = 0.0"),
        ("recall_at_k", {"k_vals": [1, 0]}, "k_vals = "),
        ("recall_at_k", {"k_temperatures": [1.0, 2.0]}, "k_temperatures = "),
        ("contextual", {"lam": 0.7, "gamma": 0.4}, "gamma = 0.4"),
        ("contextual", {"k": 1}, "k = 1"),
        ("cbml", {"neg_b": 0.0}, "neg_b = 0.0"),
        ("angular", {"alpha": 90.0}, "alpha = 90.0"),
        ("ranked_list", {"imbalance": 1.1}, "imbalance = 1.1"),
        ("pnp", {"variant": "Ib"}, "variant = 'Ib'"),
        ("tcm_multi_similarity", {"positive_margin": 1.1}, "positive_margin = 1.1"),
    ],
)
def test_a_value_outside_its_domain_is_refused(
    name: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, 4, 5, **params)
