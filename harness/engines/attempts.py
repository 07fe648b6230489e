"""Attempts at runs that left no record: which come again, after a pause or alone, and which wait.

A run that diverged, or that raises the same exception a second time, is a failure record. One that
ran out of memory comes once more, while nothing else runs. One that was ended from outside comes
again after a pause, alone, and then at the next start of the study: it is never a failure record,
because later trials would be proposed by it.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from harness.engines.endings import OUT_OF_MEMORY, ended_its_process
from harness.schema import Diverged, Record, Run

PAUSES = (10.0, 60.0)  # seconds before a run that was ended from outside comes again
MAX_RAISED = 3  # exceptions of a run, of whatever kinds, before it is a failure record
FAULTY = 4  # runs of a loss, all of which raised, before no more of them start


@dataclass
class Attempts:
    """What happened to the runs of one job since this start of the study, by their keys."""

    raised: dict[str, list[str]] = field(default_factory=dict)  # the failures
    losses: Counter[str] = field(default_factory=Counter)
    again_at: dict[str, float] = field(default_factory=dict)  # by time.monotonic
    alone: set[str] = field(default_factory=set)  # to be run while nothing else does
    left: dict[str, str] = field(default_factory=dict)  # to the next start, and why

    def stands(self, record: Record) -> bool:
        """Whether a record is its run's last word; otherwise the run comes again."""
        failure = record.failure
        if failure is None or not by_exception(failure):
            return True
        earlier = self.raised.setdefault(record.key, [])
        is_repeated = _kind(failure) in map(_kind, earlier)
        earlier.append(failure)
        if is_repeated or len(earlier) >= MAX_RAISED:
            return True
        if _kind(failure) == OUT_OF_MEMORY:
            self.alone.add(record.key)
        return False

    def lose(self, run: Run, reason: str) -> str:
        """Put off a run that was ended from outside; the line that says until when."""
        self.losses[run.key] += 1
        what = f"{run.loss} {run.key}: {reason}"
        if self.losses[run.key] > len(PAUSES):
            self.left[run.key] = reason
            return f"{what}; it has no record, and the next start of the study tries it again"
        pause = PAUSES[self.losses[run.key] - 1]
        self.again_at[run.key] = time.monotonic() + pause
        self.alone.add(run.key)
        return f"{what}; again in {pause:.0f} s, while nothing else runs"

    def may_start(self, key: str) -> bool:
        """Whether a run is neither waiting nor left."""
        return key not in self.left and self.again_at.get(key, 0.0) <= time.monotonic()

    @property
    def waiting(self) -> bool:
        """Whether some run's pause is not over."""
        return max(self.again_at.values(), default=0.0) > time.monotonic()


def by_exception(failure: str) -> bool:
    """Whether a failure is an exception that the run raised, and no divergence."""
    return _kind(failure) != Diverged.__name__ and not ended_its_process(failure)


def _kind(failure: str) -> str:
    return failure.partition(":")[0].partition(" ")[0]
