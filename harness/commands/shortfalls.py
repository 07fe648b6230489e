"""What keeps a study from being whole after it has run: every such loss, in one Problem."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.engines.jobs import Job


FOLDERS = ("losses/", "harness/training/trunks/", "harness/data/datasets/")  # of users' files


def check(jobs: Sequence[Job]) -> None:
    """Problem with what is missing of each loss, and what to do about it."""
    from harness.schema import Problem

    lines = [line for job in jobs if (line := _shortfall(job)) is not None]
    if lines:
        raise Problem("; ".join(lines))


def _shortfall(job: Job) -> str | None:
    """What is missing of a loss in words, or None where its study is whole."""
    from harness.schema import TRIAL_STAGES

    name = f"{job.loss} on {job.dataset}"
    if job.fault is not None:
        return (
            f"{name}: {job.fault}; mend {_file_at_fault(job)}, then the same command with "
            "--retry-failed"
        )
    if job.attempts.left:
        key, reason = next(iter(job.attempts.left.items()))
        more = len(job.attempts.left) - 1
        return (
            f"{name}: {key}{f' and {more} more' if more else ''} left no record: {reason}; the "
            "same command tries again, better with fewer --workers"
        )
    failed = [record for record in job.records if record.failure is not None]
    searched = [record for record in job.records if record.stage in TRIAL_STAGES]
    if failed and searched and job.progress().best_trial is None:
        return (
            f"{name}: every trial failed; the first one, {failed[0].key}: {failed[0].failure} "
            f"(params {json.dumps(dict(failed[0].params))}); widen or mend its search space "
            f"(`python -m harness losses check {job.study.base_of(job.loss)}` tries the loss "
            "alone), then the same command with --retry-failed"
        )
    return None


def _file_at_fault(job: Job) -> str:
    """The file that a fault names, or the loss's; a baseline has none, so then the network's."""
    from harness.schema import BASELINES

    named = re.search(r"\((\S+\.py):\d+\)", job.fault or "")
    if named and named[1].startswith(FOLDERS):
        return named[1]
    if job.loss in BASELINES:
        return f"the trunk {job.study.trunk}, or what the message names"
    return f"losses/{job.study.base_of(job.loss)}.py"
