"""Average ranks of losses over datasets, Friedman's test and Nemenyi's critical difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranks:
    """Average ranks over datasets (1 is best) and how far apart they must lie to differ.

    `critical_difference` is Nemenyi's at `alpha`. `p_value` is Friedman's, of no difference at all.
    `groups` are the largest sets of names whose ranks lie within the critical difference, names in
    the order of their ranks.
    """

    ranks: Mapping[str, float]
    n_datasets: int
    critical_difference: float
    p_value: float
    groups: tuple[tuple[str, ...], ...]
    alpha: float = 0.05


def average_ranks(scores: Mapping[str, Sequence[float]], alpha: float = 0.05) -> Ranks:
    """Ranks of losses by their scores (one per dataset, in the same order), ties averaged.

    The highest score has rank 1. At least 2 losses and 2 datasets. Source: Demsar 2006, section
    3.2.2 (Friedman, Nemenyi).
    """
    from scipy.special import chdtrc
    from scipy.stats import rankdata, studentized_range

    table = np.array(list(scores.values()), dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            "at least 2 losses, each with a finite score on the same 2 or more datasets"
        )
    k, n = table.shape
    ranks = rankdata(-table, axis=0)
    means = ranks.mean(axis=1)
    # Friedman's statistic from the variance of the ranks themselves: this corrects it for ties.
    total = float(((ranks - (k + 1) / 2) ** 2).sum())
    between = float(((means - (k + 1) / 2) ** 2).sum())
    statistic = n * n * (k - 1) * between / total if total else 0.0
    q = float(studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
    critical_difference = q * math.sqrt(k * (k + 1) / (6 * n))
    ordered = dict(sorted(zip(scores, map(float, means), strict=True), key=lambda pair: pair[1]))
    return Ranks(
        ranks=ordered,
        n_datasets=n,
        critical_difference=critical_difference,
        p_value=float(chdtrc(k - 1, statistic)),
        groups=_groups_within(ordered, critical_difference),
        alpha=alpha,
    )


def _groups_within(ordered: Mapping[str, float], distance: float) -> tuple[tuple[str, ...], ...]:
    """The largest sets of neighbouring names whose ranks differ by less than `distance`."""
    names, end, groups = list(ordered), 0, []
    for start, name in enumerate(names):
        close = [rival for rival in names[start:] if ordered[rival] - ordered[name] < distance]
        if start + len(close) > end:
            groups.append(tuple(close))
            end = start + len(close)
    return tuple(groups)
