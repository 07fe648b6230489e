"""Slow, obvious twins of the pair losses: loops over images, from the formulas.

Each takes embeddings [B, D], labels as a list, and the loss's parameters, and returns a scalar
that autograd can differentiate. Nothing is shared with losses/.
"""

from __future__ import annotations

import torch
from torch import Tensor


def distance(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y) ** 2).sum().sqrt()


def pairs(labels: list[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The ordered pairs of two images of a class, and those of images of two classes."""
    every = [(i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j]
    same = [(i, j) for i, j in every if labels[i] == labels[j]]
    return same, [(i, j) for i, j in every if labels[i] != labels[j]]


def around(labels: list[int], i: int) -> tuple[list[int], list[int]]:
    """The positives and the negatives of image i."""
    same, other = pairs(labels)
    return [j for a, j in same if a == i], [j for a, j in other if a == i]


def mean(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).mean() if terms else torch.zeros((), dtype=torch.float64)


def non_zero_mean(terms: list[Tensor]) -> Tensor:
    return mean([term for term in terms if float(term.detach()) > 0])


def contrastive(x: Tensor, labels: list[int], pos_margin: float, neg_margin: float) -> Tensor:
    same, other = pairs(labels)
    near = non_zero_mean([(distance(x[i], x[j]) - pos_margin).relu() for i, j in same])
    return near + non_zero_mean([(neg_margin - distance(x[i], x[j])).relu() for i, j in other])


def triplet(x: Tensor, labels: list[int], margin: float) -> Tensor:
    terms = []
    for i in range(len(x)):
        positives, negatives = around(labels, i)
        for p in positives:
            for n in negatives:
                terms.append((distance(x[i], x[p]) - distance(x[i], x[n]) + margin).relu())
    return non_zero_mean(terms)


def multi_similarity(
    x: Tensor, labels: list[int], alpha: float, beta: float, base: float
) -> Tensor:
    terms = []
    for i in range(len(x)):
        positives, negatives = around(labels, i)
        near = sum(((-alpha * (x[i] @ x[j] - base)).exp() for j in positives), torch.tensor(0.0))
        far = sum(((beta * (x[i] @ x[j] - base)).exp() for j in negatives), torch.tensor(0.0))
        terms.append((1 + near).log() / alpha + (1 + far).log() / beta)
    return mean(terms)


def multi_similarity_miner(
    x: Tensor, labels: list[int], alpha: float, beta: float, base: float, epsilon: float
) -> Tensor:
    terms = []
    for i in range(len(x)):
        positives, negatives = around(labels, i)
        if not positives or not negatives:
            terms.append(torch.zeros((), dtype=x.dtype))
            continue
        near, far = [x[i] @ x[j] for j in positives], [x[i] @ x[j] for j in negatives]
        hardest_positive = min(float(s.detach()) for s in near)
        hardest_negative = max(float(s.detach()) for s in far)
        pull = push = torch.ones((), dtype=x.dtype)
        for s in near:
            if float(s.detach()) - epsilon < hardest_negative:
                pull = pull + (-alpha * (s - base)).exp()
        for s in far:
            if float(s.detach()) + epsilon > hardest_positive:
                push = push + (beta * (s - base)).exp()
        terms.append(pull.log() / alpha + push.log() / beta)
    return mean(terms)


def npair(x: Tensor, labels: list[int], l2_reg_weight: float) -> Tensor:
    batches: dict[int, list[tuple[int, int]]] = {}
    for label in sorted(set(labels)):
        images = [i for i, other in enumerate(labels) if other == label]
        for place in range(len(images) // 2):
            batches.setdefault(place, []).append((images[2 * place], images[2 * place + 1]))
    terms = []
    for batch in batches.values():
        for a, p in batch:
            others = [(x[a] @ x[q] - x[a] @ x[p]).exp() for _, q in batch if q != p]
            terms.append((1 + sum(others, torch.tensor(0.0))).log())
    return mean(terms) + l2_reg_weight * mean([(row * row).sum() for row in x])


def nt_xent(x: Tensor, labels: list[int], temperature: float) -> Tensor:
    terms = []
    for i, j in pairs(labels)[0]:
        positive = (x[i] @ x[j] / temperature).exp()
        others = [(x[i] @ x[n] / temperature).exp() for n in around(labels, i)[1]]
        terms.append(-(positive / (positive + torch.stack(others).sum())).log())
    return mean(terms)


def circle(x: Tensor, labels: list[int], m: float, gamma: float) -> Tensor:
    terms = []
    for i in range(len(x)):
        near, far = [], []
        for p in around(labels, i)[0]:
            s = x[i] @ x[p]
            near.append((gamma * (1 + m - s.detach()).relu() * (1 - m - s)).exp())
        for n in around(labels, i)[1]:
            s = x[i] @ x[n]
            far.append((gamma * (s.detach() + m).relu() * (s - m)).exp())
        terms.append((1 + torch.stack(near).sum() * torch.stack(far).sum()).log())
    return mean(terms)


def snr_contrastive(
    x: Tensor, labels: list[int], pos_margin: float, neg_margin: float, regularizer_weight: float
) -> Tensor:
    same, other = pairs(labels)
    near = [((x[i] - x[j]).var() / x[i].var() - pos_margin).relu() for i, j in same]
    far = [(neg_margin - (x[i] - x[j]).var() / x[i].var()).relu() for i, j in other]
    regularizer = mean([row.sum().abs() for row in x])
    return non_zero_mean(near) + non_zero_mean(far) + regularizer_weight * regularizer


def lifted_structure(
    x: Tensor, labels: list[int], neg_margin: float, l2_reg_weight: float
) -> Tensor:
    terms = []
    for i, j in pairs(labels)[0]:
        if i < j:
            ends = [(i, n) for n in around(labels, i)[1]] + [(j, n) for n in around(labels, j)[1]]
            pushed = torch.stack([(neg_margin - distance(x[a], x[n])).exp() for a, n in ends])
            terms.append((pushed.sum().log() + distance(x[i], x[j])).relu() ** 2)
    return mean(terms) / 2 + l2_reg_weight * mean([(row * row).sum() for row in x])


def cbml(x: Tensor, labels: list[int], **p: float) -> Tensor:
    total = torch.zeros((), dtype=x.dtype)
    for i in range(len(x)):
        positives = [x[i] @ x[j] for j in around(labels, i)[0]]
        negatives = [x[i] @ x[j] for j in around(labels, i)[1]]
        near = [s for s in positives if s - p["margin"] < max(negatives)]
        far = [s for s in negatives if s + p["margin"] > min(positives)]
        if not near or not far:
            continue
        centre = p["hyper_weight"] * mean(positives) + (1 - p["hyper_weight"]) * mean(negatives)
        pull = torch.stack([(-(s - p["pos_a"]) / p["pos_b"]).exp() for s in near]).sum()
        push = torch.stack([((s - p["neg_a"]) / p["neg_b"]).exp() for s in far]).sum()
        variance = torch.stack([(s - centre) ** 2 for s in negatives]).sum()
        total = total + (1 + pull).log() + (1 + push).log() + p["weight"] * variance
    return total / len(x)


def d_loss(x: Tensor, labels: list[int]) -> Tensor:
    same, other = pairs(labels)
    genuine = torch.stack([distance(x[i], x[j]) for i, j in same])
    impostor = torch.stack([distance(x[i], x[j]) for i, j in other])
    deviation = ((genuine.var(correction=0) + impostor.var(correction=0)) / 2).sqrt()
    return -(impostor.mean() - genuine.mean()) / deviation
