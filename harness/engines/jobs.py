"""A loss of a study on a dataset while it is being conducted: its file, and what may join it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.engines.attempts import FAULTY, Attempts, by_exception
from harness.engines.endings import Lost
from harness.protocol import again, likeness, plan, search
from harness.records import code, folder, records, set_aside
from harness.schema import Problem, Record, Run, Stopped, Study


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
    attempts: Attempts = field(default_factory=Attempts)
    retries_failed: bool = False  # whether failures are set aside once the file is locked
    # Whether this process is still the only one that may write the file.
    is_held: Callable[[], bool] = field(default=lambda: True, repr=False)
    # Bytes of the file as this process left it.
    _size: int = field(default=0, init=False, repr=False)
    # Both follow from the records, and are worked out when they are first needed.
    _next_runs: list[Run] | None = field(default=None, init=False, repr=False)
    _progress: plan.Progress | None = field(default=None, init=False, repr=False)

    def load(self) -> str | None:
        """Read the records on disk; the message about a torn last line if there is one.

        Problem where one of them was altered, or new ones would be unlike them.
        """
        self._size = _size_of(self.path)
        contents = records.read(self.path)
        self.records = list(contents.records)
        if contents.altered:
            place = min(contents.altered)
            raise Problem(
                f"{self.path}: line {place + 1}, {self.records[place].key}: {records.ALTERED}; "
                "restore it, or take the line out, its run is then done again"
            )
        # Of failures that are about to be set aside nothing is averaged, and what they failed by
        # may have been mended since.
        leaving = set(again.redone(self.study, self.records)) if self.retries_failed else set()
        staying = (r for place, r in enumerate(self.records) if place not in leaving)
        for provenance in {id(r.provenance): r.provenance for r in staying}.values():
            loss_code = code.loss_code_behind(provenance, self.study.base_of(self.loss))
            self._check_alike({**provenance, "loss_code": loss_code}, self.provenance)
            self._check_study(provenance)
        self._next_runs = self._progress = None
        return contents.torn

    def set_failures_aside(self) -> str | None:
        """Take failures and what followed from them out of the file; the line that says so.

        The file is locked and read.
        """
        before = self.records
        places = again.redone(self.study, before)
        if not places:
            return None
        target = set_aside.set_lines_aside(self.path, places)
        n_failures = sum(before[place].failure is not None for place in places)
        return (
            f"{self.loss} on {self.dataset}: {n_failures} failures and {len(places) - n_failures} "
            f"records that followed from them are set aside in {target}; their runs are done again"
        )

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
        if self.fault is not None:
            return []
        return [
            run
            for run in self._next_runs
            if run.key not in self.in_flight and self.attempts.may_start(run.key)
        ]

    @property
    def fault(self) -> str | None:
        """Why no more runs of the loss start: all that ended raised an exception; or None."""
        if len(self.records) < FAULTY:
            return None
        if not all(r.failure is not None and by_exception(r.failure) for r in self.records):
            return None
        first = self.records[0]
        return f"{first.key}: {first.failure} (and so in all {len(self.records)} runs so far)"

    def check_writer(self) -> None:
        """Problem where another process may write the file, or has written it."""
        if not self.is_held():
            wrong = f"its lock {folder.lock_path(self.path)} was removed or replaced"
        elif _size_of(self.path) != self._size:
            wrong = "another process wrote it"
        else:
            return
        raise Problem(
            f"{self.path}: {wrong} while this study ran, so nothing more is recorded: see that "
            "only one study writes there, then the same command carries on"
        )

    def add(self, record: Record) -> None:
        """Append a run's record to the file; Problem where it was made unlike the others."""
        # a run that was given up has no provenance, and says nothing of the others
        made = next((r.provenance for r in self.records if r.provenance), {})
        for before in (self.provenance, made):
            self._check_alike(before, record.provenance)
        record = plan.mark_raced_out(self.study, record, self.records)
        self.check_writer()
        records.append(self.path, record)
        self._size = _size_of(self.path)
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

    def _check_study(self, provenance: Mapping[str, Any]) -> None:
        """Problem where a record is of another study than the job's, such as a changed variant."""
        digest = provenance.get("study", self.study.digest())
        if digest != self.study.digest():
            raise Problem(
                f"{self.path}: it holds records of {self.loss} by another definition (study "
                f"{digest}, now {self.study.digest()}), which would count as this one's; restore "
                "the definition, or set the old records aside (study --fresh), or give another name"
            )

    def progress(self) -> plan.Progress:
        """How many runs are planned and done."""
        if self._progress is None:
            self._progress = plan.progress(self.study, self.loss, self.records)
        return self._progress


def next_run(jobs: Sequence[Job], in_flight: Collection[tuple[Job, Run]]) -> tuple[Job, Run] | None:
    """The run that a free slot should take, if one can start.

    A run that must be alone starts when nothing is in flight, and nothing starts before it ends.
    """
    ready = [(job, run) for job in jobs for run in job.startable()]
    alone = [(job, run) for job, run in [*in_flight, *ready] if run.key in job.attempts.alone]
    if alone:
        return None if in_flight else alone[0]
    first = {id(job): (job, run) for job, run in reversed(ready)}
    in_order = [first[id(job)] for job in jobs if id(job) in first]
    return min(in_order, key=lambda pair: len(pair[0].in_flight), default=None)


def conclude(
    job: Job, run: Run, future: Future[Record], *, stopped: bool, notify: Callable[..., None]
) -> Record | None:
    """Record what a run that has ended left behind; None where it left nothing or comes again."""
    try:
        record = _record_from(future, stopped=stopped)
    except Lost as lost:
        notify("line", job.attempts.lose(run, str(lost)))
        return None
    if record is None:
        return None
    if not job.attempts.stands(record):
        notify("line", f"{run.loss} {run.key}: {record.failure}; once more")
        return None
    job.add(record)
    notify("record", job, record)
    if job.fault is not None:
        notify("line", f"{run.loss}: no more runs start: {job.fault}")
    return record


def _record_from(future: Future[Record], *, stopped: bool) -> Record | None:
    """The record of a run that has ended, or None if it ended early because the study stops."""
    try:
        return future.result()
    except (Stopped, CancelledError):
        if not stopped:
            raise
        return None


def _size_of(path: Path) -> int:
    """A file's size in bytes, 0 where it does not exist."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
