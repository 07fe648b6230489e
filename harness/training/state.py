"""How far a training is: its phase and epoch, the best epochs so far, its curve."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.schema import Part, Study

Phase = Literal["normal", "followup"]
PHASES: tuple[Phase, ...] = ("normal", "followup")


@dataclass
class Best:
    """A phase's best epoch so far, by the score that chooses; 0 before the first evaluation."""

    epoch: int = 0
    score: float = -math.inf
    scores: dict[str, float] = field(default_factory=dict)


@dataclass
class State:
    """How far a training is at the end of an epoch."""

    phase: Phase = "normal"
    epoch: int = 0  # of the phase
    best: dict[Phase, Best] = field(default_factory=lambda: {name: Best() for name in PHASES})
    epochs_run: dict[Phase, int] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))
    capped: list[Phase] = field(default_factory=list)  # phases that ended before a plateau
    curve: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept_phase(self) -> Phase:
        """The phase of the model that is kept: the follow-up phase only if it is better."""
        better = self.best["followup"].score > self.best["normal"].score
        return "followup" if better else "normal"

    @property
    def scores(self) -> dict[str, float]:
        """The held-out scores of the model that is kept."""
        return self.best[self.kept_phase].scores


def plateaued(state: State, study: Study, held_out: Part | None) -> bool:
    """Whether the phase's best epoch lies further back than the study's patience.

    Judged at evaluations alone, as Musgrave et al. 2020 do: no phase ends before its first one.
    """
    evaluated = state.epoch > 0 and state.epoch % study.evaluate_every == 0
    best = state.best[state.phase].epoch
    return held_out is not None and evaluated and state.epoch - best > study.patience
