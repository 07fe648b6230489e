"""Records to the table of a dataset: rows of cells, ranked and grouped. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from harness.measure import intervals
from harness.measure.multiple_comparisons import holm, tie_groups
from harness.protocol import plan, trials
from harness.schema import UNTRAINED, Record, Study
from harness.tables import search_spread

CATEGORIES = ("complete", "ensemble", "aggregate")
METRICS = {"map_at_r": "MAP@R", "r_precision": "RP", "precision_at_1": "P@1"}
ALPHA = 0.05
Scores = Mapping[tuple[str, str], Mapping[int, float]]  # (category, metric) -> repeat -> score


@dataclass(frozen=True)
class Cell:
    """One metric of one loss: a score per repeat (shares of 1), their interval, where it stands."""

    scores: Mapping[int, float]  # repeat -> score
    interval: intervals.Interval | None
    best: bool = False
    tied_with_best: bool = False
    group: str = ""  # cells of a column that share a letter are not separable

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
    provenance: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Table:
    """The comparison of losses on one dataset under one study."""

    study: Study
    dataset: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    search_spreads: tuple[search_spread.Line, ...] = ()  # where the whole search was repeated


def table(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Iterable[str] = ()
) -> Table:
    """The table of a study on a dataset from each loss's records.

    Rows fall by MAP@R of the first category that has it; the untrained trunk comes last.
    """
    by_search: dict[str, list[dict[tuple[str, str], dict[int, float]]]] = {
        loss: [
            repeat_scores(study, loss, of_search, search_repeat=number)
            for number, of_search in enumerate(trials.records_by_search(study, records[loss]))
        ]
        for loss in records
    }
    rows = [_row(study, loss, records[loss], by_search[loss][0]) for loss in records]
    rows.sort(key=lambda row: (row.loss == UNTRAINED, -_map_at_r(row), row.loss))
    spreads: list[search_spread.Line] = []
    if study.search_repeats > 1:
        for loss in (row.loss for row in rows if row.loss != UNTRAINED):
            searches = by_search[loss]
            values = {
                key: [list(scores[key].values()) for scores in searches] for key in searches[0]
            }
            spreads += search_spread.lines(loss, values)
    return Table(
        study=study,
        dataset=dataset,
        rows=tuple(_marked(rows)),
        notes=tuple(notes),
        search_spreads=tuple(spreads),
    )


def repeat_scores(
    study: Study,
    loss: str,
    records: Sequence[Record],
    *,
    metrics: Iterable[str] = METRICS,
    search_repeat: int = 0,
) -> dict[tuple[str, str], dict[int, float]]:
    """(category, metric) -> repeat -> test score, of the best trial's runs alone.

    Aggregate is the mean over the folds of a repeat; a repeat with a failed or missing run has no
    score. The search's own runs are of no category, and neither is anything tuned on test classes.
    """
    metrics = tuple(metrics)
    winner = trials.winner_of(study, loss, records, search_repeat=search_repeat)
    scores: dict[tuple[str, str], dict[int, float]] = {
        (category, metric): {} for category in CATEGORIES for metric in metrics
    }
    if winner is None:
        return scores
    fold_runs: dict[int, list[Record]] = {}
    for record in records:
        if record.trial != winner or record.failure is not None or record.repeat is None:
            continue
        if record.repeat >= study.repeats or record.search_repeat != search_repeat:
            continue
        if record.stage == "repeat":
            fold_runs.setdefault(record.repeat, []).append(record)
        elif record.stage in ("ensemble", "complete"):
            for metric in metrics:
                scores[record.stage, metric][record.repeat] = record.scores[metric]
    for repeat, runs in fold_runs.items():
        if len(runs) == study.folds:
            for metric in metrics:
                mean = math.fsum(run.scores[metric] for run in runs) / len(runs)
                scores["aggregate", metric][repeat] = mean
    return scores


def _row(study: Study, loss: str, records: Sequence[Record], scores: Scores) -> Row:
    cells = {}
    for key, by_repeat in scores.items():
        values = list(by_repeat.values())
        interval = intervals.t_interval(values) if len(values) > 1 else None
        cells[key] = Cell(by_repeat, interval)
    # The records of a file share few provenance objects: each is put into words once.
    shared = {id(record.provenance): record.provenance for record in records}
    distinct = [provenance for provenance in shared.values() if provenance]
    provenance = {
        "commits": frozenset(commit_of(one) for one in distinct),
        "versions": frozenset(
            ", ".join(map(" ".join, one["versions"].items())) for one in distinct
        ),
        "devices": frozenset(one["device"] for one in distinct),
    }
    progress = plan.progress(study, loss, records)
    return Row(loss=loss, cells=cells, progress=progress, provenance=provenance)


def commit_of(provenance: Mapping[str, Any]) -> str:
    """The commit that made a record, and whether its tree was changed."""
    return f"{provenance['commit'][:10]}{'+changes' if provenance['dirty'] else ''}"


def _marked(rows: Sequence[Row]) -> list[Row]:
    """The rows with each column's best marked, what is not separable from it, and its groups."""
    cells = {row.loss: dict(row.cells) for row in rows}
    for key in product(CATEGORIES, METRICS):
        column = {
            row.loss: row.cells[key]
            for row in rows
            if row.loss != UNTRAINED and row.cells[key].interval is not None
        }
        for loss, cell in _marked_column(column).items():
            cells[loss][key] = cell
    return [replace(row, cells=cells[row.loss]) for row in rows]


def _marked_column(column: Mapping[str, Cell]) -> dict[str, Cell]:
    if not column:
        return {}
    best = max(column, key=lambda loss: column[loss].mean)
    p_values = intervals.paired_p_values({loss: cell.scores for loss, cell in column.items()})
    others = [loss for loss in column if loss != best]
    adjusted = holm(
        [p_values[(best, loss) if (best, loss) in p_values else (loss, best)] for loss in others]
    )
    tied = {loss for loss, p in zip(others, adjusted, strict=True) if p >= ALPHA}
    letters = _letters(column, p_values)
    return {
        loss: replace(cell, best=loss == best, tied_with_best=loss in tied, group=letters[loss])
        for loss, cell in column.items()
    }


def _letters(
    column: Mapping[str, Cell], p_values: Mapping[tuple[str, str], float]
) -> dict[str, str]:
    """The column's compact letter display; no letters for one loss or for more groups than letters.

    The p-values of all pairs are Holm-corrected over the column.
    """
    none = dict.fromkeys(column, "")
    if len(column) < 2:
        return none
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    means = {loss: cell.mean for loss, cell in column.items()}
    try:
        return tie_groups(means, adjusted, ALPHA)
    except ValueError:  # the caption then says that there are none
        return none


def _map_at_r(row: Row) -> float:
    """Mean MAP@R of the first category that has any; -1 before the first score."""
    for category in CATEGORIES:
        cell = row.cells[category, "map_at_r"]
        if cell.scores:
            return cell.mean
    return -1.0
