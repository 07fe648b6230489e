"""Kendall's rank correlation: do two columns put the same things in the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 5  # things in an order, below which there is no interval
VARIANCE = 0.437  # of Fisher's z of tau, times n - 4 (Fieller, Hartley and Pearson 1957)


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's tau-b of n pairs of values, its interval and its p-value.

    1: the same order; 0: none in common; -1: the opposite order. `low` and `high` bound the tau
    among all things that these n are a sample of; None where tau is 1 or -1, for which there is no
    such interval. `p_value` is of no association: exact for few values without ties.
    """

    tau: float
    low: float | None
    high: float | None
    p_value: float
    n: int

    @property
    def bounds(self) -> str:
        """The interval in words; nothing where there is none."""
        return "" if self.low is None else f"{self.low:.2f} to {self.high:.2f}"


def rank_correlation(
    a: Sequence[float], b: Sequence[float], level: float = 0.95
) -> RankCorrelation | None:
    """Kendall's tau-b of two columns, ties allowed; None for fewer than LEAST or a constant column.

    The interval is Fisher's z with the variance 0.437 / (n - 4). Source: Bonett and Wright 2000
    (Psychometrika 65), Eq. 3. ValueError for columns of different lengths or with NaN.
    """
    from scipy.special import ndtri
    from scipy.stats import kendalltau

    columns = np.array([a, b], dtype=np.float64)  # ValueError where they differ in length
    if not np.isfinite(columns).all():
        raise ValueError("NaN or infinite values have no order")
    n = columns.shape[1]
    if n < LEAST or (columns.min(axis=1) == columns.max(axis=1)).any():
        return None
    result = kendalltau(*columns)
    tau = float(result.statistic)
    low = high = None
    if abs(tau) < 1 - 1e-12:
        half = float(ndtri((1 + level) / 2)) * math.sqrt(VARIANCE / (n - 4))
        low, high = math.tanh(math.atanh(tau) - half), math.tanh(math.atanh(tau) + half)
    return RankCorrelation(tau, low, high, float(result.pvalue), n)
