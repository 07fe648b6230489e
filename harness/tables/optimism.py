"""Records of the study `standard` to its table: honest scores, test-tuned scores, the optimism.

Optimism is what choosing on the test classes is worth: test-tuned minus honest. This is the only
module that turns test-tuned records into numbers. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.measure import intervals
from harness.measure.multiple_comparisons import holm
from harness.protocol import plan, trials
from harness.schema import TEST_TUNED, UNTRAINED, Record, Stage, Study
from harness.tables import capped, search_spread
from harness.tables.capped import Counts
from harness.tables.failed import failed_repeats
from harness.tables.table import METRICS, commit_of

# The stages of the runs that are scored, by what chose their params and epochs.
HONEST: Stage = "complete"
TUNED: Stage = TEST_TUNED[1]


@dataclass(frozen=True)
class Cell:
    """One metric of one loss under both choices, repeat -> share of 1, and their difference.

    `optimism` is test-tuned minus honest over the repeats that both have (equal seeds), None with
    fewer than 2 such repeats. `p_holm` is its p-value corrected over the losses of the column, None
    without a test: no spread, or survivors. `failed` counts the repeats of a stage without a score
    because their run failed.
    """

    honest: Mapping[int, float]
    test_tuned: Mapping[int, float]
    optimism: intervals.Difference | None
    p_holm: float | None = None
    failed: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """The most repeats that failed under either choice: the difference is of survivors."""
        return max(self.failed.values(), default=0)

    @property
    def differences(self) -> list[float]:
        """Test-tuned minus honest in the order of the repeats that both have."""
        shared = sorted(set(self.honest) & set(self.test_tuned))
        return [self.test_tuned[repeat] - self.honest[repeat] for repeat in shared]


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

    @property
    def lost(self) -> int:
        """The most repeats that failed under either choice."""
        return max((cell.lost for cell in self.cells.values()), default=0)

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
    capped: Counts = field(default_factory=dict)  # of the first search
    capped_in_all: Counts = field(default_factory=dict)  # of every repeat of the search


def table(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Iterable[str] = ()
) -> Table:
    """The table from each loss's records; rows fall by honest MAP@R.

    Means of survivors come after the others, the untrained trunk last.
    """
    rows = _corrected([_row(study, loss, of_loss) for loss, of_loss in records.items()])
    rows.sort(key=lambda row: (row.loss == UNTRAINED, row.lost > 0, -row.mean(HONEST), row.loss))
    spreads: list[search_spread.Line] = []
    if study.search_repeats > 1:
        for loss, of_loss in records.items():
            if loss != UNTRAINED:
                values = _values_by_search(study, loss, of_loss)
                failed = failed_repeats(study, loss, of_loss)
                of_choice = {"honest": failed[HONEST], "test-tuned": failed[TUNED]}
                of_choice["optimism"] = max(of_choice.values())
                lost = {key: of_choice[key[0]] for key in values}
                spreads += search_spread.lines(loss, values, lost)
    return Table(
        study=study,
        dataset=dataset,
        rows=tuple(rows),
        notes=tuple(notes),
        search_spreads=tuple(spreads),
        capped=capped.counts(study, records),
        capped_in_all=capped.counts(study, records, searches=None) if spreads else {},
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
    failed = failed_repeats(study, loss, records, searches=1)
    lost: dict[str, int] = {stage: failed[stage] for stage in (HONEST, TUNED)}
    cells = {}
    for metric in METRICS:
        honest, test_tuned = (
            repeat_scores(study, loss, records, stage=stage, metric=metric)
            for stage in (HONEST, TUNED)
        )
        optimism = intervals.paired_repeats(test_tuned, honest)
        cells[metric] = Cell(honest, test_tuned, optimism, failed=lost)
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
    """The rows with the p-values of each column Holm-corrected over the trained losses.

    Losses with a failed repeat are in no test.
    """
    cells = {row.loss: dict(row.cells) for row in rows}
    for metric in METRICS:
        p_values = {
            row.loss: difference.p_value
            for row in rows
            if row.loss != UNTRAINED
            and not row.lost
            and (difference := row.cells[metric].optimism) is not None
        }
        adjusted = holm(list(p_values.values()))
        for loss, p_holm in zip(p_values, adjusted, strict=True):
            cells[loss][metric] = replace(cells[loss][metric], p_holm=p_holm)
    return [replace(row, cells=cells[row.loss]) for row in rows]
