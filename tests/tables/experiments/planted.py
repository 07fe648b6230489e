"""Made-up runs of a study without a search, for the pages of experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.protocol import plan
from harness.schema import Record, Run, Study, record_of
from tests.made import MADE

Scores = Mapping[str, float]
Curve = Sequence[Mapping[str, float]]


def complete(study: Study, loss: str, scores: Sequence[Scores], curve: Curve = ()) -> list[Record]:
    """A Complete record for each repeat of a loss: its scores, or a failure without any."""
    records = []
    for run in _runs(study, loss, []):
        if run.stage == "complete":
            records.append(record(run, scores[run.repeat or 0], curve))
    assert len(records) == len(scores) == study.repeats
    return records


def with_folds(
    study: Study,
    loss: str,
    scores: Sequence[Scores],
    diagnostics: Sequence[Scores],
    fold_curves: Sequence[Curve],
) -> list[Record]:
    """The fold models of each repeat with the repeat's curve, then its Complete record."""
    records: list[Record] = []
    for run in _runs(study, loss, []):
        records.append(record(run, {"map_at_r": 0.1}, fold_curves[run.repeat or 0]))
    for run in _runs(study, loss, records):
        of_repeat = run.repeat or 0
        made = record(run, scores[of_repeat])
        records.append(replace(made, diagnostics=dict(diagnostics[of_repeat])))
    return records


def record(run: Run, scores: Scores, curve: Curve = ()) -> Record:
    """The record of a run with given scores; without any it failed."""
    return record_of(
        run,
        scores=dict(scores),
        curve=[{"phase": "normal", **entry} for entry in curve],
        epochs=run.epochs or (5, 0),
        failure=None if scores else "Diverged: made up",
        seconds=1.0,
        provenance=MADE | {"study": run.study.digest()},
    )


def _runs(study: Study, loss: str, records: Sequence[Record]) -> list[Run]:
    return plan.next_runs(study.for_loss(loss), "made", loss, space={}, records=records)
