"""Slow, obvious twins of the ranking losses: loops over queries and images, from the formulas."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.twins.pair import around, mean, non_zero_mean, pairs


def fast_ap(x: Tensor, labels: list[int], num_bins: int) -> Tensor:
    width = 4.0 / num_bins
    terms = []
    for i in range(len(x)):
        positives, negatives = around(labels, i)
        seen_positive, seen, precision = 0.0 * x.sum(), 0.0 * x.sum(), 0.0 * x.sum()
        for b in range(num_bins + 1):
            pulse = {
                j: (1 - (((x[i] - x[j]) ** 2).sum() - b * width).abs() / width).relu()
                for j in positives + negatives
            }
            positive = torch.stack([pulse[j] for j in positives]).sum()
            seen_positive = seen_positive + positive
            seen = seen + torch.stack(list(pulse.values())).sum()
            if float(seen.detach()) > 0:
                precision = precision + positive * seen_positive / seen
        terms.append(1 - precision / len(positives))
    return mean(terms)


def recall_at_k(
    x: Tensor, labels: list[int], anneal: float, k_vals: list[int], k_temperatures: list[float]
) -> Tensor:
    losses = []
    for q in range(len(x)):
        positives = around(labels, q)[0]
        ranks = []
        for i in positives:
            above = [
                ((x[q] @ x[j] - x[q] @ x[i]) / anneal).sigmoid() for j in range(len(x)) if j != i
            ]
            ranks.append(1 + torch.stack(above).sum())
        recalls = []
        for k, temperature in zip(k_vals, k_temperatures, strict=True):
            k = min(k, len(x))
            in_top_k = torch.stack([((k - rank) / temperature).sigmoid() for rank in ranks]).sum()
            recalls.append(in_top_k.clamp_max(k) / min(k, len(positives)))
        losses.append(1 - mean(recalls))
    return mean(losses)


def smooth_ap(x: Tensor, labels: list[int], tau: float) -> Tensor:
    precisions = []
    for q in range(len(x)):
        group = [i for i in range(len(x)) if labels[i] == labels[q]]
        shares = []
        for i in group:
            step = {
                j: ((x[q] @ x[j] - x[q] @ x[i]) / tau).sigmoid() for j in range(len(x)) if j != i
            }
            within = 1 + sum((step[j] for j in group if j != i), torch.tensor(0.0))
            shares.append(within / (1 + torch.stack(list(step.values())).sum()))
        precisions.append(mean(shares))
    return 1 - mean(precisions)


def blackbox_ap(x: Tensor, labels: list[int], lambda_val: float) -> tuple[Tensor, Tensor]:
    """Without noise: the loss, and its gradient with respect to the scores [B, B]."""
    scores = (x @ x.T).tolist()
    size = len(labels)

    def ranks(row: list[float]) -> list[float]:
        return [sum(other >= score for other in row) / size for score in row]

    precisions, gradients = [], []
    for q in range(size):
        group = [i for i in range(size) if labels[i] == labels[q]]
        rank = ranks(scores[q])
        within = {i: sum(rank[j] <= rank[i] for j in group) / size for i in group}
        precisions.append(sum(within[i] / rank[i] for i in group) / (len(group) + 1e-5))
        upstream = [
            within[i] / rank[i] ** 2 / (len(group) + 1e-5) / size if i in group else 0.0
            for i in range(size)
        ]
        moved = ranks([s + lambda_val * g for s, g in zip(scores[q], upstream, strict=True)])
        gradients.append([-(a - b) / (lambda_val + 1e-8) for a, b in zip(rank, moved, strict=True)])
    return torch.tensor(1 - sum(precisions) / size), torch.tensor(gradients)


class Step(torch.autograd.Function):
    """1 where a >= b, with gradient 10 to a: the contextual loss's straight-through step."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: float) -> Tensor:
        return (a >= b).to(a.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return 10.0 * gradient, None


def contextual_similarity(s: Tensor, k: int, eps: float) -> list[list[Tensor]]:
    size = len(s)
    every = range(size)
    near = [[-(2 - 2 * s[i, j]).relu() for j in every] for i in every]
    ordered = [sorted((float(v.detach()) for v in row), reverse=True) for row in near]
    n = [[Step.apply(near[i][j] + eps, ordered[i][k - 1]) for j in every] for i in every]
    m = [[Step.apply(near[i][j] + eps, ordered[i][k // 2 - 1]) for j in every] for i in every]
    w = [[n[i][j] for j in every] for i in every]
    for i in every:
        inside = sum(float(member.detach()) for member in n[i])
        for j in every:
            both = sum(n[i][p] * n[j][p] for p in every) / inside
            neither = sum((1 - n[i][p]) * (1 - n[j][p]) for p in every) / (size - inside)
            w[i][j] = w[i][j] * (both + neither) / 2
    r = [[m[i][j] * m[j][i] for j in every] for i in every]
    expanded = [[sum(r[i][p] * w[p][j] for p in every) / sum(r[i]) for j in every] for i in every]
    return [[(expanded[i][j] + expanded[j][i]) / 2 for j in every] for i in every]


def contextual(
    x: Tensor, labels: list[int], lam: float, gamma: float, k: int, eps: float, **others: float
) -> Tensor:
    s, size = x @ x.T, len(x)
    alike = contextual_similarity(s, k, eps)
    same, other = pairs(labels)
    context = sum(((1 - alike[i][j]) ** 2 for i, j in same), torch.tensor(0.0))
    context = (context + sum((alike[i][j] ** 2 for i, j in other), torch.tensor(0.0))) / size**2
    near = non_zero_mean([(others["pos_margin"] - s[i, j]).relu() for i, j in same])
    far = non_zero_mean([(s[i, j] - others["neg_margin"]).relu() for i, j in other])
    spread = (s.mean() - others["reg_sim"]) ** 2
    return lam * context + (1 - lam - gamma) * (near + far) + gamma * spread
