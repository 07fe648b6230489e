"""The whole search done several times: how far its results spread, beside the repeats' spread.

The repeats within one search retrain one configuration; another search with other seeds chooses
another one. Pure functions over test scores as shares of 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.measure import variance
from harness.tables import capped, markup, mean_text
from harness.tables.metrics import Metric

HEAD = [
    "loss",
    "category",
    "metric",
    "mean ± over searches",
    "sd over searches",
    "sd over repeats",
    "sd of the search alone",
    "searches",
    "repeats each",
]


@dataclass(frozen=True)
class Line:
    """A spread and what it is of.

    `means` are the searches' means over their repeats, of `searches` that the study has: the others
    failed whole, or are not finished. `failed` repeats of all searches together have no score
    because a run of theirs failed, and `runs` have one.
    """

    loss: str
    category: str
    metric: str
    spread: variance.Spread
    means: tuple[float, ...]
    runs: int
    searches: int
    failed: int = 0


def lines(
    loss: str,
    values: Mapping[tuple[str, str], Sequence[Sequence[float]]],
    failed: Mapping[tuple[str, str], int],
    *,
    searches: int,
) -> tuple[Line, ...]:
    """The lines of a loss from (category, metric) -> values [search][repeat], and failed repeats.

    Nothing of a category and metric with fewer than 2 searches of 2 repeats.
    """
    result = []
    for (category, metric), by_search in values.items():
        spread = variance.spread(by_search)
        if spread is None:
            continue
        used = [repeats for repeats in by_search if len(repeats) > 1]
        result.append(
            Line(
                loss=loss,
                category=category,
                metric=metric,
                spread=spread,
                means=tuple(math.fsum(repeats) / len(repeats) for repeats in used),
                runs=sum(map(len, by_search)),
                searches=searches,
                failed=failed[category, metric],
            )
        )
    return tuple(result)


def first_alone(searches: int) -> str:
    """What must be said where only the first of several searches is shown."""
    return (
        f"All of it is of the first of {searches} searches alone; `table` shows what the others "
        "change."
    )


def caption(searches: int, counted: capped.Counts) -> str:
    """What the spreads are of, of how many, and given what; `counted` are the capped runs."""
    text = (
        f"Over searches: the whole search done {searches} times with other seeds, with repeats "
        "of what it chose; scores in %. ±: half-width of the 95 % t interval of the mean over "
        "searches (of each one's mean over its repeats), given this test set: it holds the noise "
        f"of the search and of training; of fewer than {mean_text.FEW} searches each one's mean "
        "stands in brackets instead. searches, 2 of 3: the others failed or are not finished. "
        "repeats each, 8 of 9: over all searches, the others failed. "
        "sd over searches: of those means. sd over repeats: of the repeats within a search "
        "(pooled), training noise given a configuration. sd of the search alone: "
        "the first without the repeats' share in it. The table above is of the first search alone."
    )
    return "\n".join([text, *capped.line(counted)])


def markdown(spreads: Sequence[Line], words: str, metrics: Sequence[Metric]) -> str:
    """The spreads as a second GitHub table with the caption `words`."""
    return "\n" + markup.markdown(HEAD, _body(spreads, metrics), words)


def latex(spreads: Sequence[Line], words: str, metrics: Sequence[Metric]) -> str:
    """The spreads as a second LaTeX table with the caption `words`."""
    return markup.latex(HEAD, _body(spreads, metrics), words)


def _body(spreads: Sequence[Line], metrics: Sequence[Metric]) -> list[list[str]]:
    by_name = {metric.name: metric for metric in metrics}
    body = []
    for line in spreads:
        spread, interval = line.spread, line.spread.interval
        metric = by_name[line.metric]
        sds = (spread.sd_searches, spread.sd_repeats, spread.sd_search_alone)
        body.append(
            [
                line.loss,
                line.category,
                metric.title,
                mean_text.text(line.means, spec=metric.spec, scale=metric.scale),
                *(format(metric.scale * sd, metric.spec) for sd in sds),
                str(interval.n) + (f" of {line.searches}" if interval.n < line.searches else ""),
                f"{spread.repeats:g}"
                + (f" ({mean_text.survivors(line.runs, line.failed)})" if line.failed else ""),
            ]
        )
    return body


def as_data(spreads: Sequence[Line]) -> list[dict[str, Any]]:
    """The spreads for machines, as shares of 1."""
    return [
        {
            "loss": line.loss,
            "category": line.category,
            "metric": line.metric,
            "mean": line.spread.interval.mean,
            "ci95_over_searches": line.spread.interval.half_width,
            "searches": line.spread.interval.n,
            "searches_planned": line.searches,
            "means": line.means,
            "failed": line.failed,
            **{name: value for name, value in asdict(line.spread).items() if name != "interval"},
        }
        for line in spreads
    ]
