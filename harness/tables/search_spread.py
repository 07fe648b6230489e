"""The whole search done several times: how far its results spread, beside the repeats' spread.

The repeats within one search retrain one configuration; another search with other seeds chooses
another one. Pure functions over test scores as shares of 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.measure import variance
from harness.tables import markup

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
    """A spread and what it is of."""

    loss: str
    category: str
    metric: str
    spread: variance.Spread


def lines(
    loss: str, values: Mapping[tuple[str, str], Sequence[Sequence[float]]]
) -> tuple[Line, ...]:
    """The lines of a loss from (category, metric) -> values [search][repeat].

    Nothing of a category and metric with fewer than 2 searches of 2 repeats.
    """
    spreads = {key: variance.spread(by_search) for key, by_search in values.items()}
    return tuple(
        Line(loss=loss, category=category, metric=metric, spread=spread)
        for (category, metric), spread in spreads.items()
        if spread is not None
    )


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


def markdown(spreads: Sequence[Line], searches: int, names: Mapping[str, str]) -> str:
    """The spreads as a second GitHub table; `names` are the metrics' printed names."""
    return "\n" + markup.markdown(HEAD, _body(spreads, names), caption(searches))


def latex(spreads: Sequence[Line], searches: int, names: Mapping[str, str]) -> str:
    """The spreads as a second LaTeX table; `names` are the metrics' printed names."""
    return markup.latex(HEAD, _body(spreads, names), caption(searches))


def _body(spreads: Sequence[Line], names: Mapping[str, str]) -> list[list[str]]:
    body = []
    for line in spreads:
        spread, interval = line.spread, line.spread.interval
        body.append(
            [
                line.loss,
                line.category,
                names[line.metric],
                f"{100 * interval.mean:.2f} ± {100 * interval.half_width:.2f}",
                f"{100 * spread.sd_searches:.2f}",
                f"{100 * spread.sd_repeats:.2f}",
                f"{100 * spread.sd_search_alone:.2f}",
                str(interval.n),
                f"{spread.repeats:g}",
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
            **{name: value for name, value in asdict(line.spread).items() if name != "interval"},
        }
        for line in spreads
    ]
