"""Records to the table of a dataset: rows of cells, ranked and grouped. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.measure import intervals
from harness.protocol import plan, trials
from harness.schema import UNTRAINED, Record, Study
from harness.tables import search_spread

CATEGORIES = ("complete", "ensemble", "aggregate")
METRICS = {"map_at_r": "MAP@R", "r_precision": "RP", "precision_at_1": "P@1"}
ALPHA = 0.05
Values = Mapping[tuple[str, str], Mapping[int, float]]  # (category, metric) -> repeat -> score


@dataclass(frozen=True)
class Cell:
    """One score of one loss: values per repeat (as shares of 1), interval, and where it stands."""

    values: Mapping[int, float]  # repeat -> score
    interval: intervals.Interval | None
    best: bool = False
    tied_with_best: bool = False
    group: str = ""  # cells of a column that share a letter are not separable

    @property
    def mean(self) -> float:
        """Of the values, which there must be."""
        return math.fsum(self.values.values()) / len(self.values)


@dataclass(frozen=True)
class Row:
    """One loss: its cells by (category, metric), how far its study is, what failed."""

    loss: str
    cells: Mapping[tuple[str, str], Cell]
    progress: plan.Progress
    provenance: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Table:
    """The comparison of losses on one dataset under one study."""

    study: Study
    dataset: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    searches: tuple[search_spread.Line, ...] = ()  # where the whole search was repeated


def table(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Iterable[str] = ()
) -> Table:
    """The table of a study on a dataset from each loss's records.

    Rows fall by MAP@R of the first category that has it; the untrained trunk comes last.
    """
    values = {
        name: [
            values_of(study, name, own, search_repeat=number)
            for number, own in enumerate(trials.by_search(study, records[name]))
        ]
        for name in records
    }
    rows = [_row(study, name, records[name], values[name][0]) for name in records]
    rows.sort(key=lambda row: (row.loss == UNTRAINED, -_standing(row), row.loss))
    over: list[search_spread.Line] = []
    if study.search_repeats > 1:
        for loss in (row.loss for row in rows if row.loss != UNTRAINED):
            each = values[loss]
            told = {key: [list(one[key].values()) for one in each] for key in each[0]}
            over += search_spread.lines(loss, told)
    return Table(study, dataset, tuple(_marked(rows)), tuple(notes), tuple(over))


def values_of(
    study: Study,
    loss: str,
    records: Sequence[Record],
    metrics: Iterable[str] = METRICS,
    search_repeat: int = 0,
) -> dict[tuple[str, str], dict[int, float]]:
    """Scores per repeat, (category, metric) -> repeat -> value, of the best trial's runs alone.

    Aggregate is the mean over the folds of a repeat; a repeat with a failed or missing run has no
    value. The search's own runs are of no category, and neither is anything tuned on test classes.
    """
    metrics = tuple(metrics)
    winner = plan.winner_of(study, loss, records, search_repeat=search_repeat)
    told: dict[tuple[str, str], dict[int, float]] = {
        (category, metric): {} for category in CATEGORIES for metric in metrics
    }
    if winner is None:
        return told
    folds: dict[int, list[Record]] = {}
    for record in records:
        if record.trial != winner or record.failure is not None or record.repeat is None:
            continue
        if record.repeat >= study.repeats or record.search_repeat != search_repeat:
            continue
        if record.stage == "repeat":
            folds.setdefault(record.repeat, []).append(record)
        elif record.stage in ("ensemble", "complete"):
            for metric in metrics:
                told[record.stage, metric][record.repeat] = record.scores[metric]
    for repeat, runs in folds.items():
        if len(runs) == study.folds:
            for metric in metrics:
                mean = math.fsum(run.scores[metric] for run in runs) / len(runs)
                told["aggregate", metric][repeat] = mean
    return told


def _row(study: Study, loss: str, records: Sequence[Record], told: Values) -> Row:
    cells = {
        key: Cell(values, intervals.t_interval(list(values.values())) if len(values) > 1 else None)
        for key, values in told.items()
    }
    shared = {id(record.provenance): record.provenance for record in records}
    unlike = [made for made in shared.values() if made]  # so that each is put into words once
    seen = {
        "commits": {commit_of(made) for made in unlike},
        "versions": {", ".join(map(" ".join, made["versions"].items())) for made in unlike},
        "devices": {made["device"] for made in unlike},
    }
    return Row(
        loss=loss,
        cells=cells,
        progress=plan.progress(study, loss, records),
        provenance={name: frozenset(values) for name, values in seen.items()},
    )


def commit_of(provenance: Mapping[str, Any]) -> str:
    """The commit that made a record, and whether its tree was changed."""
    return f"{provenance['commit'][:10]}{'+changes' if provenance['dirty'] else ''}"


def _marked(rows: Sequence[Row]) -> list[Row]:
    """The rows with each column's best marked, and what is not separable from it."""
    cells = {row.loss: dict(row.cells) for row in rows}
    for key in ((category, metric) for category in CATEGORIES for metric in METRICS):
        measured = {
            row.loss: row.cells[key]
            for row in rows
            if row.loss != UNTRAINED and row.cells[key].interval is not None
        }
        if not measured:
            continue
        best = max(measured, key=lambda loss: measured[loss].mean)
        p_values = intervals.paired_p_values({loss: cell.values for loss, cell in measured.items()})
        others = [loss for loss in measured if loss != best]
        adjusted = intervals.holm(
            [p_values[(best, x) if (best, x) in p_values else (x, best)] for x in others]
        )
        tied = {loss for loss, p in zip(others, adjusted, strict=True) if p >= ALPHA}
        letters = _letters(measured, p_values)
        for loss, cell in measured.items():
            marks = (loss == best, loss in tied, letters[loss])
            cells[loss][key] = Cell(cell.values, cell.interval, *marks)
    return [Row(row.loss, cells[row.loss], row.progress, row.provenance) for row in rows]


def _letters(
    measured: Mapping[str, Cell], p_values: Mapping[tuple[str, str], float]
) -> dict[str, str]:
    """The column's compact letter display; no letters for one loss or for more groups than letters.

    The p-values of all pairs are Holm-corrected over the column.
    """
    none = dict.fromkeys(measured, "")
    if len(measured) < 2:
        return none
    adjusted = dict(zip(p_values, intervals.holm(list(p_values.values())), strict=True))
    means = {loss: cell.mean for loss, cell in measured.items()}
    try:
        return intervals.tie_groups(means, adjusted, ALPHA)
    except ValueError:  # the caption then says that there are none
        return none


def _standing(row: Row) -> float:
    for category in CATEGORIES:
        cell = row.cells[category, "map_at_r"]
        if cell.values:
            return cell.mean
    return -1.0
