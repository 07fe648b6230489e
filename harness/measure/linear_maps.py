"""Linear maps of features in closed form: whitening, and linear discriminants (LDA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SMALLEST = 1e-12  # eigenvalue of a covariance, as a share of the largest


@dataclass(frozen=True)
class LinearMap:
    """Features [n, F] -> (features - mean) weight^T, [n, dim]."""

    weight: Floats  # [dim, F]
    mean: Floats  # [F]


def whitening(features: Floats, dim: int) -> LinearMap:
    """The principal components [dim, F] of features [n, F], each scaled to variance 1.

    Of the covariance of Ledoit and Wolf 2004 (A Well-Conditioned Estimator for Large-Dimensional
    Covariance Matrices). Rows past the features' own dimensions are 0. ValueError where all
    features are equal.
    """
    mean = features.mean(0)
    values, vectors = _spectrum(features - mean, "no two features differ")
    return LinearMap(_padded((vectors / np.sqrt(values)).T, dim), mean)


def discriminants(features: Floats, labels: npt.NDArray[np.int64], dim: int) -> LinearMap:
    """The linear discriminants [dim, F] of features [n, F] by labels [n], the strongest first.

    Directions of the class means after whitening by the covariance within classes (Ledoit and Wolf
    2004); the classes' variance along each is 1. There are C - 1 of them at most: further rows are
    0. ValueError where no two features of a class differ. Source: Fisher 1936; Rao 1948.
    """
    mean = features.mean(0)
    classes, of_class = np.unique(labels, return_inverse=True)
    counts = np.bincount(of_class)
    means = np.zeros((len(classes), features.shape[1]))
    np.add.at(means, of_class, features)
    means /= counts[:, None]
    values, vectors = _spectrum(features - means[of_class], "no two features of a class differ")
    whitener = (vectors / np.sqrt(values)).T
    between = (means - mean) @ whitener.T * np.sqrt(counts)[:, None]
    directions = np.linalg.svd(between, full_matrices=False)[2][: len(classes) - 1]
    return LinearMap(_padded(directions @ whitener, dim), mean)


def _spectrum(centred: Floats, nothing: str) -> tuple[Floats, Floats]:
    """Eigenvalues, largest first, and eigenvectors (columns) of a shrunk covariance."""
    from sklearn.covariance import ledoit_wolf  # seconds, which few processes need to spend

    covariance = ledoit_wolf(centred, assume_centered=True)[0]
    values, vectors = np.linalg.eigh(covariance)
    if not values[-1] > 0:
        raise ValueError(nothing)
    values = np.maximum(values, SMALLEST * values[-1])
    return values[::-1], vectors[:, ::-1]


def _padded(rows: Floats, dim: int) -> Floats:
    """The first `dim` rows, and rows of 0 where there are fewer."""
    kept = rows[:dim]
    return np.concatenate([kept, np.zeros((dim - len(kept), rows.shape[1]))])
