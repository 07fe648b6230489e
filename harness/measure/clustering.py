"""Does k-means of the embeddings, with as many clusters as classes, find the classes?

NMI and F1 as the literature reports them; AMI beside them, because NMI rises with the number of
clusters even where these are drawn by chance. With more clusters than classes, their purity says
whether classes that k-means does not find as one are whole in several places.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from harness.schema import Problem

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.float32]

RESTARTS = 3
ITERATIONS = 50
OVER = 3  # times as many clusters as classes, for `overclustering_purity`


class Agreement(NamedTuple):
    """How far clusters agree with classes: all 1 if they are equal; AMI is about 0 by chance.

    nmi: mutual information divided by the mean of both entropies. ami: the same, adjusted for
    chance. f1: harmonic mean of precision and recall over pairs of rows that share a cluster.
    """

    nmi: float
    ami: float
    f1: float


def agreement(embeddings: Rows, labels: Ints, *, seed: int) -> Agreement:
    """Cluster embeddings [n, D] into as many clusters as there are labels [n], and compare.

    The best of RESTARTS k-means of faiss, by its objective. Source of the use: Song et al. 2016,
    arXiv 1511.06452.
    """
    return agreement_of(labels, clusters(embeddings, len(np.unique(labels)), seed=seed))


def agreement_of(labels: Ints, assigned: Ints) -> Agreement:
    """The agreement of labels [n] with clusters [n]."""
    # pairs that both, only the clusters or only the labels join; each pair is counted twice
    (_, only_assigned), (only_labels, both) = metrics.cluster.pair_confusion_matrix(
        labels, assigned
    ).tolist()
    return Agreement(
        nmi=float(metrics.normalized_mutual_info_score(labels, assigned)),
        ami=float(metrics.adjusted_mutual_info_score(labels, assigned)),
        f1=2 * both / max(2 * both + only_assigned + only_labels, 1),
    )


def overclustering_purity(embeddings: Rows, labels: Ints, *, seed: int) -> float:
    """Purity of OVER times as many clusters as there are labels [n], at most one a row.

    Source of the use: Ji et al. 2019, arXiv 1807.06653, where each cluster is mapped to a class and
    several to the same. (NIR calls tight, far classes overclustered: that is `density_ratio`.)
    """
    k = min(OVER * len(np.unique(labels)), len(labels))
    return purity_of(labels, clusters(embeddings, k, seed=seed))


def purity_of(labels: Ints, assigned: Ints) -> float:
    """The share of rows that are of the commonest label [n] of their cluster [n]."""
    counts = metrics.cluster.contingency_matrix(labels, assigned)
    return float(counts.max(axis=0).sum() / len(labels))


def clusters(embeddings: Rows, k: int, *, seed: int) -> Ints:
    """The k-means cluster of each row [n]: faiss, seeded, all rows used, the best of RESTARTS.

    Problem where faiss is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError:
        raise Problem(
            "k-means needs the package faiss, which is not installed: python -m pip install "
            "faiss-cpu (or faiss-gpu), or leave nmi, ami, f1 and overclustering out"
        ) from None
    rows = np.ascontiguousarray(embeddings, np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("embeddings hold NaN or infinite values and cannot be clustered")
    kmeans = faiss.Kmeans(
        rows.shape[1],
        k,
        niter=ITERATIONS,
        nredo=RESTARTS,
        seed=seed % 2**31,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    kmeans.train(rows)
    assigned: Ints = kmeans.index.search(rows, 1)[1][:, 0].astype(np.int64)
    return assigned
