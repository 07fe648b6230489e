"""Records to the table of a dataset: rows of cells, ranked and grouped. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from harness.measure import intervals
from harness.measure.separation import separation
from harness.protocol import plan, trials
from harness.protocol.search import searched_params
from harness.schema import BASELINES, Record, Study
from harness.tables import capped, search_spread
from harness.tables import metrics as known_metrics
from harness.tables.capped import Counts
from harness.tables.failed import failed_repeats
from harness.tables.metrics import Metric
from harness.tables.origins import Origins, origins
from harness.tables.repeats import CATEGORIES, STAGE_OF, repeat_scores, without

METRICS = known_metrics.TITLES  # those of every table
MOST_LETTERS = 8  # with more groups in a column, letters are unreadable: ranks stand for them
Scores = Mapping[tuple[str, str], Mapping[int, float]]  # (category, metric) -> repeat -> score


@dataclass(frozen=True)
class Cell:
    """One metric of one loss: a value per repeat, their interval, where it stands.

    Scores are shares of 1. `failed` repeats have no score because a run of theirs failed. The
    others' mean is then one of survivors: it is in no comparison, and so neither best, nor tied,
    nor in a group. Cells of a column that share a letter of `group` are not separable; those that
    share one with the best are `tied_with_best`, which `untested` marks where it is for want of a
    test. `ranks` (first, last) are those that the tests leave open. All marks come from the same
    tests (measure/separation.py). A metric of which neither higher nor lower values are better has
    no marks.
    """

    scores: Mapping[int, float]  # repeat -> score
    interval: intervals.Interval | None
    failed: int = 0
    best: bool = False
    tied_with_best: bool = False
    untested: bool = False
    group: str = ""
    ranks: tuple[int, int] | None = None

    @property
    def mean(self) -> float:
        """Mean score over the repeats, of which there must be at least one."""
        return math.fsum(self.scores.values()) / len(self.scores)


@dataclass(frozen=True)
class Row:
    """One loss: its cells by (category, metric), how far its study is, what made its records."""

    loss: str
    cells: Mapping[tuple[str, str], Cell]
    progress: plan.Progress
    origins: Origins
    without: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # as repeats.without
    searched: tuple[str, ...] = ()  # what the search varied, learning rates included, as recorded


@dataclass(frozen=True)
class Table:
    """The comparison of losses on one dataset under one study."""

    study: Study
    dataset: str
    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    notes: tuple[str, ...]
    search_spreads: tuple[search_spread.Line, ...] = ()  # where the whole search was repeated
    capped: Counts = field(default_factory=dict)  # of the first search
    capped_in_all: Counts = field(default_factory=dict)  # of every repeat of the search
    untested: tuple[tuple[str, str], ...] = ()  # pairs of losses without a test in some column

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that the study's stages give, or all where none of them does."""
        given = tuple(c for c in CATEGORIES if STAGE_OF[c] in self.study.stages)
        return given or CATEGORIES

    @property
    def lettered(self) -> bool:
        """Whether letters show the groups of every column: there are some, and not too many."""
        keys = product(CATEGORIES, (metric.name for metric in self.metrics))
        columns = [
            [row.cells[key] for row in self.rows if row.cells[key].ranks is not None]
            for key in keys
        ]
        return all(
            all(cell.group for cell in column)
            and len(set().union(*(cell.group for cell in column))) <= MOST_LETTERS
            for column in columns
            if len(column) > 1
        )


