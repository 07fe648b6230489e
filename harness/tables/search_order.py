"""How often other searches would have put two losses in another order.

A table ranks losses by one search of each, and its tests hold given what these searches chose. Of a
study whose whole search was repeated, this counts in how many other pairs of searches, one of each
loss, the order of the two means is another one. A table in, counts out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from harness.measure import variance
from harness.measure.multiple_comparisons import differs
from harness.measure.separation import separation
from harness.tables import markup
from harness.tables.metrics import Metric
from harness.tables.table import Table, compared

NAMED = 4  # a line names at most this many pairs of losses
HEAD = [
    "category",
    "metric",
    "pairs of losses",
    "in another order",
    "told apart",
    "of these in another order",
    "least difference",
    "most often the other way round",
]


@dataclass(frozen=True)
class Pair:
    """Two losses, the one with the better mean in the first searches first.

    Of `compared` other pairs of searches `changed` have the other order; equal means are no change.
    `told_apart`: the tests of the table, which are of the first searches, tell the two apart.
    """

    better: str
    worse: str
    told_apart: bool
    changed: int
    compared: int


@dataclass(frozen=True)
class Line:
    """The pairs of losses in a category and metric, the most often changed first.

    `least_difference`: what two of these losses, searched once each, must differ by (as a share of
    1) to be beyond the noise of their searches, by their pooled spread of `freedom` degrees.
    """

    category: str
    metric: Metric
    pairs: tuple[Pair, ...]
    least_difference: float
    freedom: int


def lines(table: Table) -> tuple[Line, ...]:
    """A line for each column with two losses of which every search has all of its repeats.

    Two whose first means are equal have no order there, and are no pair.
    """
    runs = table.study.search_repeats * table.study.repeats
    whole = [line for line in table.search_spreads if line.runs == runs]
    means = {(line.category, line.metric, line.loss): line.means for line in whole}
    result = []
    for category, metric in product(table.categories, table.metrics):
        if metric.better == "neither":
            continue
        by_search = {
            row.loss: [metric.sign * mean for mean in means[category, metric.name, row.loss]]
            for row in table.rows
            if (category, metric.name, row.loss) in means
        }
        tests = separation(
            {
                row.loss: {
                    repeat: metric.sign * value
                    for repeat, value in row.cells[category, metric.name].scores.items()
                }
                for row in table.rows
                if compared(row, row.cells[category, metric.name])
            }
        )
        pairs = []
        for a, b in combinations(by_search, 2):
            if by_search[a][0] == by_search[b][0]:
                continue
            better, worse = (a, b) if by_search[a][0] > by_search[b][0] else (b, a)
            others = list(product(by_search[better], by_search[worse]))[1:]
            pairs.append(
                Pair(
                    better,
                    worse,
                    told_apart=differs(tests.p_value(a, b), tests.alpha),
                    changed=sum(x < y for x, y in others),
                    compared=len(others),
                )
            )
        if pairs:
            pairs.sort(key=lambda pair: (-pair.changed, pair.better, pair.worse))
            spreads = [
                line.spread
                for line in whole
                if (line.category, line.metric) == (category, metric.name)
            ]
            least, freedom = variance.least_difference(spreads)
            result.append(Line(category, metric, tuple(pairs), least, freedom))
    return tuple(result)


def caption(searches: int) -> str:
    """What the counts are of."""
    return (
        f"Two losses, one search of each: {searches**2} pairs of searches, of which the first "
        "table shows one. In another order: in at least one of the others the loss with the worse "
        "mean there has the better one. Told apart: by the tests of the first table, which hold "
        f"given the two configurations that its searches chose. At most {NAMED} pairs of losses "
        "are named, with the number of pairs of searches in which their order is another one; "
        "--json has all. Losses without every repeat of every search are left out. Least "
        "difference: what two losses, searched once each, must differ by to be beyond the noise "
        "of search and training (95 %, t, in brackets the degrees of freedom), by the sd over "
        "searches of these losses, pooled as if all were equally noisy."
    )


def markdown(found: Sequence[Line], searches: int) -> str:
    """The counts as a third GitHub table."""
    return "\n" + markup.markdown(HEAD, _body(found), caption(searches))


def latex(found: Sequence[Line], searches: int) -> str:
    """The counts as a third LaTeX table."""
    return markup.latex(HEAD, _body(found), caption(searches))


def _body(found: Sequence[Line]) -> list[list[str]]:
    body = []
    for line in found:
        changed = [pair for pair in line.pairs if pair.changed]
        apart = [pair for pair in line.pairs if pair.told_apart]
        named = [
            f"{p.worse} before {p.better} in {p.changed} of {p.compared}" for p in changed[:NAMED]
        ]
        more = [f"and {len(changed) - NAMED} more"] if len(changed) > NAMED else []
        body.append(
            [
                line.category,
                line.metric.title,
                str(len(line.pairs)),
                str(len(changed)),
                str(len(apart)),
                str(sum(pair.changed > 0 for pair in apart)),
                f"{line.metric.scale * line.least_difference:{line.metric.spec}} ({line.freedom})",
                "; ".join([*named, *more]) or "none",
            ]
        )
    return body


def as_data(found: Sequence[Line]) -> list[dict[str, Any]]:
    """A line for each pair of losses, for machines."""
    return [
        {
            "category": line.category,
            "metric": line.metric.name,
            **vars(pair),
            "least_difference": line.least_difference,
        }
        for line in found
        for pair in line.pairs
    ]
