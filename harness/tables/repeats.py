"""What each repeat of a loss scored on the test classes, by category and metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.protocol.final import final_records
from harness.schema import Record, Study
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
    scores: dict[tuple[str, str], dict[int, float]] = {
        (category, metric.name): {} for category in CATEGORIES for metric in columns
    }
    fold_runs: dict[int, list[Record]] = {}
    for record in final_records(study, loss, records, search_repeat=search_repeat):
        if record.failure is not None or record.repeat is None:
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
    final = [run for run in final_records(study, loss, records) if run.failure is None]
    counts = {metric.name: sum(metric.of(run) is None for run in final) for metric in metrics}
    return {name: (count, len(final)) for name, count in counts.items() if count}
