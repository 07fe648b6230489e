"""Racing the folds: a trial that is behind the best one so far skips its other folds.

After each fold a trial's scores are compared with the incumbent's on the same folds. The trial is
out when the mean difference lies more than CARE standard errors below zero.

A pure function of records: a trial is judged by its own folds and by the trials of earlier batches
alone. So neither interruptions nor the order in which runs end change the outcome. Racing departs
from the published protocols, which train every trial on every fold. It is off unless a study sets
`race`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.schema import Record, Study

EXEMPT = 5  # the first trials run all their folds: they show how much folds differ by chance
CARE = 2.0  # standard errors
FoldRecords = Mapping[int, Mapping[int | None, Record]]  # trial -> fold -> record


def is_out(study: Study, records: FoldRecords, number: int) -> bool:
    """Whether trial `number` of a raced study needs no further fold.

    A failed fold puts it out too: a trial with a failed fold has no score.
    """
    folds = records.get(number, {})
    if not study.race or number < EXEMPT or not 0 < len(folds) < study.folds:
        return False
    if any(record.failure is not None for record in folds.values()):
        return True
    rivals = _finished_scores(study, records, number)
    spread = _spread(rivals)
    if spread is None:
        return False
    difference = _difference(rivals, folds)
    return difference + CARE * spread / math.sqrt(len(folds)) < 0


def estimate(study: Study, records: FoldRecords, number: int) -> float:
    """What a trial that is out would have scored: the incumbent's mean plus the mean difference.

    The plain mean over the trial's folds would depend on how hard these folds are.
    """
    rivals = _finished_scores(study, records, number)
    best = rivals[_incumbent(rivals)]
    return math.fsum(best) / len(best) + _difference(rivals, records[number])


def _finished_scores(study: Study, records: FoldRecords, number: int) -> dict[int, Sequence[float]]:
    """Scores by fold of the trials of earlier batches that ran every fold without a failure."""
    batch = number - number % study.parallel_trials
    return {
        trial: [folds[fold].scores["map_at_r"] for fold in range(study.folds)]
        for trial, folds in records.items()
        if trial < batch
        and len(folds) == study.folds
        and all(record.failure is None for record in folds.values())
    }


def _incumbent(rivals: Mapping[int, Sequence[float]]) -> int:
    """The trial with the highest mean, the earlier of equals."""
    return max(rivals, key=lambda trial: (math.fsum(rivals[trial]), -trial))


def _difference(rivals: Mapping[int, Sequence[float]], folds: Mapping[int | None, Record]) -> float:
    """A trial's scores minus the incumbent's on the same folds, on average; negative if behind."""
    best = rivals[_incumbent(rivals)]
    scores = {fold: run.scores["map_at_r"] for fold, run in folds.items() if fold is not None}
    return math.fsum(score - best[fold] for fold, score in scores.items()) / len(folds)


def _spread(rivals: Mapping[int, Sequence[float]]) -> float | None:
    """Standard deviation over folds of the difference to the incumbent, pooled over the rivals."""
    if len(rivals) < 2:
        return None
    incumbent = _incumbent(rivals)
    squares, degrees = [], 0
    for trial, scores in rivals.items():
        if trial != incumbent:
            differences = [a - b for a, b in zip(scores, rivals[incumbent], strict=True)]
            mean = math.fsum(differences) / len(differences)
            squares += [(difference - mean) ** 2 for difference in differences]
            degrees += len(differences) - 1
    return math.sqrt(math.fsum(squares) / degrees)
