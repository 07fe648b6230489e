"""Runs that never end: they are ended after a time that is generous by the runs seen so far."""

from __future__ import annotations

import time
import types
from concurrent.futures import Future
from dataclasses import replace

import pytest

from harness.engines import conductor, time_limit
from harness.engines.local import Local
from harness.protocol import plan
from harness.records import records
from harness.schema import Problem
from tests.engines import interrupted
from tests.engines.scripted import SMALL, Scripted, job_in
from tests.made import HANGS, SPACE, comparable, done, needs_proc, play


def test_without_runs_a_day_then_twenty_times_the_longest_and_at_least_two_hours():
    assert time_limit.seconds_allowed(SMALL, 0.0) == 24 * 3600
    assert time_limit.seconds_allowed(SMALL, 10.0) == 2 * 3600
    assert time_limit.seconds_allowed(SMALL, 3600.0) == 20 * 3600
    assert time_limit.seconds_allowed(replace(SMALL, run_hours=0.5), 3600.0) == 1800


def test_the_limit_is_no_part_of_what_a_study_is():
    assert replace(SMALL, run_hours=3.0).digest() == SMALL.digest()
    for hours in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(Problem, match="run_hours"):
            replace(SMALL, run_hours=hours)


class Endless(Scripted):
    """One run never ends; it can be ended."""

    def submit(self, run):
        return Future() if run.key == "search-t0-f1" else super().submit(run)

    def end(self, future, reason):
        future.set_result(done(self.hanging, failure=f"it ended its process: {reason}", scores={}))


def test_a_run_over_its_limit_is_a_failure_that_says_so_and_the_study_goes_on(tmp_path):
    study = replace(SMALL, run_hours=0.3 / 3600)
    engine = Endless(done)
    runs = plan.next_runs(study, "made", "made", space=SPACE, records=[])
    engine.hanging = next(run for run in runs if run.key == "search-t0-f1")
    job = job_in(tmp_path, study=study)
    begun = time.monotonic()
    conductor.conduct([job], engine, lambda *_: None)
    assert time.monotonic() - begun < 30
    recorded = comparable(list(records.read(job.path).records))
    failed = {key: one["failure"] for key, one in recorded.items() if one["failure"]}
    assert list(failed) == ["made/search-t0-f1"]
    assert "run_hours of the study" in str(failed["made/search-t0-f1"])
    assert job.progress().finished
    assert len(recorded) == len(play(lambda runs: runs[0], study=study))


def sleep(run, places, stopping):
    time.sleep(3600)


@pytest.mark.slow
@needs_proc
def test_a_worker_that_sleeps_for_ever_is_ended_by_the_conductor(tmp_path):
    where = interrupted.places(tmp_path)
    run = plan.next_runs(SMALL, "made", "made", space=SPACE, records=[])[0]
    engine = Local([where], sleep)
    try:
        future = engine.submit(run)
        time.sleep(1.0)
        engine.end(future, "made up")
        assert "made up" in str(future.result(HANGS).failure)
        second = engine.submit(run)  # its slot is free again
        engine.end(second, "again")
        assert "again" in str(second.result(HANGS).failure)
    finally:
        engine.close()


def test_short_runs_of_one_dataset_do_not_shorten_those_of_another(tmp_path):
    small, large = job_in(tmp_path / "small", study=SMALL), job_in(tmp_path / "large", study=SMALL)
    large.dataset = "large"
    limit = time_limit.TimeLimit([small, large], Endless(done), lambda *_: None)
    run = plan.next_runs(SMALL, "made", "made", space=SPACE, records=[])[0]
    limit.see(replace(done(run), seconds=60.0, curve=[{"epoch": 1}]))
    ended = []
    limit.engine = types.SimpleNamespace(end=lambda future, reason: ended.append((future, reason)))
    futures = {Future(): (small, run), Future(): (large, run)}
    three_hours_ago = time.monotonic() - 3 * 3600
    limit.started = dict.fromkeys(futures, three_hours_ago)
    limit.apply(futures)
    assert [future for future, _ in ended] == list(futures)[:1]
    assert "2 hours or 20 times the longest run on the dataset so far" in ended[0][1]
