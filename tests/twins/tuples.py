"""Slow, obvious twins of more losses of pairs, triplets and queries: loops, from the formulas.

Each takes embeddings [B, D], labels as a list, and the loss's parameters, and returns a scalar
that autograd can differentiate. Nothing is shared with losses/.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.twins.pair import around, distance, mean, multi_similarity, non_zero_mean, pairs


def angular(x: Tensor, labels: list[int], alpha: float) -> Tensor:
    square = math.tan(math.radians(alpha)) ** 2
    terms = []
    for a, p in pairs(labels)[0]:
        anchor, positive = x[a] / x[a].norm(), x[p] / x[p].norm()  # as the library does
        total = torch.ones((), dtype=x.dtype)
        for n in around(labels, a)[1]:
            angle = 4 * square * ((anchor + positive) @ x[n])
            total = total + (angle - 2 * (1 + square) * (anchor @ positive)).exp()
        terms.append(total.log())
    return mean(terms)


def shares(values: list[Tensor], n_bins: int) -> list[Tensor]:
    """Mean shares of cosines at the nodes -1, -1 + 2 / n_bins, ..., 1."""
    width, result = 2 / n_bins, []
    for r in range(n_bins + 1):
        node = -1 + r * width
        result.append(mean([(1 - (value - node).abs() / width).relu() for value in values]))
    return result


def histogram(x: Tensor, labels: list[int], n_bins: int) -> Tensor:
    same, other = pairs(labels)
    positive = shares([x[i] @ x[j] for i, j in same], n_bins)
    negative = shares([x[i] @ x[j] for i, j in other], n_bins)
    total = torch.zeros((), dtype=x.dtype)
    for r in range(n_bins + 1):
        total = total + negative[r] * torch.stack(positive[: r + 1]).sum()
    return total


def ranked_list(
    x: Tensor, labels: list[int], margin: float, t_n: float, imbalance: float
) -> Tensor:
    outer, terms = 1 + margin / 2, []
    for i in range(len(x)):
        far = [distance(x[i], x[j]) - outer + margin for j in around(labels, i)[0]]
        near = [outer - distance(x[i], x[j]) for j in around(labels, i)[1]]
        value = torch.zeros((), dtype=x.dtype)
        for excesses, temperature, weight in (
            (far, 0.0, 1 - imbalance),
            (near, t_n, imbalance),
        ):
            inside = [excess for excess in excesses if float(excess.detach()) > 0]
            weights = [(temperature * excess).exp() for excess in inside]
            if inside:
                total = torch.stack(weights).sum() + 1e-5 * len(x)
                weighted = [w * e for w, e in zip(weights, inside, strict=True)]
                value = value + weight * torch.stack(weighted).sum() / total
        terms.append(value)
    return mean(terms)


def tuplet_margin(x: Tensor, labels: list[int], margin: float, scale: float) -> Tensor:
    terms = []
    for a, p in pairs(labels)[0]:
        easier = ((x[a] @ x[p]).acos() - math.radians(margin)).cos()
        total = torch.ones((), dtype=x.dtype)
        for n in around(labels, a)[1]:
            total = total + (scale * (x[a] @ x[n] - easier)).exp()
        terms.append(total.log())
    return mean(terms)


def intra_pair_variance(
    x: Tensor,
    labels: list[int],
    margin: float,
    scale: float,
    *,
    epsilon: float,
    variance_weight: float,
) -> Tensor:
    same, other = pairs(labels)
    near, far = [x[i] @ x[j] for i, j in same], [x[i] @ x[j] for i, j in other]
    below = mean([((1 - epsilon) * mean(near) - s).relu() ** 2 for s in near])
    above = mean([(s - (1 + epsilon) * mean(far)).relu() ** 2 for s in far])
    return tuplet_margin(x, labels, margin, scale) + variance_weight * (below + above)


def supcon(x: Tensor, labels: list[int], temperature: float) -> Tensor:
    terms = []
    for i in range(len(x)):
        positives = around(labels, i)[0]
        if not positives:
            continue
        near = [x[i] @ x[j] / temperature for j in range(len(x)) if j != i]
        largest = max(float(s.detach()) for s in near)  # exp() of what is below it is finite
        total = torch.stack([(s - largest).exp() for s in near]).sum().log() + largest
        terms.append(mean([total - x[i] @ x[p] / temperature for p in positives]))
    return mean(terms)


def dynamic_soft_margin(x: Tensor, labels: list[int], num_bins: int) -> Tensor:
    """The first batch: its own histogram is the whole one."""
    gaps = [
        distance(x[a], x[p]) - distance(x[a], x[n])
        for a, p in pairs(labels)[0]
        for n in around(labels, a)[1]
    ]
    width = 4 / num_bins
    counts = [0.0] * (num_bins + 1)
    for gap in gaps:
        for r in range(num_bins + 1):
            counts[r] += max(0.0, 1 - abs(float(gap.detach()) - (-2 + r * width)) / width)
    terms = []
    for gap in gaps:
        below = [r for r in range(num_bins + 1) if -2 + r * width <= float(gap.detach())]
        terms.append(sum(counts[r] for r in below) / len(gaps) * gap)
    return mean(terms)


def pnp(x: Tensor, labels: list[int], tau: float, alpha: float, variant: str = "Dq") -> Tensor:
    terms = []
    for q in range(len(x)):
        values = []
        for i in [j for j in range(len(x)) if labels[j] == labels[q]]:
            before = torch.zeros((), dtype=x.dtype)
            for j in around(labels, q)[1]:
                before = before + ((x[q] @ x[j] - x[q] @ x[i]) / tau).sigmoid()
            values.append(
                {
                    "Dq": 1 - (1 + before) ** -alpha,
                    "Ds": (1 + before).log(),
                    "O": before,
                    "Iu": (1 + before) * (1 + before).log(),
                }[variant]
            )
        terms.append(mean(values))
    return mean(terms)


def direction_regularization(x: Tensor, labels: list[int], margin: float, gamma: float) -> Tensor:
    terms = []
    for a, p in pairs(labels)[0]:
        for n in around(labels, a)[1]:
            near, far = distance(x[a], x[p]), distance(x[a], x[n])
            cosine = (x[p] - x[a]) @ (x[n] - x[a]) / (near * far)
            terms.append((near - far + margin - gamma * cosine).relu())
    return non_zero_mean(terms)


def margins_of_pairs(
    x: Tensor, labels: list[int], positive_margin: float, negative_margin: float
) -> Tensor:
    same, other = pairs(labels)
    pull = [positive_margin - x[i] @ x[j] for i, j in same]
    push = [x[i] @ x[j] - negative_margin for i, j in other]
    return non_zero_mean(pull) + non_zero_mean(push)


def tcm_multi_similarity(x: Tensor, labels: list[int], **p: float) -> Tensor:
    base = multi_similarity(x, labels, p["alpha"], p["beta"], p["base"])
    margins = margins_of_pairs(x, labels, p["positive_margin"], p["negative_margin"])
    return base + p["tcm_weight"] * margins


def potential_field(
    charges: Tensor, classes: list[int], n_images: int, alpha: float, delta: float
) -> Tensor:
    """Of charges that are all of unit length, the batch's images first."""
    total = torch.zeros((), dtype=charges.dtype)
    for i, r in enumerate(charges):
        for j, z in enumerate(charges):
            if i == j:
                continue
            d = (r - z).norm()
            if classes[i] == classes[j]:
                potential = -(delta**-alpha) if float(d.detach()) < delta else -(d**-alpha)
            else:
                potential = d**-alpha if float(d.detach()) < delta else delta**-alpha
                potential = potential - delta**-alpha
            total = total + delta**alpha * potential
    return total / n_images
