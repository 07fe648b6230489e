"""What a tracker is given of a run: a record as names, params, values by step and final scores."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.schema import TRIAL_STAGES, Record, Values


@dataclass(frozen=True)
class Entry:
    """A record as trackers take it.

    `steps` has (step, values) for each epoch, counted from 1 through both phases. `scores` are
    shares of 1, named held_out/NAME, test/NAME and diagnostics/NAME. `settings` are the names and
    numbers that are no params. `identifier` is the same for the same record, and another one where
    the run was done again.
    """

    study: str
    dataset: str
    loss: str
    stage: str
    key: str
    identifier: str
    params: Values
    settings: Mapping[str, str | int | float]
    steps: Sequence[tuple[int, Mapping[str, float]]]
    scores: Mapping[str, float]
    failure: str | None

    @property
    def group(self) -> str:
        """DATASET/LOSS: the runs that a tracker shows together."""
        return f"{self.dataset}/{self.loss}"


class Tracker(Protocol):
    """Where entries are written."""

    @property
    def place(self) -> str:
        """Where they lie and how to look at them, in words."""

    def write(self, entry: Entry) -> None:
        """Write a run, in place of what an interrupted attempt at it left behind."""


def entry_of(record: Record) -> Entry:
    """What trackers show of a record."""
    kind = "held_out" if record.stage in TRIAL_STAGES else "test"
    scores = {f"{kind}/{name}": value for name, value in record.scores.items()}
    scores |= {f"diagnostics/{name}": value for name, value in (record.diagnostics or {}).items()}
    return Entry(
        study=record.study,
        dataset=record.dataset,
        loss=record.loss,
        stage=record.stage,
        key=record.key,
        identifier=_identifier(record),
        params=dict(record.params),
        settings=_settings(record),
        steps=[(n, _curve_values(epoch)) for n, epoch in enumerate(record.curve, start=1)],
        scores=_numbers(scores),
        failure=record.failure,
    )


def _identifier(record: Record) -> str:
    """16 hex digits of the record's name and results.

    Its digest is not among them: a record has one only once it was read from the disk.
    """
    results = [record.seed, record.params, record.scores, record.failure]
    text = json.dumps([record.name, *results], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _settings(record: Record) -> dict[str, str | int | float]:
    names = ("study", "dataset", "loss", "stage", "key", "seed", "search_repeat", "trial")
    settings: dict[str, str | int | float] = {name: getattr(record, name) for name in names}
    for name in ("repeat", "fold", "failure"):
        if getattr(record, name) is not None:
            settings[name] = getattr(record, name)
    for name in ("commit", "device"):
        if name in record.provenance:
            settings[name] = str(record.provenance[name])
    return settings | {
        "epochs": record.epochs[0],
        "followup_epochs": record.epochs[1],
        "seconds": record.seconds,
    }


def _curve_values(epoch: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch, and whether it was of the follow-up phase."""
    values = {
        f"curve/{'training_loss' if name == 'loss' else name}": value
        for name, value in epoch.items()
        if name not in ("phase", "epoch")
    }
    return {**_numbers(values), "curve/followup": float(epoch.get("phase") == "followup")}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are finite numbers."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }
