"""Slow, obvious twins of the losses that have a network or a memory: one image at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from losses.intra_batch import Block


def nir_proxy_anchor(
    x: Tensor, labels: Tensor, proxies: Tensor, *, alpha: float, margin: float
) -> Tensor:
    """The proxy loss of NIR's released code; x and proxies of unit length."""
    pull, push = [], []
    for i in range(len(x)):  # a term per image, so a class counts once for each of its images
        proxy = proxies[labels[i]]
        total = torch.ones((), dtype=x.dtype)
        for j in range(len(x)):
            if labels[j] == labels[i]:
                total = total + torch.exp(-alpha * (x[j] @ proxy - margin))
        pull.append(total.log())
    for c in range(len(proxies)):
        total = torch.ones((), dtype=x.dtype)
        for j in range(len(x)):
            if labels[j] != c:
                total = total + torch.exp(alpha * (x[j] @ proxies[c] + margin))
        push.append(total.log())
    return torch.stack(pull).mean() + torch.stack(push).mean()


def proxy_nca(x: Tensor, labels: Tensor, proxies: Tensor, *, scale: float) -> Tensor:
    """ProxyNCA as first published; x and proxies of unit length."""
    terms = []
    for image, label in zip(x, labels, strict=True):
        closeness = [torch.exp(-(scale * (image - proxy)).square().sum()) for proxy in proxies]
        others = sum(value for c, value in enumerate(closeness) if c != label)
        terms.append(-torch.log(closeness[label] / others))
    return torch.stack(terms).mean()


def proxy_anchor(
    x: Tensor, labels: list[int], proxies: Tensor, *, alpha: float, margin: float
) -> Tensor:
    """Proxy-Anchor as published; x and proxies of any length."""
    x, proxies = normalize(x), normalize(proxies)
    pull, push = torch.zeros((), dtype=x.dtype), torch.zeros((), dtype=x.dtype)
    pairs = list(zip(x, labels, strict=True))
    for c, proxy in enumerate(proxies):
        same = [torch.exp(-alpha * (image @ proxy - margin)) for image, y in pairs if y == c]
        others = [torch.exp(alpha * (image @ proxy + margin)) for image, y in pairs if y != c]
        pull = pull + torch.log1p(torch.as_tensor(sum(same), dtype=x.dtype))
        push = push + torch.log1p(torch.as_tensor(sum(others), dtype=x.dtype))
    return pull / len(set(labels)) + push / len(proxies)


def hierarchical_proxy(
    x: Tensor,
    labels: Tensor,
    proxies: Tensor,
    *,
    groups: list[int],
    alpha: float,
    margin: float,
    omega: float,
) -> Tensor:
    """Proxy-Anchor of classes, and of groups[class] whose proxies are means of unit proxies."""
    names = sorted(set(groups))
    coarse = []
    for name in names:
        members = [
            proxies[c] / proxies[c].norm() for c, group in enumerate(groups) if group == name
        ]
        coarse.append(torch.stack(members).mean(0))
    classes = labels.tolist()
    of_groups = [names.index(groups[c]) for c in classes]
    fine = proxy_anchor(x, classes, proxies, alpha=alpha, margin=margin)
    return fine + omega * proxy_anchor(
        x, of_groups, torch.stack(coarse), alpha=alpha, margin=margin
    )


def magnet(x: Tensor, labels: Tensor, assigned: list[int], *, alpha: float) -> Tensor:
    """The paper's objective over a batch; assigned[i] is the image's cluster within its class."""
    clusters: dict[tuple[int, int], list[Tensor]] = {}
    keys = [(int(label), cluster) for label, cluster in zip(labels, assigned, strict=True)]
    for image, key in zip(x, keys, strict=True):
        clusters.setdefault(key, []).append(image)
    means = {key: torch.stack(images).mean(0) for key, images in clusters.items()}
    to_mean = [(image - means[key]).square().sum() for image, key in zip(x, keys, strict=True)]
    variance = torch.stack(to_mean).sum() / (len(x) - 1)
    terms = []
    for image, key, squared in zip(x, keys, to_mean, strict=True):
        numerator = torch.exp(-squared / (2 * variance) - alpha)
        denominator = torch.zeros((), dtype=x.dtype)
        for (label, _), mean in means.items():
            if label != key[0]:
                impostor = (image - mean).square().sum()
                denominator = denominator + torch.exp(-impostor / (2 * variance))
        terms.append((-torch.log(numerator / denominator)).clamp_min(0.0))
    return torch.stack(terms).mean()


def attention(nodes: Tensor, block: Block, *, heads: int) -> Tensor:
    """Multi-head attention of every node to all nodes, edge by edge."""
    size = nodes.shape[1] // heads
    query, key, value = block.query(nodes), block.key(nodes), block.value(nodes)
    out = torch.zeros_like(nodes)
    for receiver in range(len(nodes)):
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = [
                torch.exp(query[receiver, part] @ key[sender, part] / size**0.5)
                for sender in range(len(nodes))
            ]
            for sender in range(len(nodes)):
                out[receiver, part] += scores[sender] / sum(scores) * value[sender, part]
    mixed: Tensor = block.out(out)
    return mixed


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy against (1 - smoothing) of the label and smoothing / C of every class."""
    terms = []
    for row, label in zip(logits, labels, strict=True):
        log_p = row - torch.log(torch.exp(row).sum())
        terms.append(-(1 - smoothing) * log_p[label] - smoothing * log_p.sum() / len(row))
    return torch.stack(terms).mean()
