"""How fast losses converge: epochs until a held-out score of a run reaches a threshold.

Two losses share a threshold that every run of both reaches: SHARE of the lowest best value among
these runs. Pure functions over the curves that records hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHARE = 0.9
Curve = Sequence[tuple[int, float]]  # epochs behind the model, a held-out score there
Repeats = Sequence[Sequence[Curve]]  # per repeat the curves of its folds


def curve_of(
    entries: Sequence[Mapping[str, Any]], epochs: tuple[int, int], score: str = "map_at_r"
) -> Curve:
    """A record's curve over both phases; the follow-up continues the normal phase's best epoch.

    `epochs` (normal, followup) are those behind the model that the run ended with.
    """
    return [
        (entry["epoch"] + (epochs[0] if entry["phase"] == "followup" else 0), entry[score])
        for entry in entries
        if score in entry
    ]


def steps_to_threshold(curve: Curve, threshold: float) -> int:
    """The first epoch at which the curve reaches the threshold; ValueError if it never does."""
    for epoch, score in curve:
        if score >= threshold:
            return epoch
    raise ValueError(f"the curve's best is {max(s for _, s in curve)}, below {threshold}")


def mean_steps(folds: Sequence[Curve], threshold: float) -> float | None:
    """The mean over a repeat's folds of their steps to the threshold; None if one never gets there.

    So the mean is never one of the fast folds alone.
    """
    if not all(max((score for _, score in curve), default=0.0) >= threshold for curve in folds):
        return None
    return sum(steps_to_threshold(curve, threshold) for curve in folds) / len(folds)


def steps_to_shared_threshold(a: Repeats, b: Repeats) -> tuple[list[float], list[float]]:
    """Per repeat of a and of b the mean epochs of its folds to a threshold that all runs reach."""
    curves = [curve for repeats in (a, b) for folds in repeats for curve in folds]
    threshold = SHARE * min(max(score for _, score in curve) for curve in curves)

    def steps(repeats: Repeats) -> list[float]:
        return [
            sum(steps_to_threshold(curve, threshold) for curve in folds) / len(folds)
            for folds in repeats
        ]

    return steps(a), steps(b)


def caption() -> str:
    """What the steps are, in words."""
    return (
        "steps are epochs (mean over a repeat's fold models, at the resolution of the evaluations) "
        f"until the held-out MAP@R reaches {100 * SHARE:g} % of the lowest best value among the "
        "runs of both losses"
    )
