"""A loss of a study on a dataset while it is being conducted: its file, and what may join it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.protocol import likeness, plan, search
from harness.records import code, records
from harness.schema import Problem, Record, Run, Study


@dataclass
class Job:
    """One loss of a study on one dataset: its search space, its file of records, its progress."""

    study: Study
    dataset: str
    loss: str
    space: search.Space
    path: Path
    # What new records will say of their making, as far as it is known beforehand.
    provenance: Mapping[str, Any] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    in_flight: set[str] = field(default_factory=set)  # keys of runs
    # Both follow from the records, and are worked out when they are first needed.
    _next_runs: list[Run] | None = field(default=None, init=False, repr=False)
    _progress: plan.Progress | None = field(default=None, init=False, repr=False)

    def load(self) -> str | None:
        """Read the records on disk; the message about a torn last line if there is one.

        Problem where one of them was altered, or new ones would be unlike them.
        """
        contents = records.read(self.path)
        self.records = list(contents.records)
        if contents.altered:
            place = min(contents.altered)
            raise Problem(
                f"{self.path}: line {place + 1}, {self.records[place].key}: {records.ALTERED}; "
                "restore it, or take the line out, its run is then done again"
            )
        for provenance in {id(r.provenance): r.provenance for r in self.records}.values():
            loss_code = code.loss_code_behind(provenance, self.loss)
            self._check_alike({**provenance, "loss_code": loss_code}, self.provenance)
        self._next_runs = self._progress = None
        return contents.torn

    def startable(self) -> list[Run]:
        """The runs that can start now and are not in flight."""
        if self._next_runs is None:
            self._next_runs = plan.next_runs(
                self.study,
                self.dataset,
                self.loss,
                space=self.space,
                records=self.records,
            )
        return [run for run in self._next_runs if run.key not in self.in_flight]

    def add(self, record: Record) -> None:
        """Append a run's record to the file; Problem where it was made unlike the others."""
        for before in (self.provenance, *(r.provenance for r in self.records[:1])):
            self._check_alike(before, record.provenance)
        record = plan.mark_raced_out(self.study, record, self.records)
        records.append(self.path, record)
        self.records.append(record)
        self._next_runs = self._progress = None

    def _check_alike(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Problem where records of two makings would be averaged."""
        unlike = likeness.differences(likeness.making(before), likeness.making(now))
        if unlike:
            raise Problem(
                f"{self.path}: its records would be unlike each other ({'; '.join(unlike)}) and "
                "averaged all the same; nothing was recorded: undo that, or set the old records "
                "aside (study --fresh), or give another folder (--results NEW) or study"
            )

    def progress(self) -> plan.Progress:
        """How many runs are planned and done."""
        if self._progress is None:
            self._progress = plan.progress(self.study, self.loss, self.records)
        return self._progress
