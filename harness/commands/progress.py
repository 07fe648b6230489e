"""How far runs are and how long the rest takes, in words and numbers, for all who show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.schema import Record

ENSEMBLE = "ensemble"
Ended = dict[str, tuple[int, float]]  # stage -> how many runs ended, and their seconds together


def epoch(written: Mapping[str, Any]) -> str:
    """What a run in flight wrote of its progress, in words."""
    text = f"{written['phase']} epoch {written['epoch']}/{written['of']}"
    if "map_at_r" in written:
        text += f", held-out MAP@R {100 * written['map_at_r']:.2f} %"
    return text


class RunSeconds:
    """Seconds of the runs that ended, from which follows how long those to do will take.

    A run to do takes what the runs of its loss took: those of its stage, or before there are such
    those of its other stages. Of a loss without any it takes what other losses' runs did. An
    untrained network and a closed form are done in seconds, and say nothing of a loss's runs.
    """

    def __init__(self) -> None:
        self._of_loss: dict[tuple[str, str], Ended] = {}  # of a dataset and loss
        self._of_kind: dict[bool, Ended] = {}  # of all losses, and of all rows that need none

    def add(self, record: Record) -> None:
        """Count a run that ended. One that failed ended before its time."""
        from harness.schema import BASELINES

        if record.failure is None:
            for by_stage in (
                self._of_loss.setdefault((record.dataset, record.loss), {}),
                self._of_kind.setdefault(record.loss in BASELINES, {}),
            ):
                n, seconds = by_stage.get(record.stage, (0, 0.0))
                by_stage[record.stage] = n + 1, seconds + record.seconds

    def left(
        self, dataset: str, loss: str, planned: Mapping[str, int], done: Mapping[str, int]
    ) -> float | None:
        """Seconds of a loss's runs to do; None where no run says how long one takes."""
        from harness.schema import BASELINES

        own = self._of_loss.get((dataset, loss), {})
        every = self._of_kind.get(loss in BASELINES, {})
        left = 0.0
        for stage, count in planned.items():
            if count <= done[stage]:
                continue
            tells = [own.get(stage), _of_training(own), every.get(stage), _of_training(every)]
            if stage == ENSEMBLE:  # trains nothing
                tells = [own.get(stage), every.get(stage), (1, 0.0)]
            n, seconds = next(filter(None, tells), (0, 0.0))
            if not n:
                return None
            left += (count - done[stage]) * seconds / n
        return left


def _of_training(ended: Ended) -> tuple[int, float] | None:
    """Those of all stages that train; None where there are none."""
    trained = [both for stage, both in ended.items() if stage != ENSEMBLE]
    if not trained:
        return None
    return sum(n for n, _ in trained), sum(seconds for _, seconds in trained)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
