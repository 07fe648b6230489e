"""Racing the folds: a trial that is behind the best one so far is not trained on its other folds.

After each fold the trial's scores are compared with the incumbent's on the same folds; it is out
when the mean difference lies more than CARE standard errors below zero. A pure function of records:
a trial is judged by its own folds and the trials of earlier batches alone, so neither interruptions
nor the order in which runs end change it. It departs from the published protocols, which train
every trial on every fold, and is off unless a study says `race`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.schema import Record, Study

FREE = 5  # the first trials run all their folds: they show how much folds differ by chance
CARE = 2.0  # standard errors
Folds = Mapping[int, Mapping[int | None, Record]]  # trial -> fold -> record


def is_out(study: Study, folds: Folds, number: int) -> bool:
    """Whether trial `number` of a raced study needs no further fold.

    A failed fold puts it out too, for a trial with a failed fold has no score.
    """
    runs = folds.get(number, {})
    if not study.race or number < FREE or not 0 < len(runs) < study.folds:
        return False
    if any(record.failure is not None for record in runs.values()):
        return True
    rivals = _whole(study, folds, number)
    spread = _spread(rivals)
    if spread is None:
        return False
    behind = _behind(rivals, runs)
    return behind + CARE * spread / math.sqrt(len(runs)) < 0


def estimate(study: Study, folds: Folds, number: int) -> float:
    """What a trial that is out would have scored: the incumbent's mean and how far it is behind.

    Its plain mean over some folds would be off by what those folds are easier or harder.
    """
    rivals = _whole(study, folds, number)
    best = rivals[_incumbent(rivals)]
    return math.fsum(best) / len(best) + _behind(rivals, folds[number])


def _whole(study: Study, folds: Folds, number: int) -> dict[int, Sequence[float]]:
    """Scores by fold of the trials of earlier batches that ran every fold without a failure."""
    batch = number - number % study.parallel_trials
    return {
        trial: [runs[fold].scores["map_at_r"] for fold in range(study.folds)]
        for trial, runs in folds.items()
        if trial < batch
        and len(runs) == study.folds
        and all(record.failure is None for record in runs.values())
    }


def _incumbent(rivals: Mapping[int, Sequence[float]]) -> int:
    """The trial with the highest mean, the earlier of equals."""
    return max(rivals, key=lambda trial: (math.fsum(rivals[trial]), -trial))


def _behind(rivals: Mapping[int, Sequence[float]], runs: Mapping[int | None, Record]) -> float:
    best = rivals[_incumbent(rivals)]
    scores = {fold: run.scores["map_at_r"] for fold, run in runs.items() if fold is not None}
    return math.fsum(score - best[fold] for fold, score in scores.items()) / len(runs)


def _spread(rivals: Mapping[int, Sequence[float]]) -> float | None:
    """Standard deviation over folds of the difference to the incumbent, pooled over the others."""
    if len(rivals) < 2:
        return None
    incumbent = _incumbent(rivals)
    squares, degrees = [], 0
    for trial, scores in rivals.items():
        if trial != incumbent:
            apart = [a - b for a, b in zip(scores, rivals[incumbent], strict=True)]
            mean = math.fsum(apart) / len(apart)
            squares += [(value - mean) ** 2 for value in apart]
            degrees += len(apart) - 1
    return math.sqrt(math.fsum(squares) / degrees)
