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

HEAD = ("loss", "category", "metric", "mean ± over searches", "sd over searches",
        "sd over repeats", "sd of the search alone", "searches", "repeats each")  # fmt: skip


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
    """Lines of a loss from (category, metric) -> values [search][repeat]."""
    found = [(key, variance.spread(told)) for key, told in values.items()]
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
    return "\n" + markup.markdown(HEAD, _body(told, names), caption(searches))


def latex(told: Sequence[Line], searches: int, names: Mapping[str, str]) -> str:
    """The spreads as a second LaTeX table."""
    return markup.latex(HEAD, _body(told, names), caption(searches))


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
