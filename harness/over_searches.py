"""The whole search done several times: how far its results spread, beside the repeats' spread.

The repeats within one search retrain one configuration; another search with other seeds chooses
another one. Pure functions over test scores as shares of 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness import grids, stats

HEAD = ("loss", "category", "metric", "mean ± over searches", "sd over searches",
        "sd over repeats", "sd of the search alone", "searches", "repeats each")  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """One score of one loss over searches, each with its repeats; sds with ddof 1.

    `interval` is of the mean of the searches' means. `sd_searches` is the sd of those means,
    `sd_repeats` that of the repeats within a search (pooled), `sd_search_alone` what is left of the
    first when the repeats' share in it is taken off (0 where that is more than all).
    """

    interval: stats.Interval
    sd_searches: float
    sd_repeats: float
    sd_search_alone: float
    repeats: float  # of a search, on average


@dataclass(frozen=True)
class Line:
    """A spread and what it is of."""

    loss: str
    category: str
    metric: str
    spread: Spread


def spread(values: Sequence[Sequence[float]]) -> Spread | None:
    """The spread of values [search][repeat]; None with fewer than 2 searches of 2 repeats.

    One-way random effects, variances by the method of moments (Searle et al. 1992, section 3.5).
    """
    values = [told for told in values if len(told) > 1]
    if len(values) < 2:
        return None
    each = [stats.t_interval(told) for told in values]
    interval = stats.t_interval([found.mean for found in each])
    freedom = sum(found.n - 1 for found in each)
    within = math.fsum((found.n - 1) * found.std**2 for found in each) / freedom
    noise = within * math.fsum(1 / found.n for found in each) / len(each)
    alone = math.sqrt(max(0.0, interval.std**2 - noise))
    mean_repeats = sum(found.n for found in each) / len(each)
    return Spread(interval, interval.std, math.sqrt(within), alone, mean_repeats)


def lines(
    loss: str, values: Mapping[tuple[str, str], Sequence[Sequence[float]]]
) -> tuple[Line, ...]:
    """Lines of a loss from (category, metric) -> values [search][repeat]."""
    found = [(key, spread(told)) for key, told in values.items()]
    return tuple(Line(loss, *key, told) for key, told in found if told is not None)


def caption(searches: int) -> str:
    """What the spreads are of, of how many, and given what."""
    return (
        f"Over searches: the whole search done {searches} times with other seeds, with repeats "
        "of what it chose; in %. ±: half-width of the 95 % t interval of the mean over searches "
        "(of each one's mean over its repeats), given this test set: it holds the noise of the "
        "search and of training. sd over searches: of those means. sd over repeats: of the repeats "
        "within a search (pooled), training noise given a configuration. sd of the search alone: "
        "the first without the repeats' share in it. The table above is of the first search alone."
    )


def markdown(told: Sequence[Line], searches: int, names: Mapping[str, str]) -> str:
    """The spreads as a second GitHub table; `names` of metrics."""
    return "\n" + grids.markdown(HEAD, _body(told, names), caption(searches))


def latex(told: Sequence[Line], searches: int, names: Mapping[str, str]) -> str:
    """The spreads as a second LaTeX table."""
    return grids.latex(HEAD, _body(told, names), caption(searches))


def _body(told: Sequence[Line], names: Mapping[str, str]) -> list[list[str]]:
    body = []
    for line in told:
        found = line.spread
        sds = (found.sd_searches, found.sd_repeats, found.sd_search_alone)
        body.append(
            [
                *(line.loss, line.category, names[line.metric]),
                f"{100 * found.interval.mean:.2f} ± {100 * found.interval.half_width:.2f}",
                *(f"{100 * sd:.2f}" for sd in sds),
                *(str(found.interval.n), f"{found.repeats:g}"),
            ]
        )
    return body


def as_data(told: Sequence[Line]) -> list[dict[str, Any]]:
    """The spreads for machines, as shares of 1."""
    return [
        {"loss": line.loss, "category": line.category, "metric": line.metric}
        | {"mean": line.spread.interval.mean, "ci95_over_searches": line.spread.interval.half_width}
        | {"searches": line.spread.interval.n}
        | {name: v for name, v in asdict(line.spread).items() if name != "interval"}
        for line in told
    ]
