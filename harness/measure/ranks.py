"""Average ranks of losses over datasets, and the critical-difference diagram as SVG text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranks:
    """Average ranks over datasets (1 is best) and how far apart they must lie to differ.

    `critical_difference` is Nemenyi's at `alpha`; `p_value` Friedman's of no difference at all;
    `groups` the largest sets of names, in the order of their ranks, that it does not tell apart.
    """

    ranks: Mapping[str, float]
    n_datasets: int
    critical_difference: float
    p_value: float
    groups: tuple[tuple[str, ...], ...]
    alpha: float = 0.05


def average_ranks(
    scores: Mapping[str, Sequence[float]], alpha: float = 0.05, higher_is_better: bool = True
) -> Ranks:
    """Ranks of losses by their scores (one per dataset, the same order for all), ties averaged.

    At least 2 losses and 2 datasets. Source: Demsar 2006, section 3.2.2 (Friedman, Nemenyi).
    """
    from scipy.special import chdtrc
    from scipy.stats import rankdata, studentized_range

    table = np.array(list(scores.values()), dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            "at least 2 losses, each with a finite score on the same 2 or more datasets"
        )
    k, n = table.shape
    placed = rankdata(-table if higher_is_better else table, axis=0)
    mean = placed.mean(axis=1)
    # Friedman's statistic from the ranks' own variance, which corrects it for ties
    spread = float(((placed - (k + 1) / 2) ** 2).sum())
    statistic = (
        n * n * (k - 1) * float(((mean - (k + 1) / 2) ** 2).sum()) / spread if spread else 0.0
    )
    p_value = float(chdtrc(k - 1, statistic))
    q = float(studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2)
    apart = q * math.sqrt(k * (k + 1) / (6 * n))
    ordered = dict(sorted(zip(scores, map(float, mean), strict=True), key=lambda pair: pair[1]))
    return Ranks(ordered, n, apart, p_value, _runs_within(ordered, apart), alpha)


def _runs_within(ordered: Mapping[str, float], apart: float) -> tuple[tuple[str, ...], ...]:
    names, end, groups = list(ordered), 0, []
    for start, name in enumerate(names):
        close = [other for other in names[start:] if ordered[other] - ordered[name] < apart]
        if start + len(close) > end:
            groups.append(tuple(close))
            end = start + len(close)
    return tuple(groups)
