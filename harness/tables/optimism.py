"""Records of the study `standard` to its table: honest, test-tuned, and what the tuning is worth.

The only module that turns test-tuned records into numbers. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.measure import intervals
from harness.protocol import plan, trials
from harness.schema import TEST_TUNED, UNTRAINED, Record, Stage, Study
from harness.tables import search_spread
from harness.tables.table import METRICS, commit_of

HONEST: Stage = "complete"
TUNED: Stage = TEST_TUNED[1]


@dataclass(frozen=True)
class Cell:
    """One score of one loss under both choices, repeat -> share of 1, and their difference.

    `inflation` is test-tuned minus honest over the repeats that both have (equal seeds), `p_holm`
    its p-value corrected over the losses of the column; None with fewer than 2 such repeats.
    """

    honest: Mapping[int, float]
    tuned: Mapping[int, float]
    inflation: intervals.Difference | None
    p_holm: float | None = None


@dataclass(frozen=True)
class Row:
    """One loss: its cells by metric, what each branch chose, how far it is, what made it."""

    loss: str
    cells: Mapping[str, Cell]
    chosen: Mapping[Stage, int | None]
    epochs: Mapping[Stage, float | None]
    progress: plan.Progress
    commits: frozenset[str]

    def mean(self, stage: Stage, metric: str = "map_at_r") -> float:
        """Of what one branch (HONEST or TUNED) reached over its repeats; -1 before the first."""
        cell = self.cells[metric]
        values = cell.honest if stage == HONEST else cell.tuned
        return math.fsum(values.values()) / len(values) if values else -1.0

    def same_runs(self, metric: str) -> bool:
        """Whether both branches trained the very same models: the difference is then 0 as such."""
        cell = self.cells[metric]
        shared = set(cell.honest) & set(cell.tuned)
        equal = all(cell.honest[repeat] == cell.tuned[repeat] for repeat in shared)
        return bool(shared) and equal and self.chosen[HONEST] == self.chosen[TUNED]


@dataclass(frozen=True)
class Table:
    """What tuning on the test classes is worth, loss by loss, on one dataset."""

    study: Study
    dataset: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    searches: tuple[search_spread.Line, ...] = ()


def table(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Iterable[str] = ()
) -> Table:
    """The table from each loss's records; rows fall by honest MAP@R, the untrained trunk last."""
    rows = [_row(study, loss, told) for loss, told in records.items()]
    rows = [row if row.loss == UNTRAINED else _corrected(row, rows) for row in rows]
    rows.sort(key=lambda row: (row.loss == UNTRAINED, -row.mean(HONEST), row.loss))
    over = tuple(
        line
        for loss, told in records.items()
        if study.search_repeats > 1 and loss != UNTRAINED
        for line in search_spread.lines(loss, _by_search(study, loss, told))
    )
    return Table(study, dataset, tuple(rows), tuple(notes), over)


def _by_search(
    study: Study, loss: str, records: Sequence[Record]
) -> dict[tuple[str, str], list[list[float]]]:
    """Values [search][repeat] of what both branches chose, and of the inflation."""
    told: dict[tuple[str, str], list[list[float]]] = {}
    for number, own in enumerate(trials.by_search(study, records)):
        for metric in METRICS:
            honest, tuned = (
                values_of(study, loss, own, stage, metric, number) for stage in (HONEST, TUNED)
            )
            shared = sorted(set(honest) & set(tuned))
            told.setdefault(("honest", metric), []).append(list(honest.values()))
            told.setdefault(("test-tuned", metric), []).append(list(tuned.values()))
            gaps = [tuned[repeat] - honest[repeat] for repeat in shared]
            told.setdefault(("inflation", metric), []).append(gaps)
    return told


def values_of(
    study: Study,
    loss: str,
    records: Sequence[Record],
    stage: Stage,
    metric: str,
    search_repeat: int = 0,
) -> dict[int, float]:
    """Test scores per repeat of the runs with what one branch chose: HONEST or TUNED."""
    winner = plan.winner_of(study, loss, records, stage, search_repeat)
    return {
        record.repeat: record.scores[metric]
        for record in records
        if (record.stage, record.trial, record.search_repeat) == (stage, winner, search_repeat)
        and record.failure is None
        and record.repeat is not None
        and record.repeat < study.repeats
    }


def _row(study: Study, loss: str, records: Sequence[Record]) -> Row:
    cells = {}
    for metric in METRICS:
        honest, tuned = (values_of(study, loss, records, s, metric) for s in (HONEST, TUNED))
        cells[metric] = Cell(honest, tuned, intervals.paired_repeats(tuned, honest))
    chosen: dict[Stage, int | None] = {}
    epochs: dict[Stage, float | None] = {}
    for stage in (HONEST, TUNED):
        chosen[stage] = None
        if loss != UNTRAINED:
            chosen[stage] = plan.winner_of(study, loss, records, stage)
        ran = [
            sum(record.epochs)
            for record in records
            if (record.stage, record.trial, record.search_repeat, record.failure)
            == (stage, chosen[stage], 0, None)
        ]
        epochs[stage] = sum(ran) / len(ran) if ran else None
    commits = {commit_of(record.provenance) for record in records if record.provenance}
    progress = plan.progress(study, loss, records)
    return Row(loss, cells, chosen, epochs, progress, frozenset(commits))


def _corrected(row: Row, rows: Sequence[Row]) -> Row:
    """The row with its p-values corrected over the losses of each column."""
    cells = dict(row.cells)
    for metric, cell in row.cells.items():
        tested = {r.loss: r.cells[metric].inflation for r in rows if r.loss != UNTRAINED}
        known = {loss: found.p_value for loss, found in tested.items() if found is not None}
        adjusted = dict(zip(known, intervals.holm(list(known.values())), strict=True))
        cells[metric] = Cell(cell.honest, cell.tuned, cell.inflation, adjusted.get(row.loss))
    return Row(row.loss, cells, row.chosen, row.epochs, row.progress, row.commits)
