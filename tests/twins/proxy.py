"""Slow, obvious twins of the proxy and classification losses: one number at a time.

Each takes the loss, embeddings [B, D] and labels as a list, and returns the loss's value from its
formula. From the loss it reads only parameters and settings.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor


def unit(rows: Tensor) -> list[list[float]]:
    return [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in rows.tolist()]


def dot(a: list[float], b: list[float]) -> float:
    return sum(v * w for v, w in zip(a, b, strict=True))


def cosines(x: Tensor, proxies: Tensor) -> list[list[float]]:
    return [[dot(row, proxy) for proxy in unit(proxies)] for row in unit(x)]


def ce(logits: list[float], label: int, smoothing: float = 0.0) -> float:
    """Cross-entropy of one row with smoothing / (C - 1) on every class but the label."""
    total = math.log(sum(math.exp(z) for z in logits))
    share = smoothing / (len(logits) - 1)
    return sum((1 - smoothing if j == label else share) * (total - z) for j, z in enumerate(logits))


def mean(values: list[float]) -> float:
    return float(sum(values)) / len(values)


def proxy_nca(loss: Any, x: Tensor, labels: list[int]) -> float:
    terms = []
    for row, y in zip(cosines(x, loss.proxies), labels, strict=True):
        d = [2 * loss.scale**2 * (1 - s) for s in row]
        others = sum(math.exp(-d[j]) for j in range(loss.n_classes) if j != y)
        terms.append(-math.log(math.exp(-d[y]) / others))
    return mean(terms)


def proxy_nca_pp(loss: Any, x: Tensor, labels: list[int]) -> float:
    rows = cosines(x, loss.proxies)
    logits = [[-(2 - 2 * s) / loss.temperature for s in row] for row in rows]
    return mean([ce(row, y, loss.label_smoothing) for row, y in zip(logits, labels, strict=True)])


def cross_entropy(loss: Any, x: Tensor, labels: list[int]) -> float:
    e, terms = loss.label_smoothing, []
    for row, y in zip(x.tolist(), labels, strict=True):
        z = [
            dot(row, w) + b for w, b in zip(loss.proxies.tolist(), loss.bias.tolist(), strict=True)
        ]
        total = math.log(sum(math.exp(v) for v in z))
        for j in range(loss.n_classes):
            target = 1 - e if j == y else e / (loss.n_classes - 1)
            terms.append(target * (math.log(target) - (z[j] - total)) if target > 0 else 0.0)
    return sum(terms) / len(x)


def sphereface(loss: Any, x: Tensor, labels: list[int]) -> float:
    m, lam = loss.margin, max(loss.lambda_min, 1000 / (1 + 0.12 * float(loss.batches)))
    terms = []
    for raw, row, y in zip(x.tolist(), cosines(x, loss.proxies), labels, strict=True):
        theta = math.acos(row[y])
        k = next(k for k in range(m) if k * math.pi / m <= theta <= (k + 1) * math.pi / m)
        phi = (-1) ** k * math.cos(m * theta) - 2 * k
        length = loss.scale * math.sqrt(dot(raw, raw))
        logits = [length * s for s in row]
        logits[y] = length * (phi + lam * row[y]) / (1 + lam)
        terms.append(ce(logits, y))
    return mean(terms)


def magface(loss: Any, x: Tensor, labels: list[int]) -> float:
    terms = []
    for raw, row, y in zip(x.tolist(), cosines(x, loss.proxies), labels, strict=True):
        a = min(max(math.sqrt(dot(raw, raw)), loss.l_a), loss.u_a)
        m = loss.l_margin + loss.margin_range * (a - loss.l_a) / (loss.u_a - loss.l_a)
        logits = [loss.scale * s for s in row]
        if row[y] > 0:
            logits[y] = loss.scale * math.cos(math.acos(row[y]) + m)
        terms.append(ce(logits, y) + loss.lambda_g * (a / loss.u_a**2 + 1 / a))
    return mean(terms)


def center_contrastive(loss: Any, x: Tensor, labels: list[int]) -> float:
    terms = []
    for row, y in zip(cosines(x, loss.proxies), labels, strict=True):
        target = math.exp(loss.scale * (row[y] - loss.margin))
        others = sum(math.exp(loss.scale * row[j]) for j in range(loss.n_classes) if j != y)
        terms.append(-math.log(target * math.exp(2 * loss.lam * row[y]) / (target + others)))
    return mean(terms)


def sgsl(loss: Any, x: Tensor, labels: list[int]) -> float:
    first, second = [], []
    for raw, row, y in zip(x.tolist(), cosines(x, loss.proxies), labels, strict=True):
        first.append(ce([dot(raw, w) for w in loss.proxies.tolist()], y, loss.label_smoothing))
        others = [math.exp(loss.gamma * row[j]) for j in range(loss.n_classes) if j != y]
        second.append(math.log(1 + math.exp(math.log(sum(others)) / loss.gamma - row[y])))
    return mean(first) + (mean(second) if mean(first) <= loss.ce_gate else 0.0)


def proxy_gml(loss: Any, x: Tensor, labels: list[int]) -> float:
    n, unit_proxies, terms = loss.n, unit(loss.proxies), []
    for row, y in zip(x.tolist(), labels, strict=True):
        s = [dot(row, p) for p in unit_proxies]
        order = sorted(range(loss.n_classes * n), key=lambda j: s[j] + (1000 if j // n == y else 0))
        nearest = order[-loss.n_nearest :]
        z = [sum(s[j] for j in nearest if j // n == c) for c in range(loss.n_classes)]
        e = [math.exp(loss.logit_scale * v) if v != 0 else 0.0 for v in z]
        terms.append(-math.log(e[y] / (1e-8 + sum(e)) + 1e-20))
    between = [
        [sum(dot(p, unit_proxies[c * n + k]) for k in range(n)) for c in range(loss.n_classes)]
        for p in unit_proxies
    ]
    regulariser = mean([ce(row, j // n) for j, row in enumerate(between)])
    return mean(terms) + float(loss.reg_lambda) * regulariser


def center(loss: Any, x: Tensor, labels: list[int]) -> float:
    terms = []
    for row, y in zip(x.tolist(), labels, strict=True):
        weights, bias, center = loss.proxies.tolist(), loss.bias.tolist(), loss.centers.tolist()[y]
        offset = [v - w for v, w in zip(row, center, strict=True)]
        logits = [dot(row, w) + b for w, b in zip(weights, bias, strict=True)]
        terms.append(ce(logits, y) + loss.lam / 2 * dot(offset, offset))
    return mean(terms)


def pd_loss(loss: Any, x: Tensor, labels: list[int]) -> float:
    rows = cosines(x, loss.proxies)
    genuine = [row[y] for row, y in zip(rows, labels, strict=True)]
    impostor = [
        row[j] for row, y in zip(rows, labels, strict=True) for j in range(loss.n_classes) if j != y
    ]
    variances = float(np.var(genuine) + np.var(impostor))
    gap, least = mean(genuine) - mean(impostor), loss.min_gap
    log_gap = math.log(gap) if gap >= least else math.log(least) + (gap - least) / least
    return 0.5 * math.log(max(variances, float(loss.eps))) - log_gap
