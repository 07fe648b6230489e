"""Statistical power: how many repeats find a difference, or measure a mean to a half-width.

Bad input is a ValueError.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from harness.measure.intervals import t_quantile


def repeats_needed(
    difference: float,
    std: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    design: Literal["paired", "welch"] = "paired",
) -> int:
    """Fewest repeats per loss that detect a true `difference` with probability `power`.

    `std` is that of the paired differences (design "paired") or of the repeats of either loss
    (design "welch"), in the unit of `difference`. Two-sided t test. Source: Cohen 1988.
    """
    if difference == 0 or std <= 0 or not alpha < power < 1:
        raise ValueError(
            f"difference = {difference}, std = {std}, power = {power}: "
            "a difference other than 0, std > 0 and alpha < power < 1 are needed"
        )
    high = 2
    while power_of(difference, std, high, alpha=alpha, design=design) < power:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of(difference, std, middle, alpha=alpha, design=design) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def repeats_for_half_width(half_width: float, std: float, level: float = 0.95) -> int:
    """Fewest repeats whose t interval is at most +- `half_width`, if their std is `std` (ddof 1).

    Both in the same unit. The t interval needs at least 2 repeats.
    """
    if not half_width > 0 or not 0 <= std < math.inf:
        raise ValueError(f"half_width = {half_width}, std = {std}: a half-width above 0 is needed")

    def enough(n: int) -> bool:
        return t_quantile(level, n - 1) * std / math.sqrt(n) <= half_width

    high = 2
    while not enough(high):
        high *= 2
    low = max(1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def power_of(
    difference: float,
    std: float,
    n: int,
    *,
    alpha: float = 0.05,
    design: Literal["paired", "welch"] = "paired",
) -> float:
    """Probability that n >= 2 repeats per loss detect a true `difference` at `alpha`, two-sided.

    These are the tails of the noncentral t. They are computed as the mean of normal tails over the
    distribution of the estimated std, because scipy's closed form is NaN for large differences.
    """
    from scipy.special import chdtri, ndtr, stdtrit

    paired = design == "paired"
    df = n - 1 if paired else 2 * (n - 1)
    shift = abs(difference) / std * math.sqrt(n if paired else n / 2)
    critical = float(stdtrit(df, 1 - alpha / 2))
    shares = (np.arange(4000) + 0.5) / 4000
    estimated = np.sqrt(chdtri(df, shares) / df)  # quantiles of s / sigma
    tails = ndtr(shift - critical * estimated) + ndtr(-shift - critical * estimated)
    return float(tails.mean())
