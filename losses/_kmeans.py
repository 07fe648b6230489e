"""K-means on the device, deterministic: many sets at once, started by farthest-first traversal."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def farthest_first(points: Tensor, valid: Tensor, n_clusters: int) -> Tensor:
    """Starting centres [G, K, D]: the point farthest from its set's mean, then farthest from those.

    points [G, N, D] in G sets, valid [G, N] says which of them count. A set with fewer distinct
    points than clusters repeats a point; a set without any gives zeros. No random numbers, and the
    points' order decides ties only.
    """
    weight = valid[:, :, None].to(points.dtype)
    mean = (points * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1.0)
    apart = (points - mean).square().sum(2).masked_fill(~valid, -1.0)
    chosen = []
    for k in range(n_clusters):
        index = apart.argmax(1)[:, None, None].expand(-1, 1, points.shape[2])
        centre = points.gather(1, index) * valid.any(1)[:, None, None]
        chosen.append(centre)
        distance = (points - centre).square().sum(2)
        apart = (distance if k == 0 else torch.minimum(apart, distance)).masked_fill(~valid, -1.0)
    return torch.cat(chosen, 1)


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """Index [G, N] of the nearest of the centres [G, K, D] to each point [G, N, D]."""
    squared = centres.square().sum(2)[:, None, :] - 2.0 * points @ centres.mT
    return squared.argmin(2)


def kmeans(
    points: Tensor, valid: Tensor, n_clusters: int, iterations: int = 20
) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm on each of G sets: the clusters [G, N] of points and their means [G, K, D].

    points [G, N, D], valid [G, N]; ends when no point changes its cluster, or after `iterations`.
    A cluster that loses all its points keeps its centre.
    """
    centres = farthest_first(points, valid, n_clusters)
    cluster = nearest(points, centres)
    for _ in range(iterations):
        member = F.one_hot(cluster, n_clusters).to(points.dtype) * valid[:, :, None]
        held = member.sum(1)[:, :, None]
        means = member.mT @ points / held.clamp_min(1.0)  # no scatter: its order varies on GPUs
        centres = torch.where(held > 0, means, centres)
        before, cluster = cluster, nearest(points, centres)
        if torch.equal(before, cluster):
            break
    return cluster, centres
