"""What keeps a study from being whole, said of every loss at once."""

from __future__ import annotations

import pytest

from harness.commands import shortfalls
from harness.engines import attempts
from harness.engines.endings import Lost
from harness.schema import Problem
from tests.engines.scripted import conduct, failed, job_in
from tests.made import done


def test_every_loss_that_is_not_whole_is_named_with_run_reason_and_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(attempts, "PAUSES", (0.0,))
    jobs = [job_in(tmp_path, loss) for loss in ("faulty", "lost", "hopeless", "good")]

    def outcome(run):
        if run.loss == "faulty":
            return failed(run, "TypeError: no")
        if run.loss == "hopeless":
            return failed(run, "Diverged: NaN")
        if (run.loss, run.key) == ("lost", "search-t1-f0"):
            return Lost("killed")
        return done(run)

    conduct(jobs, outcome)
    with pytest.raises(Problem) as caught:
        shortfalls.check(jobs)
    text = str(caught.value)
    for part in (
        "faulty on made: search-t0-f0: TypeError: no",
        "mend losses/faulty.py, then the same command with --retry-failed",
        "lost on made: search-t1-f0 left no record: killed; the same command tries again",
        "hopeless on made: every trial failed; the first one, search-t0-f",
    ):
        assert part in text
    assert "good on made" not in text
    shortfalls.check([jobs[3]])
