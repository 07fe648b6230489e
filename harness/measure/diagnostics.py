"""Diagnostics of embeddings by their names in `schema.DIAGNOSTICS`: they describe and rank nothing.

On embeddings as the loss searches with them (at unit length or not): k-means (nmi, ami, f1,
overclustering), spectral_decay, density_ratio, class_size_spread, verification_accuracy. By angle,
so of rows put to unit length: uniformity, alignment, d_prime. Those of OF_TRAINING need more than
test embeddings: avg_dtp proxies (harness/training/proxies.py), those of SEEN other images of
training classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from harness.measure import geometry, verification
from harness.measure.scores import neighbour_lists
from harness.schema import DIAGNOSTICS, SEEN
from harness.seeds import seed_from

BY_CLUSTERS = ("nmi", "ami", "f1", "overclustering")  # they need faiss
OF_TRAINING = ("avg_dtp", *SEEN)  # they need more than test embeddings
ROUNDING = 1e-6
Measure = Callable[[Tensor, Tensor], float]


def diagnostics(
    names: Iterable[str], embeddings: Tensor, labels: Tensor, *, seed: int
) -> dict[str, float]:
    """The named diagnostics of embeddings [n, D] with labels [n], without those of
    OF_TRAINING.

    What is not finite there is left out: of embeddings that do not differ, say. `seed` is that of
    k-means. The pairs of `verification_accuracy` depend on the labels alone. ValueError where
    `undefined` names a reason.
    """
    names = [name for name in names if name not in OF_TRAINING]
    clustered = [name for name in names if name in BY_CLUSTERS]
    values = _by_clusters(clustered, embeddings, labels, seed=seed)
    values |= {name: MEASURES[name](embeddings, labels) for name in names if name in MEASURES}
    return {name: within(name, values[name]) for name in names if math.isfinite(values[name])}


def of_seen(embeddings: Tensor, labels: Tensor, third: Tensor) -> dict[str, float]:
    """The diagnostics of SEEN of embeddings [n, D] with labels [n], of classes in `third` [C].

    MAP@R of the queries of a third, each searched among all of the embeddings. A third that holds
    no query is left out.
    """
    lists = neighbour_lists(embeddings, labels, recall_at=())
    of_query = third.to(lists.labels.device)[lists.labels]
    map_at_r = lists.by_query()["map_at_r"]
    values = {name: map_at_r[of_query == number] for number, name in enumerate(SEEN)}
    return {name: float(scores.mean()) for name, scores in values.items() if len(scores)}


def within(name: str, value: float) -> float:
    """A diagnostic's value without the rounding that put it out of its range; ValueError beyond."""
    low, high = DIAGNOSTICS[name].low, DIAGNOSTICS[name].high
    if not low - ROUNDING <= value <= high + ROUNDING:
        raise ValueError(f"{name} = {value} is outside of {low} to {high}")
    return min(max(value, low), high)


def undefined(names: Iterable[str], labels: np.ndarray) -> str | None:
    """Why one of the named diagnostics cannot be had of rows with labels [n], or None."""
    counts = np.unique(labels, return_counts=True)[1]
    several = int((counts > 1).sum())
    if "verification_accuracy" in names and several < verification.LEAST_CLASSES:
        return (
            f"verification_accuracy needs {verification.LEAST_CLASSES} test classes of two images "
            f"or more, there are {several}"
        )
    return None


def _by_clusters(
    names: list[str], embeddings: Tensor, labels: Tensor, *, seed: int
) -> dict[str, float]:
    if not names:
        return {}
    from harness.measure import clustering  # imports scikit-learn, which others need not wait for

    rows, classes = embeddings.float().cpu().numpy(), labels.cpu().numpy()
    values: dict[str, float] = {}
    if set(names) - {"overclustering"}:
        values |= clustering.agreement(rows, classes, seed=seed)._asdict()
    if "overclustering" in names:
        values["overclustering"] = clustering.overclustering_purity(rows, classes, seed=seed)
    return values


def verification_accuracy(embeddings: Tensor, labels: Tensor) -> float:
    """Accuracy over pairs by their Euclidean distance; the pairs are a function of the labels."""
    rng = np.random.default_rng(seed_from("verification pairs"))
    drawn = verification.pairs(labels.cpu().numpy(), rng=rng)
    rows = embeddings.double()
    distances = (rows[drawn.first] - rows[drawn.second]).norm(dim=1).cpu().numpy()
    return verification.accuracy(-distances, drawn.genuine, drawn.fold)


def _unit(embeddings: Tensor) -> Tensor:
    return F.normalize(embeddings.double(), dim=1)


MEASURES: dict[str, Measure] = {
    "verification_accuracy": verification_accuracy,
    "d_prime": geometry.decidability_of_pairs,
    "uniformity": lambda embeddings, _: geometry.uniformity(_unit(embeddings)),
    "alignment": lambda embeddings, labels: geometry.alignment(_unit(embeddings), labels),
    "spectral_decay": lambda embeddings, _: geometry.spectral_decay(embeddings),
    "density_ratio": geometry.density_ratio,
    "class_size_spread": geometry.spread_of_class_sizes,
}
