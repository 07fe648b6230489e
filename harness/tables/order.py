"""What the order of the losses on a dataset goes with: other columns, other data, year, cost.

Tables in, rank correlations out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.measure.multiple_comparisons import holm
from harness.measure.rank_correlation import RankCorrelation, rank_correlation
from harness.protocol import trials
from harness.schema import BASELINES, Record, Study
from harness.tables.metrics import Metric
from harness.tables.repeats import STAGE_OF
from harness.tables.table import Table

YEAR = "year of publication"
Values = Mapping[str, float]  # loss -> value


@dataclass(frozen=True)
class Line:
    """One thing that the order may go with, and how far it does.

    `correlation` is None where fewer than 5 losses have both values, or where one of the values is
    the same for all. `p_holm` is corrected over the lines of the order; None without a test.
    """

    what: str
    values: Values
    correlation: RankCorrelation | None
    p_holm: float | None = None


@dataclass(frozen=True)
class Order:
    """The losses of a dataset by their mean scores (shares of 1), and what that order goes with.

    `left_out` are losses of which repeats failed or are still to be run. `baselines` have no place
    in the order. `variants`: some losses are variants of one loss, so that they are no sample of
    losses, and no correlation has a test.
    """

    study: str
    dataset: str
    category: str
    metric: Metric
    scores: Values
    baselines: Values
    lines: tuple[Line, ...]
    left_out: tuple[str, ...]
    variants: bool = False
    searches: int = 1  # of each loss; only the first one's repeats are here

    def line(self, what: str) -> Line | None:
        """The line of one thing, if it is there."""
        return next((line for line in self.lines if line.what == what), None)

    @property
    def losses(self) -> list[str]:
        """The losses, the best first."""
        return sorted(self.scores, key=lambda loss: (-self.metric.sign * self.scores[loss], loss))


def means(table: Table, category: str, metric: Metric) -> tuple[dict[str, float], list[str]]:
    """Loss -> mean score, and the losses that are left out; baselines are in neither.

    Left out are losses of which repeats failed, and those with fewer repeats than others have.
    """
    cells = {
        row.loss: row.cells[category, metric.name]
        for row in table.rows
        if row.loss not in BASELINES and row.cells[category, metric.name].scores
    }
    most = max((len(cell.scores) for cell in cells.values()), default=0)
    whole = {
        loss: cell.mean
        for loss, cell in cells.items()
        if not cell.failed and len(cell.scores) == most
    }
    return whole, sorted(cells.keys() - whole.keys())


def costs(
    study: Study, records: Mapping[str, Sequence[Record]], category: str
) -> dict[str, dict[str, float]]:
    """Epochs and seconds of a category's runs by loss, mean over the runs that did not fail.

    An ensemble's runs are those of its folds.
    """
    stage = "repeat" if category == "ensemble" else STAGE_OF[category]
    epochs, seconds = dict[str, float](), dict[str, float]()
    for loss, of_loss in records.items():
        winner = trials.winner_of(study, loss, of_loss)
        runs = [
            record
            for record in of_loss
            if record.stage == stage and record.trial == winner and not record.search_repeat
            if record.failure is None and record.epochs_run is not None
        ]
        if runs and loss not in BASELINES:
            epochs[loss] = sum(sum(run.epochs_run or ()) for run in runs) / len(runs)
            seconds[loss] = sum(run.seconds for run in runs) / len(runs)
    return {"epochs of a run": epochs, "seconds of a run": seconds}


def order(
    table: Table,
    category: str,
    metric: Metric,
    *,
    beside: Mapping[str, Values],
) -> Order:
    """The order of a table's losses, and its correlation with every other column and with `beside`.

    beside: what -> a value by loss, in addition to the table's other categories and metrics and to
    the number of searched dimensions. Of a metric of which lower values are better, the order is
    that of minus its values, so that a positive tau always says: the better, the more.
    """
    scores, left_out = means(table, category, metric)
    others: dict[str, Values] = {}
    for other in table.categories:
        if other != category:
            others[f"{other} {metric.title}"] = _signed(means(table, other, metric)[0], metric)
    for column in table.metrics:
        if column.name != metric.name and column.better != "neither":
            values = _signed(means(table, category, column)[0], column)
            others[f"{category} {column.title}"] = values
    others["searched dimensions"] = {row.loss: float(len(row.searched)) for row in table.rows}
    others |= beside
    ordered = _signed(scores, metric)
    found = {what: _correlation(ordered, values) for what, values in others.items()}
    bases = {table.study.base_of(loss) for loss in scores}
    variants = len(bases) < len(scores)
    adjusted = iter(holm([one.p_value for one in found.values() if one]))
    lines = [
        Line(what, others[what], one, next(adjusted) if one and not variants else None)
        for what, one in found.items()
    ]
    baselines = {
        row.loss: row.cells[category, metric.name].mean
        for row in table.rows
        if row.loss in BASELINES and row.cells[category, metric.name].scores
    }
    return Order(
        study=table.study.name,
        dataset=table.dataset,
        category=category,
        metric=metric,
        scores=scores,
        baselines=baselines,
        lines=tuple(lines),
        left_out=tuple(left_out),
        variants=variants,
        searches=table.study.search_repeats,
    )


def _signed(values: Values, metric: Metric) -> dict[str, float]:
    return {loss: metric.sign * value for loss, value in values.items()}


def _correlation(scores: Values, values: Values) -> RankCorrelation | None:
    common = sorted(scores.keys() & values.keys())
    return rank_correlation([scores[loss] for loss in common], [values[loss] for loss in common])
