"""Losses two by two as data of a page: every pair of a category and metric, as `compare` has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.measure.multiple_comparisons import differs
from harness.report.sources import Source
from harness.schema import BASELINES
from harness.tables import pairs
from harness.tables.metrics import Metric

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Column:
    """Every pair of losses in a column of the table; one without a test is not told apart.

    survivors: losses of which some repeats failed -> how many have a score, how many failed.
    """

    category: str
    metric: Metric
    tested: pairs.Tested
    survivors: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @cached_property
    def compared(self) -> list[str]:
        """The losses of which there are pairs, the best mean first."""
        names = {name for pair in self.tested.paired for name in pair}
        return [loss for loss in self.tested.losses if loss in names]

    @cached_property
    def contenders(self) -> list[str]:
        """Those of `compared` of which no repeat failed, the best mean first: two or more, or none.

        Only they can be said to be better or worse.
        """
        names = {
            name
            for pair in self.tested.paired
            if not set(pair) & self.survivors.keys()
            for name in pair
        }
        return [loss for loss in self.tested.losses if loss in names]

    def is_clear(self, a: str, b: str) -> bool:
        """Whether the test tells two losses apart."""
        return differs(self.tested.tests.p_value(a, b))


@dataclass(frozen=True)
class Difference:
    """A loss against a baseline: texts of the difference, its half-width and its p, and a verdict.

    `verdict` is better, worse, or open where the test tells nothing apart. `left`, `width` and
    `dot` say where the interval and the difference stand on an axis, in % of its width.
    """

    loss: str
    mean: str
    half_width: str
    p: str
    verdict: str
    n: int
    left: float
    width: float
    dot: float


def columns(source: Source) -> list[Column]:
    """Every metric x category that has scores."""
    return [
        _column(source, category, metric)
        for metric in source.metrics
        for category in source.categories
    ]


def _column(source: Source, category: str, metric: Metric) -> Column:
    cells = {
        row.loss: row.cells[category, metric.name]
        for row in source.table.rows
        if row.loss not in BASELINES and row.cells[category, metric.name].scores
    }
    scores = {loss: cell.scores for loss, cell in cells.items()}
    survivors = {a: (len(cell.scores), cell.failed) for a, cell in cells.items() if cell.failed}
    return Column(category, metric, pairs.tested(scores, survivors, sign=metric.sign), survivors)


def as_data(column: Column) -> dict[str, Any]:
    """The pairs for the page's script: numbers of the losses, and texts as they are printed."""
    metric, names = column.metric, column.compared
    number = {loss: i for i, loss in enumerate(names)}
    better = 0 if metric.better == "neither" else metric.sign
    lines = []
    for (a, b), paired in column.tested.paired.items():
        p_value = column.tested.tests.p_value(a, b)
        half_width = paired.half_width
        lines.append(
            [
                number[a],
                number[b],
                format(metric.scale * paired.mean, metric.spec),
                "" if half_width is None else format(metric.scale * half_width, metric.spec),
                "" if p_value is None else f"{p_value:.2g}",
                better * int(differs(p_value)),
                paired.n,
            ]
        )
    return {
        "category": column.category,
        "metric": metric.title,
        "unit": "points" if metric.share else "",
        "losses": names,
        "pairs": lines,
    }


def against(data: dict[str, Any], baseline: str) -> list[Difference]:
    """Every other loss minus the baseline, from the data of a column."""
    names = data["losses"]
    base = names.index(baseline)
    digits = 2
    lines = []
    for a, b, mean, half_width, p, clear, n in data["pairs"]:
        if base not in (a, b):
            continue
        digits = len(mean.partition(".")[2])
        sign, other = (1, a) if base == b else (-1, b)
        lines.append((names[other], sign * float(mean), half_width, p, clear, n))
    reach = max((abs(m) + float(h or 0) for _, m, h, *_ in lines), default=0) or 1
    return [
        Difference(
            loss=loss,
            mean=_signed(mean, digits),
            half_width=half_width,
            p=p,
            verdict=verdict(clear * mean),
            n=n,
            left=round(50 + 50 * (mean - float(half_width or 0)) / reach, 2),
            width=round(100 * float(half_width or 0) / reach, 2),
            dot=round(50 + 50 * mean / reach, 2),
        )
        for loss, mean, half_width, p, clear, n in lines
    ]


def verdict(signed: float) -> str:
    """Better, worse or open, from a difference that counts only where a test tells apart."""
    return "better" if signed > 0 else "worse" if signed < 0 else "open"


def matrix(data: dict[str, Any]) -> list[list[tuple[str, str]]]:
    """Row minus column of all losses of a column: text and verdict, ("", "") without a pair."""
    size = len(data["losses"])
    cells = [[("", "") for _ in range(size)] for _ in range(size)]
    for a, b, mean, _, _, clear, _ in data["pairs"]:
        cells[a][b] = (_signed(float(mean), 1), verdict(clear * float(mean)))
        cells[b][a] = (_signed(-float(mean), 1), verdict(-clear * float(mean)))
    return cells


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", MINUS)
