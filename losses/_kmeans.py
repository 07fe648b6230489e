"""Deterministic K-means on the device, for many sets at once, with farthest-first starts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def farthest_first(points: Tensor, valid: Tensor, n_clusters: int) -> Tensor:
    """Starting centres [G, K, D] of G sets of points [G, N, D]; valid [G, N] says which count.

    The first centre is the point farthest from its set's mean. Each next one is the point farthest
    from the centres chosen before it. A set with fewer distinct points than clusters repeats a
    point, and an empty set gives zeros. There are no random numbers; the order of the points
    decides only ties. Memory that each centre allocated anew would leave gaps that add up to many
    GB for thousands of centres, so all of them share it.
    """
    weight = valid[:, :, None].to(points.dtype)
    mean = (points * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1.0)
    squared = (points - mean).square().sum(2).masked_fill(~valid, -1.0)
    centres = points.new_empty(len(points), n_clusters, points.shape[2])
    differences, not_empty = torch.empty_like(points), valid.any(1)[:, None]
    for k in range(n_clusters):
        farthest = squared.argmax(1)[:, None, None].expand(-1, 1, points.shape[2])
        centres[:, k] = points.gather(1, farthest)[:, 0] * not_empty
        torch.sub(points, centres[:, k, None], out=differences)
        to_centre = differences.square_().sum(2)
        to_nearest = to_centre if k == 0 else torch.minimum(squared, to_centre)
        squared = to_nearest.masked_fill(~valid, -1.0)
    return centres


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """Index [G, N] of the nearest of the centres [G, K, D] to each point [G, N, D]."""
    squared = centres.square().sum(2)[:, None, :] - 2.0 * points @ centres.mT
    return squared.argmin(2)


def kmeans(
    points: Tensor, valid: Tensor, n_clusters: int, *, iterations: int = 20
) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm on each of G sets: the cluster [G, N] of each point, and centres [G, K, D].

    points [G, N, D], valid [G, N]. It ends when no point changes its cluster, or after
    `iterations`. A cluster that loses all its points keeps its centre.
    """
    centres = farthest_first(points, valid, n_clusters)
    cluster = nearest(points, centres)
    for _ in range(iterations):
        member = F.one_hot(cluster, n_clusters).to(points.dtype) * valid[:, :, None]
        sizes = member.sum(1)[:, :, None]
        # a matrix product, not a scatter, whose order of summation varies on GPUs
        means = member.mT @ points / sizes.clamp_min(1.0)
        centres = torch.where(sizes > 0, means, centres)
        previous, cluster = cluster, nearest(points, centres)
        if torch.equal(previous, cluster):
            break
    return cluster, centres
