"""Average ranks of losses over the datasets of a study, from their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.measure.ranks import Ranks, average_ranks
from harness.tables.metrics import Metric


def title(studies: Sequence[str], category: str, metric: Metric) -> str:
    """What a critical-difference diagram is of."""
    name = f"study {studies[0]}" if len(studies) == 1 else f"{len(studies)} studies"
    return f"{name}, {category} {metric.title}"


def over(studies: Sequence[str]) -> str:
    """What ranks vary over, in a word: a dataset of several studies has a table in each."""
    return "datasets" if len(studies) == 1 else "tables"


def lacking(scores: Mapping[str, Mapping[str, object]]) -> dict[str, list[str]]:
    """The losses without a score on some of the datasets (dataset -> loss -> ...), and on which."""
    every = sorted({loss for by_loss in scores.values() for loss in by_loss})
    without = {
        loss: [dataset for dataset, by_loss in scores.items() if loss not in by_loss]
        for loss in every
    }
    return {loss: datasets for loss, datasets in without.items() if datasets}


def over_datasets(
    scores: Mapping[str, Mapping[str, Mapping[int, float]]], metric: Metric
) -> tuple[Ranks | None, str]:
    """Average ranks of the losses that every dataset has; None and the reason if there are none.

    `scores` maps dataset -> loss -> repeat -> score.
    """
    if metric.better == "neither":
        return None, f"neither a higher nor a lower {metric.title} is better"
    if len(scores) < 2:
        return None, f"ranks need at least 2 datasets, there are records of {len(scores)}"
    common = set.intersection(*(set(by_loss) for by_loss in scores.values()))
    if len(common) < 2:
        names = ", ".join(sorted(common)) or "none"
        where = "; ".join(
            f"{loss} has no score on {', '.join(datasets)}"
            for loss, datasets in lacking(scores).items()
        )
        return None, f"ranks need at least 2 losses on every dataset, there are: {names} ({where})"
    means = {
        loss: [
            metric.sign * sum(by_loss[loss].values()) / len(by_loss[loss])
            for by_loss in scores.values()
        ]
        for loss in sorted(common)
    }
    return average_ranks(means), ""
