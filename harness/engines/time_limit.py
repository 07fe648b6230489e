"""How long a run may take before it is ended: a loss that never returns must not hang a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

from harness.engines.jobs import Job
from harness.schema import Record, Run, Study

TIMES = 20  # of the longest run seen so far
LEAST_SECONDS = 2 * 3600.0
FIRST_SECONDS = 24 * 3600.0  # while no run has been seen


@runtime_checkable
class Ending(Protocol):
    """An engine that can end a single run in flight, which then fails with the reason."""

    def end(self, future: Future[Record], reason: str) -> None:
        """End the run of a future."""


class TimeLimit:
    """Ends runs in flight that take longer than they may, where the engine can."""

    def __init__(self, jobs: Sequence[Job], engine: object, notify: Callable[..., None]) -> None:
        self.engine = engine if isinstance(engine, Ending) else None
        self.notify = notify
        self.longest: dict[str, float] = {}  # dataset -> seconds of its longest run
        for job in jobs:
            for record in job.records:
                self.see(record)
        self.started: dict[Future[Record], float] = {}  # by time.monotonic

    def see(self, record: Record) -> None:
        """Take the seconds of a run that has ended into account."""
        if _is_seen(record):
            before = self.longest.get(record.dataset, 0.0)
            self.longest[record.dataset] = max(before, record.seconds)

    def apply(self, in_flight: Mapping[Future[Record], tuple[Job, Run]]) -> None:
        """End every run that is over its limit."""
        if self.engine is None:
            return
        now = time.monotonic()
        self.started = {future: self.started.get(future, now) for future in in_flight}
        for future, (job, run) in in_flight.items():
            allowed = seconds_allowed(job.study, self.longest.get(job.dataset, 0.0))
            if now - self.started[future] > allowed:
                reason = f"it took longer than {allowed / 3600:.3g} hours ({_why(job.study)})"
                self.notify("line", f"{run.loss} {run.key}: {reason}; it is ended")
                self.engine.end(future, reason)


def seconds_allowed(study: Study, longest: float) -> float:
    """The seconds that a run may take: the study's `run_hours`, or generous by the longest run."""
    if study.run_hours is not None:
        return 3600 * study.run_hours
    return max(LEAST_SECONDS, TIMES * longest) if longest else FIRST_SECONDS


def _why(study: Study) -> str:
    if study.run_hours is not None:
        return "run_hours of the study"
    return (
        f"{LEAST_SECONDS / 3600:g} hours or {TIMES} times the longest run on the dataset so far; "
        "run_hours in a study's file sets another limit"
    )


def _is_seen(record: Record | Any) -> bool:
    """Whether a record tells how long runs take: it trained to its end."""
    return record.failure is None and record.stage != "ensemble" and bool(record.curve)
