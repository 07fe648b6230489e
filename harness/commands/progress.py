"""How far runs are and how long the rest takes, in words and numbers, for all who show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def epoch(written: Mapping[str, Any]) -> str:
    """What a run in flight wrote of its progress, in words."""
    text = f"{written['phase']} epoch {written['epoch']}/{written['of']}"
    if "map_at_r" in written:
        text += f", held-out MAP@R {100 * written['map_at_r']:.2f} %"
    return text


def run_seconds_left(
    planned: Mapping[str, int], done: Mapping[str, int], seconds: Mapping[str, Sequence[float]]
) -> float | None:
    """Seconds of a loss's runs to do, by stage; None where no run has ended yet.

    `seconds` are those of the runs that ended, by stage. Each run to do counts the mean of its
    stage, or of all runs where its stage has none yet.
    """
    every_run = [each for of_stage in seconds.values() for each in of_stage]
    if not every_run:
        return None
    left = 0.0
    for stage, count in planned.items():
        runs = seconds.get(stage) or every_run
        left += max(0, count - done[stage]) * sum(runs) / len(runs)
    return left


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
