"""What each repeat of a loss scored on the test classes, by category and metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.protocol import trials
from harness.protocol.final import outdated_complete
from harness.schema import TRIAL_STAGES, Record, Study
from harness.tables import metrics as known_metrics
from harness.tables.metrics import Metric

CATEGORIES = ("complete", "ensemble", "aggregate")
STAGE_OF = {"complete": "complete", "ensemble": "ensemble", "aggregate": "repeat"}


def repeat_scores(
    study: Study,
    loss: str,
    records: Sequence[Record],
    *,
    metrics: Iterable[str] = known_metrics.DEFAULT,
    search_repeat: int = 0,
) -> dict[tuple[str, str], dict[int, float]]:
    """(category, metric) -> repeat -> test score or diagnostic, of the best trial's runs alone.

    Aggregate is the mean over the folds of a repeat; a repeat with a failed or missing run has no
    value, and neither has one with a run that was recorded without it. The search's own runs are of
    no category, and neither is anything tuned on test classes.
    """
    columns = known_metrics.metrics(metrics)
    winner = trials.winner_of(study, loss, records, search_repeat=search_repeat)
    scores: dict[tuple[str, str], dict[int, float]] = {
        (category, metric.name): {} for category in CATEGORIES for metric in columns
    }
    if winner is None:
        return scores
    outdated = outdated_complete(study, loss, records, winner=winner, search_repeat=search_repeat)
    fold_runs: dict[int, list[Record]] = {}
    for record in records:
        if record.trial != winner or record.failure is not None or record.repeat is None:
            continue
        if record.repeat >= study.repeats or record.search_repeat != search_repeat:
            continue
        if record.key in outdated:
            continue
        if record.stage == "repeat":
            fold_runs.setdefault(record.repeat, []).append(record)
        elif record.stage in ("ensemble", "complete"):
            for metric in columns:
                value = metric.of(record)
                if value is not None:
                    scores[record.stage, metric.name][record.repeat] = value
    for repeat, runs in fold_runs.items():
        if len(runs) == study.folds:
            for metric in columns:
                values = [value for run in runs if (value := metric.of(run)) is not None]
                if len(values) == len(runs):
                    scores["aggregate", metric.name][repeat] = math.fsum(values) / len(runs)
    return scores


def without(
    study: Study, loss: str, records: Sequence[Record], metrics: Iterable[Metric]
) -> dict[str, tuple[int, int]]:
    """Metric -> runs behind a loss's numbers that were recorded without it, of all these runs.

    As repeat_scores: those of the first search's best trial that did not fail.
    """
    winner = trials.winner_of(study, loss, records)
    outdated = outdated_complete(study, loss, records, winner=winner)
    final = [
        record
        for record in records
        if record.stage not in TRIAL_STAGES and record.failure is None
        if record.key not in outdated
        if record.repeat is not None and record.repeat < study.repeats
        if record.trial == winner and not record.search_repeat
    ]
    counts = {metric.name: sum(metric.of(run) is None for run in final) for metric in metrics}
    return {name: (count, len(final)) for name, count in counts.items() if count}
