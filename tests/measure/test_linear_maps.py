"""Whitening and linear discriminants: against scikit-learn, and what each makes equal to 1."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from harness.measure import linear_maps


def features(n: int = 4000, dim: int = 6, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features of classes whose means lie apart; so many that shrinkage is tiny."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    mixing = rng.normal(size=(dim, dim))
    means = rng.normal(size=(classes, dim)) * np.linspace(3.0, 0.3, dim)
    return (means[labels] + rng.normal(size=(n, dim))) @ mixing + 5.0, labels


def mapped(fitted: linear_maps.LinearMap, x: np.ndarray) -> np.ndarray:
    return (x - fitted.mean) @ fitted.weight.T


def test_whitened_features_are_uncorrelated_with_mean_0_and_variance_1():
    x, _ = features()
    z = mapped(linear_maps.whitening(x, 6), x)
    np.testing.assert_allclose(z.mean(0), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(6), atol=0.1)  # it is shrunk


def test_whitening_keeps_the_directions_of_most_variance():
    x, _ = features()
    of_two, of_all = (mapped(linear_maps.whitening(x, dim), x) for dim in (2, 6))
    np.testing.assert_allclose(of_two, of_all[:, :2])
    variances = np.linalg.svd(x - x.mean(0))[2][:2] @ (x - x.mean(0)).T
    correlation = np.corrcoef(variances, of_two.T)[:2, 2:]
    np.testing.assert_allclose(np.abs(np.diag(correlation)), 1.0, atol=1e-3)


def test_discriminants_are_scikit_learns_directions_in_its_order():
    x, labels = features()
    ours = mapped(linear_maps.discriminants(x, labels, 3), x)
    theirs = LinearDiscriminantAnalysis(solver="svd").fit_transform(x, labels)
    correlation = np.corrcoef(ours.T, theirs.T)[:3, 3:]
    np.testing.assert_allclose(np.abs(np.diag(correlation)), 1.0, atol=1e-3)


def test_along_a_discriminant_the_variance_within_classes_is_1():
    x, labels = features()
    z = mapped(linear_maps.discriminants(x, labels, 3), x)
    within = sum(np.cov(z[labels == c].T, bias=True) for c in range(4)) / 4
    np.testing.assert_allclose(within, np.eye(3), atol=0.02)


def test_rows_past_the_classes_less_one_are_0_and_so_add_nothing_to_a_cosine():
    x, labels = features(dim=6)
    weight = linear_maps.discriminants(x, labels, 5).weight
    assert weight.shape == (5, 6)
    assert np.abs(weight[:3]).max(1).min() > 0
    assert (weight[3:] == 0).all()
    assert linear_maps.whitening(x, 8).weight.shape == (8, 6)


def test_fewer_images_than_features_are_shrunk_and_give_finite_maps():
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(20, 50)), np.repeat(np.arange(10), 2)
    for fitted in (linear_maps.whitening(x, 8), linear_maps.discriminants(x, labels, 8)):
        assert np.isfinite(fitted.weight).all()
        assert np.abs(fitted.weight).max() < 1e3


def test_what_has_no_variation_has_no_map():
    x = np.repeat(np.eye(3), 2, axis=0)
    with pytest.raises(ValueError, match="no two features of a class differ"):
        linear_maps.discriminants(x, np.repeat(np.arange(3), 2), 2)
    with pytest.raises(ValueError, match="no two features differ"):
        linear_maps.whitening(np.ones((4, 3)), 2)
