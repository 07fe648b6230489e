"""The held-out R@1 of a loss's repeats over the steps of their training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.measure import convergence
from harness.measure.convergence import Curve
from harness.protocol import trials
from harness.schema import Record, Study

SCORE = "precision_at_1"


@dataclass(frozen=True)
class Runs:
    """The repeats of a loss of which every fold has ended.

    curves: repeat -> its folds' held-out R@1 over steps. seconds_per_step: repeat -> wall time of
    its folds over their steps. failed: repeats with a failed fold.
    """

    curves: Mapping[int, Sequence[Curve]]
    seconds_per_step: Mapping[int, float]
    failed: int

    @property
    def best(self) -> dict[int, float]:
        """Repeat -> the mean over its folds of their best R@1."""
        return {
            repeat: math.fsum(max(score for _, score in curve) for curve in folds) / len(folds)
            for repeat, folds in self.curves.items()
        }

    def steps_to(self, level: float) -> dict[int, float]:
        """Repeat -> steps to the level, of the repeats of which every fold gets there."""
        steps = {n: convergence.mean_steps(folds, level) for n, folds in self.curves.items()}
        return {repeat: value for repeat, value in steps.items() if value is not None}


def runs_of(study: Study, loss: str, records: Sequence[Record]) -> Runs:
    """The repeats of the best trial, from the records of one loss."""
    winner = trials.winner_of(study, loss, records)
    per_epoch = study.iterations or 1
    folds: dict[int, list[Record]] = {}
    failed = set()
    for record in records:
        if (record.stage, record.trial, record.search_repeat) != ("repeat", winner, 0):
            continue
        if record.repeat is None or record.repeat >= study.repeats:
            continue
        folds.setdefault(record.repeat, []).append(record)
        if record.failure is not None:
            failed.add(record.repeat)
    whole = {
        repeat: of_repeat
        for repeat, of_repeat in sorted(folds.items())
        if len(of_repeat) == study.folds and repeat not in failed
        if all(any(SCORE in entry for entry in record.curve) for record in of_repeat)
    }
    curves, seconds = {}, {}
    for repeat, of_repeat in whole.items():
        of_folds = [convergence.curve_of(r.curve, r.epochs, SCORE) for r in of_repeat]
        curves[repeat] = [[(per_epoch * e, score) for e, score in curve] for curve in of_folds]
        steps = per_epoch * sum(len(record.curve) for record in of_repeat)
        seconds[repeat] = math.fsum(record.seconds for record in of_repeat) / steps
    return Runs(curves=curves, seconds_per_step=seconds, failed=len(failed))
