"""What tests of trackers share: a record with a curve, and what a tracker gets of it."""

from __future__ import annotations

from dataclasses import replace

from harness.schema import Record, Run
from tests.made import STUDY, done

CURVE = [
    {"phase": "normal", "epoch": 1, "loss": 0.5, "map_at_r": 0.25},
    {"phase": "normal", "epoch": 2, "loss": 0.4},
    {"phase": "followup", "epoch": 1, "loss": 0.3, "map_at_r": 0.5, "test_sums": [1.0, 2.0]},
]


def record(fold: int = 0, **changes: object) -> Record:
    """A finished search run with a curve."""
    run = Run(STUDY, "glyphs", "made", "search", 7, {"x": 0.5, "lr": 1e-4}, trial=0, fold=fold)
    return replace(done(run), curve=CURVE, **changes)
