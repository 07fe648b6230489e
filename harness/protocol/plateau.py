"""Whether a run went on until it plateaued, or was cut off at its limit of epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.schema import BASELINES, Record, Stage, Study

# Complete runs get their epochs, and those of the pool of `optimism` all train max_epochs.
CHOOSING: tuple[Stage, ...] = ("search", "repeat")
PHASES = ("normal", "followup")


def chooses_epochs(record: Record) -> bool:
    """Whether the run chose its own number of epochs, and ended without a failure."""
    return record.stage in CHOOSING and record.loss not in BASELINES and record.failure is None


def is_capped(record: Record, study: Study) -> bool:
    """Whether a phase of a run ended at max_epochs or followup_max_epochs without a plateau.

    A capped run might have become better, so its score and its epochs are lower than they need be.
    False for runs that do not choose their epochs. Three sources, the first that there is:

    1. its curve, where it was read: a phase plateaus at an evaluation that lies more than
       `patience` epochs behind the phase's own best one (training/train.py, rules 2);
    2. `record.capped`, which the training notes: tables read records without their curves;
    3. of records by rules 1, which lack that field, the epochs behind the model: their phases went
       on for `patience` epochs beyond these, unless the limit came first.
    """
    if not chooses_epochs(record):
        return False
    limits = (study.max_epochs, study.followup_max_epochs if study.followup else 0)
    if record.curve and study.rules > 1:
        return any(
            _reached_without_plateau(record.curve, study, phase=phase, limit=limit)
            for phase, limit in zip(PHASES, limits, strict=True)
        )
    if record.capped is not None:
        return record.capped
    return any(
        0 < limit <= behind + study.patience
        for behind, limit in zip(record.epochs, limits, strict=True)
    )


def _reached_without_plateau(
    curve: Sequence[Mapping[str, Any]], study: Study, *, phase: str, limit: int
) -> bool:
    """Whether a phase of the curve goes to its limit, and no plateau ends it there."""
    entries = [entry for entry in curve if entry["phase"] == phase]
    if not entries or entries[-1]["epoch"] < limit:
        return False
    scores = {e["epoch"]: e["map_at_r"] for e in entries if "map_at_r" in e}
    best = max(scores, key=scores.__getitem__, default=0)
    return limit % study.evaluate_every != 0 or limit - best <= study.patience
