"""How embeddings lie in their space: diagnostics of a model, which rank nothing by themselves.

All take embeddings [n, D] and, where classes matter, labels [n]; all compute in float64. Distances
are Euclidean, in the units of the embeddings: give rows of unit length for losses whose retrieval
is by angle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

PAIRS_BYTES = 64 * 2**20  # of distances at once


def uniformity(embeddings: Tensor, t: float = 2.0) -> float:
    """log of the mean of exp(-t d^2) over all pairs of different rows; 0 if all rows are equal.

    Lower is more uniform. Rows of unit length are meant. Source: Wang and Isola 2020, arXiv
    2005.10242, Eq. of L_uniform, t = 2; measured for NIR by Roth et al. 2022, arXiv 2203.08547.
    """
    rows = _rows(embeddings)
    n = len(rows)
    total = rows.new_zeros(())
    for distances in _distances(rows):
        total += torch.exp(-t * distances.square()).sum()
    return float(torch.log((total - n) / (n * (n - 1))))  # each row's distance to itself is 0


def alignment(embeddings: Tensor, labels: Tensor) -> float:
    """Mean squared distance of two rows of one class, over all such pairs; lower is tighter.

    Source: Wang and Isola 2020, arXiv 2005.10242, L_align with exponent 2. ValueError if every
    class has a single row.
    """
    rows = _rows(embeddings)
    total, pairs = 0.0, 0
    for of_class in _classes(rows, labels):
        n = len(of_class)
        # the sum over ordered pairs of d^2 is 2 n times the squared deviations from the mean
        total += float(2 * n * (of_class - of_class.mean(0)).square().sum())
        pairs += n * (n - 1)
    if not pairs:
        raise ValueError("every class has a single row: there is no pair to measure")
    return total / pairs


def spectral_decay(embeddings: Tensor) -> float:
    """KL divergence, in nats, of the singular values' shares from equal shares.

    0 if all directions are used alike; infinite if one is not used. Lower means more varied
    features. Source: Roth et al. 2020, arXiv 2002.08473, section 5: rho = KL(U || S), S the
    singular values of the embeddings divided by their sum.
    """
    rows = _rows(embeddings)
    values = torch.linalg.svdvals(rows)
    # what float32, in which embeddings are computed, leaves of a direction that is not used
    rounding = 10 * torch.finfo(torch.float32).eps * values.max()
    values = torch.where(values > rounding, values, 0.0)
    shares = values / values.sum()
    return float(-(torch.log(shares * len(shares))).mean())


def density_ratio(embeddings: Tensor, labels: Tensor) -> float:
    """Mean distance within classes divided by the mean distance between the classes' means.

    Within: the mean over classes with two rows or more of their mean distance of pairs. A low
    ratio means tight, far classes; NIR calls that overclustering. NaN where all means are equal.
    Source: Roth et al. 2020, arXiv 2002.08473, section 5, pi_ratio = pi_intra / pi_inter.
    """
    rows = _rows(embeddings)
    means = torch.stack([of_class.mean(0) for of_class in _classes(rows, labels)])
    if len(means) < 2:
        raise ValueError("one class: there is no distance between classes")
    within, between = float(class_sizes(embeddings, labels).mean()), _mean_distance(means)
    return within / between if between else math.nan


def class_sizes(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Mean distance of pairs within each class of two rows or more [c], in the order of labels."""
    classes = _classes(_rows(embeddings), labels)
    sizes = [_mean_distance(of_class) for of_class in classes if len(of_class) > 1]
    if not sizes:
        raise ValueError("every class has a single row: there is no distance within classes")
    return torch.tensor(sizes, dtype=torch.float64)


def spread_of_class_sizes(embeddings: Tensor, labels: Tensor) -> float:
    """Standard deviation of the classes' sizes divided by their mean; 0 if all are equal.

    Source: Roth et al. 2022, arXiv 2203.08547, on clusters whose sizes vary by class.
    """
    sizes = class_sizes(embeddings, labels)
    return float(sizes.std(correction=0) / sizes.mean())


def decidability_of_pairs(embeddings: Tensor, labels: Tensor) -> float:
    """d' of the cosine similarities of all pairs: those of one class against all others.

    ValueError without a pair of either kind.
    """
    rows = torch.nn.functional.normalize(_rows(embeddings), dim=1)
    similarities = Moments(), Moments()  # of impostor pairs, of genuine ones
    step = max(1, PAIRS_BYTES // (8 * len(rows)))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        products = rows[block] @ rows.T
        is_genuine = labels[block, None] == labels[None, :]
        is_later = torch.arange(len(rows), device=rows.device) > torch.arange(
            start, start + len(products), device=rows.device
        ).unsqueeze(1)
        for kind, moments in zip((~is_genuine, is_genuine), similarities, strict=True):
            moments.add(products[kind & is_later])
    impostor, genuine = similarities
    if not impostor.n or not genuine.n:
        raise ValueError("no pair of one class, or none of two classes: there is no d'")
    return decidability(genuine, impostor)


def decidability(genuine: Moments, impostor: Moments) -> float:
    """d' of two sets of similarities: distance of their means over their pooled deviation.

    |mu_g - mu_i| / sqrt((sigma_g^2 + sigma_i^2) / 2), population variances; infinite where these
    are 0, NaN where the means are equal too. Source: Daugman 2000; PD-Loss, Eq. of the decidability
    index.
    """
    pooled = math.sqrt((impostor.variance + genuine.variance) / 2)
    distance = abs(genuine.mean - impostor.mean)
    return distance / pooled if pooled else math.inf if distance else math.nan


class Moments:
    """Mean and population variance of values that come in blocks (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, values: Tensor) -> None:
        """Add a block of values."""
        if not len(values):
            return
        n, mean = len(values), float(values.mean())
        gap, total = mean - self.mean, self.n + n
        self.squares += float((values - mean).square().sum()) + gap * gap * self.n * n / total
        self.mean += gap * n / total
        self.n = total

    @property
    def variance(self) -> float:
        """The population variance of all values so far."""
        return self.squares / self.n


def distance_to_proxies(embeddings: Tensor, labels: Tensor, proxies: Tensor) -> float:
    """AvgDTP: mean distance of embeddings to the proxy [n_classes, D] of their class.

    Source: DeMoor and Prevost 2024, arXiv 2408.15656, Table III and Fig. 9.
    """
    return float((_rows(embeddings) - _rows(proxies)[labels]).norm(dim=1).mean())


def _rows(embeddings: Tensor) -> Tensor:
    if not bool(torch.isfinite(embeddings).all()):
        raise ValueError("embeddings hold NaN or infinite values and cannot be measured")
    return embeddings.double()


def _classes(rows: Tensor, labels: Tensor) -> list[Tensor]:
    """The rows of each class, in the order of the labels."""
    order = torch.argsort(labels, stable=True)
    counts = torch.unique(labels, return_counts=True)[1]
    return list(torch.split(rows[order], counts.tolist()))


def _distances(rows: Tensor) -> Iterator[Tensor]:
    """Distances of every row to every row, a block of rows at a time."""
    by_differences = "donot_use_mm_for_euclid_dist"  # exact for rows that are close together
    step = max(1, PAIRS_BYTES // (8 * len(rows)))
    for block in torch.split(rows, step):
        yield torch.cdist(block, rows, compute_mode=by_differences)


def _mean_distance(rows: Tensor) -> float:
    """Mean distance of all pairs of different rows."""
    n = len(rows)
    return math.fsum(float(distances.sum()) for distances in _distances(rows)) / (n * (n - 1))
