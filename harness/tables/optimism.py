"""Records of the study `standard` to its table: honest scores, test-tuned scores, the optimism.

Optimism is what choosing on the test classes is worth: test-tuned minus honest. This is the only
module that turns test-tuned records into numbers. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.measure import intervals
from harness.measure.multiple_comparisons import holm
from harness.protocol import plan, trials
from harness.schema import TEST_TUNED, UNTRAINED, Record, Stage, Study
from harness.tables import search_spread
from harness.tables.table import METRICS, commit_of

# The stages of the runs that are scored, by what chose their params and epochs.
HONEST: Stage = "complete"
TUNED: Stage = TEST_TUNED[1]


@dataclass(frozen=True)
class Cell:
    """One metric of one loss under both choices, repeat -> share of 1, and their difference.

    `optimism` is test-tuned minus honest over the repeats that both have (equal seeds), `p_holm`
    its p-value corrected over the losses of the column; None with fewer than 2 such repeats.
    """

    honest: Mapping[int, float]
    test_tuned: Mapping[int, float]
    optimism: intervals.Difference | None
    p_holm: float | None = None


@dataclass(frozen=True)
class Row:
    """One loss: its cells by metric, and what each choice fell on.

    `chosen` and `epochs` hold the trial and the mean epochs of the repeats by stage, None before
    there are any; `commits` made the records.
    """

    loss: str
    cells: Mapping[str, Cell]
    chosen: Mapping[Stage, int | None]
    epochs: Mapping[Stage, float | None]
    progress: plan.Progress
    commits: frozenset[str]

    def mean(self, stage: Stage, metric: str = "map_at_r") -> float:
        """Mean score over the repeats of a stage (HONEST or TUNED); -1 before the first."""
        cell = self.cells[metric]
        scores = cell.honest if stage == HONEST else cell.test_tuned
        return math.fsum(scores.values()) / len(scores) if scores else -1.0

    def same_runs(self, metric: str) -> bool:
        """Whether both choices trained the very same models, so that the optimism is exactly 0."""
        cell = self.cells[metric]
        shared = set(cell.honest) & set(cell.test_tuned)
        equal = all(cell.honest[repeat] == cell.test_tuned[repeat] for repeat in shared)
        return bool(shared) and equal and self.chosen[HONEST] == self.chosen[TUNED]


@dataclass(frozen=True)
class Table:
    """What tuning on the test classes is worth, loss by loss, on one dataset."""

    study: Study
    dataset: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    search_spreads: tuple[search_spread.Line, ...] = ()  # where the whole search was repeated


def table(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Iterable[str] = ()
) -> Table:
    """The table from each loss's records; rows fall by honest MAP@R, the untrained trunk last."""
    rows = _corrected([_row(study, loss, of_loss) for loss, of_loss in records.items()])
    rows.sort(key=lambda row: (row.loss == UNTRAINED, -row.mean(HONEST), row.loss))
    spreads: list[search_spread.Line] = []
    if study.search_repeats > 1:
        for loss, of_loss in records.items():
            if loss != UNTRAINED:
                spreads += search_spread.lines(loss, _values_by_search(study, loss, of_loss))
    return Table(
        study=study,
        dataset=dataset,
        rows=tuple(rows),
        notes=tuple(notes),
        search_spreads=tuple(spreads),
    )


def repeat_scores(
    study: Study,
    loss: str,
    records: Sequence[Record],
    *,
    stage: Stage,
    metric: str,
    search_repeat: int = 0,
) -> dict[int, float]:
    """Test scores per repeat of the runs of a stage (HONEST or TUNED) with what it chose."""
    winner = trials.winner_of(study, loss, records, stage=stage, search_repeat=search_repeat)
    return {
        record.repeat: record.scores[metric]
        for record in records
        if (record.stage, record.trial, record.search_repeat) == (stage, winner, search_repeat)
        and record.failure is None
        and record.repeat is not None
        and record.repeat < study.repeats
    }


def _values_by_search(
    study: Study, loss: str, records: Sequence[Record]
) -> dict[tuple[str, str], list[list[float]]]:
    """(choice, metric) -> values [search][repeat] of both choices, and of the optimism."""
    values: dict[tuple[str, str], list[list[float]]] = {}
    for number, of_search in enumerate(trials.records_by_search(study, records)):
        for metric in METRICS:
            honest, test_tuned = (
                repeat_scores(
                    study, loss, of_search, stage=stage, metric=metric, search_repeat=number
                )
                for stage in (HONEST, TUNED)
            )
            shared = sorted(set(honest) & set(test_tuned))
            differences = [test_tuned[repeat] - honest[repeat] for repeat in shared]
            values.setdefault(("honest", metric), []).append(list(honest.values()))
            values.setdefault(("test-tuned", metric), []).append(list(test_tuned.values()))
            values.setdefault(("optimism", metric), []).append(differences)
    return values


def _row(study: Study, loss: str, records: Sequence[Record]) -> Row:
    cells = {}
    for metric in METRICS:
        honest, test_tuned = (
            repeat_scores(study, loss, records, stage=stage, metric=metric)
            for stage in (HONEST, TUNED)
        )
        optimism = intervals.paired_repeats(test_tuned, honest)
        cells[metric] = Cell(honest=honest, test_tuned=test_tuned, optimism=optimism)
    chosen: dict[Stage, int | None] = {}
    epochs: dict[Stage, float | None] = {}
    for stage in (HONEST, TUNED):
        winner = trials.winner_of(study, loss, records, stage=stage)
        chosen[stage] = None if loss == UNTRAINED else winner
        counts = [
            sum(record.epochs)
            for record in records
            if (record.stage, record.trial, record.search_repeat, record.failure)
            == (stage, chosen[stage], 0, None)
        ]
        epochs[stage] = sum(counts) / len(counts) if counts else None
    commits = {commit_of(record.provenance) for record in records if record.provenance}
    return Row(
        loss=loss,
        cells=cells,
        chosen=chosen,
        epochs=epochs,
        progress=plan.progress(study, loss, records),
        commits=frozenset(commits),
    )


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows with the p-values of each column Holm-corrected over the trained losses."""
    cells = {row.loss: dict(row.cells) for row in rows}
    for metric in METRICS:
        p_values = {
            row.loss: difference.p_value
            for row in rows
            if row.loss != UNTRAINED and (difference := row.cells[metric].optimism) is not None
        }
        adjusted = holm(list(p_values.values()))
        for loss, p_holm in zip(p_values, adjusted, strict=True):
            cells[loss][metric] = replace(cells[loss][metric], p_holm=p_holm)
    return [replace(row, cells=cells[row.loss]) for row in rows]