def table(
    study: Study,
    dataset: str,
    records: Mapping[str, Sequence[Record]],
    notes: Iterable[str] = (),
    *,
    metrics: Iterable[str] | None = None,
) -> Table:
    """The table of a study on a dataset from each loss's records; `metrics` (METRICS) its columns.

    Rows go by the first metric, in the first category that has it, the best on top. Means of
    survivors come after the others, the baselines last.
    """
    columns = known_metrics.metrics(metrics)
    names = [metric.name for metric in columns]
    by_search: dict[str, list[dict[tuple[str, str], dict[int, float]]]] = {
        loss: [
            repeat_scores(study, loss, of_search, metrics=names, search_repeat=number)
            for number, of_search in enumerate(trials.records_by_search(study, records[loss]))
        ]
        for loss in records
    }
    rows = [_row(study.for_loss(loss), loss, records[loss], by_search[loss][0]) for loss in records]
    rows = [
        replace(row, without=without(study, row.loss, records[row.loss], columns)) for row in rows
    ]
    rows.sort(key=lambda row: (row.loss in BASELINES, *_standing(row, columns[0]), row.loss))
    rows, untested = _marked(rows, columns)
    spreads: list[search_spread.Line] = []
    if study.search_repeats > 1:
        for loss in (row.loss for row in rows if row.loss not in BASELINES):
            searches = by_search[loss]
            values = {
                key: [list(scores[key].values()) for scores in searches] for key in searches[0]
            }
            failed = failed_repeats(study, loss, records[loss])
            spreads += search_spread.lines(
                loss,
                values,
                {key: failed[key[0]] for key in values},
                searches=study.search_repeats,
            )
    return Table(
        study=study,
        dataset=dataset,
        rows=tuple(rows),
        metrics=columns,
        notes=tuple(notes),
        search_spreads=tuple(spreads),
        capped=capped.counts(study, records),
        capped_in_all=capped.counts(study, records, searches=None) if spreads else {},
        untested=untested,
    )


def _row(study: Study, loss: str, records: Sequence[Record], scores: Scores) -> Row:
    failed = failed_repeats(study, loss, records, searches=1)
    cells = {}
    for key, by_repeat in scores.items():
        values = list(by_repeat.values())
        interval = intervals.t_interval(values) if len(values) > 1 else None
        cells[key] = Cell(by_repeat, interval, failed=failed[key[0]])
    progress = plan.progress(study, loss, records)
    return Row(
        loss=loss,
        cells=cells,
        progress=progress,
        origins=origins(records),
        searched=_searched(study, loss, records),
    )


def _searched(study: Study, loss: str, records: Sequence[Record]) -> tuple[str, ...]:
    """The params that the latest trial searched; () before the first one."""
    trials_in_order = (record for record in reversed(records) if record.stage == "search")
    latest = next(trials_in_order, None)
    return tuple(searched_params(study, loss, latest.params)) if latest is not None else ()


def _marked(
    rows: Sequence[Row], metrics: Sequence[Metric]
) -> tuple[list[Row], tuple[tuple[str, str], ...]]:
    """The rows with every column's marks, and the pairs of losses without a test in some column."""
    cells = {row.loss: dict(row.cells) for row in rows}
    untested: dict[tuple[str, str], None] = {}
    for category, metric in product(CATEGORIES, metrics):
        if metric.better == "neither":
            continue
        key = category, metric.name
        column = {
            row.loss: {n: metric.sign * value for n, value in row.cells[key].scores.items()}
            for row in rows
            if compared(row, row.cells[key])
        }
        tests = separation(column)
        untested |= dict.fromkeys((min(pair), max(pair)) for pair in tests.untested)
        for loss in column:
            cells[loss][key] = replace(
                cells[loss][key],
                best=loss in tests.leaders,
                tied_with_best=loss in tests.tied_with_best,
                untested=loss in tests.untested_with_best,
                group=tests.letters.get(loss, "") if len(column) > 1 else "",
                ranks=tests.ranks[loss],
            )
    return [replace(row, cells=cells[row.loss]) for row in rows], tuple(untested)


def compared(row: Row, cell: Cell) -> bool:
    """Whether a cell takes part in the comparison of its column: no survivors, no single repeat."""
    return row.loss not in BASELINES and cell.interval is not None and not cell.failed


def _standing(row: Row, metric: Metric) -> tuple[bool, float]:
    """What rows are sorted by: survivors last, then the first mean of the metric that there is."""
    for category in CATEGORIES:
        cell = row.cells[category, metric.name]
        if cell.scores:
            return bool(cell.failed), -metric.sign * cell.mean
    return True, math.inf
