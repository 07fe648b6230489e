"""The spread of a repeated search's results beside the spread of the repeats within one search.

The repeats within a search retrain one configuration. Another search, with other seeds, chooses
another configuration. Pure functions over test scores as shares of 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.measure import intervals


@dataclass(frozen=True)
class Spread:
    """The spread of one score of one loss over searches with repeats; sds have ddof 1.

    `interval` is that of the mean over the searches' means. `sd_searches` is the sd of these means.
    `sd_repeats` is the sd of the repeats within a search, pooled. `sd_search_alone` is the former
    without the repeats' share in it, and 0 where that share is the larger.
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
    searches = [intervals.t_interval(repeats) for repeats in values if len(repeats) > 1]
    if len(searches) < 2:
        return None
    interval = intervals.t_interval([search.mean for search in searches])
    freedom = sum(search.n - 1 for search in searches)
    within = math.fsum((search.n - 1) * search.std**2 for search in searches) / freedom
    noise = within * math.fsum(1 / search.n for search in searches) / len(searches)
    return Spread(
        interval=interval,
        sd_searches=interval.std,
        sd_repeats=math.sqrt(within),
        sd_search_alone=math.sqrt(max(0.0, interval.std**2 - noise)),
        repeats=sum(search.n for search in searches) / len(searches),
    )


def least_difference(spreads: Sequence[Spread], level: float = 0.95) -> tuple[float, int]:
    """By how much two losses, searched once each, must differ to be beyond the noise of a search.

    t sqrt(2) s with s the sd of the searches' means, pooled over the losses' spreads, as if all
    losses were equally noisy; with its degrees of freedom. Training noise is in it too. At least
    one spread.
    """
    freedom = sum(one.interval.n - 1 for one in spreads)
    pooled = math.fsum((one.interval.n - 1) * one.sd_searches**2 for one in spreads) / freedom
    return intervals.t_quantile(level, freedom) * math.sqrt(2 * pooled), freedom
