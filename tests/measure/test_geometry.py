"""The geometry of embeddings, against loops in numpy and scipy and against known cases."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from scipy.stats import entropy

from harness.measure import geometry

SEEDS = st.integers(0, 10_000)


def random_rows(seed: int, n: int = 23, dim: int = 5, classes: int = 4):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    return rng.normal(size=(n, dim)), labels


@given(SEEDS)
def test_uniformity_is_the_log_of_the_mean_gaussian_potential_of_all_pairs(seed):
    rows, _ = random_rows(seed)
    potentials = [math.exp(-2 * ((a - b) ** 2).sum()) for a, b in combinations(rows, 2)]
    value = geometry.uniformity(torch.from_numpy(rows))
    assert value == pytest.approx(math.log(sum(potentials) / len(potentials)), rel=1e-9)


@given(SEEDS)
def test_alignment_is_the_mean_squared_distance_of_pairs_of_one_class(seed):
    rows, labels = random_rows(seed)
    squared = [
        ((rows[i] - rows[j]) ** 2).sum()
        for i, j in combinations(range(len(rows)), 2)
        if labels[i] == labels[j]
    ]
    value = geometry.alignment(torch.from_numpy(rows), torch.from_numpy(labels))
    assert value == pytest.approx(np.mean(squared), rel=1e-9)


@given(SEEDS)
def test_spectral_decay_is_the_divergence_of_the_singular_values_from_equal_ones(seed):
    rows, _ = random_rows(seed)
    values = np.linalg.svd(rows, compute_uv=False)
    expected = entropy(np.full(len(values), 1 / len(values)), values / values.sum())
    assert geometry.spectral_decay(torch.from_numpy(rows)) == pytest.approx(expected, rel=1e-9)


@given(SEEDS)
def test_density_ratio_and_the_spread_of_class_sizes_are_those_of_loops(seed):
    rows, labels = random_rows(seed)
    within = np.array([pdist(rows[labels == c]).mean() for c in range(4)])
    between = pdist(np.stack([rows[labels == c].mean(0) for c in range(4)])).mean()
    given = torch.from_numpy(rows), torch.from_numpy(labels)
    assert geometry.class_sizes(*given).numpy() == pytest.approx(within, rel=1e-9)
    assert geometry.density_ratio(*given) == pytest.approx(within.mean() / between, rel=1e-9)
    spread = within.std() / within.mean()
    assert geometry.spread_of_class_sizes(*given) == pytest.approx(spread, rel=1e-9)


@given(SEEDS)
def test_the_distance_to_proxies_is_that_to_the_proxy_of_the_class(seed):
    rows, labels = random_rows(seed)
    proxies = np.random.default_rng(seed + 1).normal(size=(4, 5))
    distances = cdist(rows, proxies)
    expected = np.mean([distances[i, label] for i, label in enumerate(labels)])
    value = geometry.distance_to_proxies(*map(torch.from_numpy, (rows, labels, proxies)))
    assert value == pytest.approx(expected, rel=1e-9)


def moments(values):
    of_values = geometry.Moments()
    of_values.add(values)
    return of_values


@given(SEEDS, st.floats(0.01, 100), st.floats(-5, 5))
def test_d_prime_does_not_change_with_the_unit_of_similarity(seed, scale, shift):
    rng = np.random.default_rng(seed)
    genuine, impostor = torch.from_numpy(rng.normal(1, 1, 50)), torch.from_numpy(rng.random(80))
    value = geometry.decidability(moments(genuine), moments(impostor))
    in_other_units = [moments(values * scale + shift) for values in (genuine, impostor)]
    assert geometry.decidability(*in_other_units) == pytest.approx(value, rel=1e-6)


def test_d_prime_of_two_normals_is_the_distance_of_their_means_in_deviations():
    a = torch.tensor([1.0, 3.0])  # mean 2, deviation 1
    assert geometry.decidability(moments(a), moments(a - 5)) == pytest.approx(5)


def test_equal_directions_have_no_decay_and_an_unused_one_an_infinite_one():
    assert geometry.spectral_decay(torch.eye(6)) == pytest.approx(0, abs=1e-12)
    assert geometry.spectral_decay(torch.diag(torch.tensor([1.0, 1.0, 0.0]))) == math.inf


def test_equal_rows_are_the_least_uniform_ones():
    assert geometry.uniformity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("measure", [geometry.density_ratio, geometry.alignment])
def test_values_that_are_not_finite_are_refused(measure):
    with pytest.raises(ValueError, match="NaN or infinite"):
        measure(torch.tensor([[math.nan], [1.0]]), torch.tensor([0, 0]))


def test_classes_of_single_rows_have_no_size():
    with pytest.raises(ValueError, match="single row"):
        geometry.class_sizes(torch.eye(3), torch.arange(3))
    with pytest.raises(ValueError, match="single row"):
        geometry.alignment(torch.eye(3), torch.arange(3))


def test_large_sets_are_measured_in_blocks_with_the_same_result(monkeypatch):
    rows = torch.from_numpy(random_rows(0)[0])
    whole = geometry.uniformity(rows)
    monkeypatch.setattr(geometry, "PAIRS_BYTES", 8 * len(rows) * 3)
    assert geometry.uniformity(rows) == pytest.approx(whole, rel=1e-12)


@given(SEEDS)
def test_d_prime_of_all_pairs_is_that_of_their_cosine_similarities_one_by_one(seed):
    rows, labels = random_rows(seed)
    similarities: dict[bool, list[float]] = {True: [], False: []}
    for i, j in combinations(range(len(rows)), 2):
        cosine = rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
        similarities[bool(labels[i] == labels[j])].append(cosine)
    genuine, impostor = np.array(similarities[True]), np.array(similarities[False])
    pooled = np.sqrt((genuine.var() + impostor.var()) / 2)
    value = geometry.decidability_of_pairs(torch.from_numpy(rows), torch.from_numpy(labels))
    assert value == pytest.approx(abs(genuine.mean() - impostor.mean()) / pooled, rel=1e-9)


def test_d_prime_of_pairs_does_not_depend_on_the_blocks(monkeypatch):
    rows, labels = (torch.from_numpy(array) for array in random_rows(3))
    whole = geometry.decidability_of_pairs(rows, labels)
    monkeypatch.setattr(geometry, "PAIRS_BYTES", 8 * len(rows) * 3)
    assert geometry.decidability_of_pairs(rows, labels) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_one_kind_of_pairs_alone_has_no_d_prime(labels):
    with pytest.raises(ValueError, match="there is no d'"):
        geometry.decidability_of_pairs(torch.eye(3), torch.tensor(labels))


def test_classes_without_any_spread_have_an_infinite_d_prime_and_equal_rows_none():
    rows = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    labels = torch.tensor([0, 0, 1, 1])
    assert geometry.decidability_of_pairs(rows, labels) == math.inf
    assert math.isnan(geometry.decidability_of_pairs(torch.ones(4, 2), labels))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("column", [0, 3, 15])
def test_the_spectral_decay_of_a_direction_that_is_not_used_is_infinite(column, dtype):
    rows = torch.randn(150, 16, generator=torch.Generator().manual_seed(1), dtype=dtype)
    rows[:, column] = 0
    turned = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(2)))[0]
    for embeddings in (rows, rows.flip(0), rows @ turned.to(dtype)):
        assert geometry.spectral_decay(embeddings) == math.inf
    assert geometry.spectral_decay(torch.randn(150, 16)) < 1
