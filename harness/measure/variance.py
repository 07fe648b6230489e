"""How far the results of a repeated search spread, beside the spread of the repeats within one.

The repeats within one search retrain one configuration; another search with other seeds chooses
another one. Pure functions over test scores as shares of 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.measure import intervals


@dataclass(frozen=True)
class Spread:
    """One score of one loss over searches, each with its repeats; sds with ddof 1.

    `interval` is of the mean of the searches' means. `sd_searches` is the sd of those means,
    `sd_repeats` that of the repeats within a search (pooled), `sd_search_alone` what is left of the
    first when the repeats' share in it is taken off (0 where that is more than all).
    """

    interval: intervals.Interval
    sd_searches: float
    sd_repeats: float
    sd_search_alone: float
    repeats: float  # of a search, on average


def spread(values: Sequence[Sequence[float]]) -> Spread | None:
    """The spread of values [search][repeat]; None with fewer than 2 searches of 2 repeats.

    One-way random effects, variances by the method of moments (Searle et al. 1992, section 3.5).
    """
    values = [told for told in values if len(told) > 1]
    if len(values) < 2:
        return None
    each = [intervals.t_interval(told) for told in values]
    interval = intervals.t_interval([found.mean for found in each])
    freedom = sum(found.n - 1 for found in each)
    within = math.fsum((found.n - 1) * found.std**2 for found in each) / freedom
    noise = within * math.fsum(1 / found.n for found in each) / len(each)
    alone = math.sqrt(max(0.0, interval.std**2 - noise))
    mean_repeats = sum(found.n for found in each) / len(each)
    return Spread(interval, interval.std, math.sqrt(within), alone, mean_repeats)
