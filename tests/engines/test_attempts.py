"""Runs that raise, run out of memory or are killed from outside; locks that others touch."""

from __future__ import annotations

import functools
import os
import signal
import threading
from concurrent.futures import Future
from dataclasses import replace

import pytest

from harness.engines import attempts, conductor, endings
from harness.engines.endings import Lost
from harness.engines.local import Local
from harness.protocol import plan
from harness.records import folder, records
from harness.schema import Problem, Stopped
from tests.engines import interrupted
from tests.engines.scripted import SMALL, Scripted, conduct, failed, job_in
from tests.made import HANGS, SPACE, comparable, done, needs_proc, play


def of(job):
    return comparable(list(records.read(job.path).records))


@pytest.fixture
def whole():
    return comparable(play(lambda runs: runs[0], study=SMALL))


@pytest.fixture
def without_pauses(monkeypatch):
    monkeypatch.setattr(attempts, "PAUSES", (0.0, 0.01))


def test_a_run_killed_from_outside_again_and_again_changes_no_record(
    tmp_path, whole, without_pauses
):
    kills = {"search-t1-f0": 2, "repeat-t2-r0-f1": 2, "search-t0-f1": 1}

    assert {f"made/{key}" for key in kills} <= set(whole)

    def outcome(run):
        if kills.get(run.key, 0):
            kills[run.key] -= 1
            return Lost("killed")
        return done(run)

    job = job_in(tmp_path)
    lines = conduct([job], outcome)
    assert of(job) == whole
    assert sum("killed; again in" in line for line in lines) == 5


def test_a_run_that_is_always_killed_is_left_to_the_next_start_which_ends_with_the_same_records(
    tmp_path, whole, without_pauses
):
    job = job_in(tmp_path)
    lines = conduct([job], lambda run: Lost("killed") if run.key == "search-t1-f0" else done(run))
    assert "search-t1-f0" in lines[-1]
    assert "next start" in lines[-1]
    assert list(job.attempts.left) == ["search-t1-f0"]
    assert not [key for key in of(job) if "t2" in key], "a later trial was proposed without it"
    again = job_in(tmp_path)
    conduct([again], done)
    assert of(again) == whole


def test_the_same_exception_twice_is_a_failure_and_another_one_is_tried_again(tmp_path):
    seen: dict[str, list[str]] = {}
    raised = {
        "search-t0-f0": ["ValueError: 1", "ValueError: 2"],
        "search-t1-f0": ["ValueError: 1", None],
        "search-t2-f0": ["ValueError: 1", "KeyError: 2", "OSError: 3"],
        "search-t2-f1": ["Diverged: NaN"],
    }

    def outcome(run):
        tries = seen.setdefault(run.key, [])
        failure = (raised.get(run.key, [None]))[len(tries)]
        tries.append(run.key)
        return done(run) if failure is None else failed(run, failure)

    job = job_in(tmp_path)
    conduct([job], outcome)
    failures = {r.key: r.failure for r in job.records if r.failure is not None}
    assert failures == {key: raised[key][-1] for key in raised if key != "search-t1-f0"}
    assert {key: len(seen[key]) for key in raised} == {key: len(raised[key]) for key in raised}


def test_a_run_out_of_memory_comes_once_more_while_nothing_else_runs(tmp_path, whole):
    beside: list[set[str]] = []
    running: set[str] = set()
    lock = threading.Lock()
    first = [True]

    class Threads(Scripted):
        def submit(self, run):
            future: Future = Future()

            def work():
                with lock:
                    running.add(run.key)
                    if run.key == "search-t0-f1" and not first[0]:
                        beside.append(set(running))
                threading.Event().wait(0.02)
                is_first = run.key == "search-t0-f1" and first[0]
                with lock:
                    running.discard(run.key)
                    if is_first:
                        first[0] = False
                future.set_result(failed(run, "OutOfMemoryError: x") if is_first else done(run))

            threading.Thread(target=work).start()
            return future

    job = job_in(tmp_path)
    conductor.conduct([job], Threads(None, 4), lambda *_: None)
    assert beside == [{"search-t0-f1"}]
    assert of(job) == whole


def test_a_loss_that_always_raises_stops_after_a_few_runs_and_the_other_one_is_finished(tmp_path):
    job, other = job_in(tmp_path), job_in(tmp_path, "other")
    lines = conduct(
        [job, other], lambda run: failed(run, "TypeError: no") if run.loss == "made" else done(run)
    )
    assert 4 <= len(job.records) <= 6
    assert "search-t0-f0: TypeError: no" in str(job.fault)
    assert any("no more runs start" in line for line in lines)
    assert other.progress().finished


@pytest.mark.parametrize("what", ["removed", "replaced", "written"])
def test_whoever_loses_the_lock_or_meets_another_writer_stops_and_records_nothing_more(
    tmp_path, what
):
    job = job_in(tmp_path)
    lock = folder.lock_path(job.path)

    def outcome(run):
        if run.key == "search-t1-f0":
            if what == "written":
                with job.path.open("a") as file:
                    file.write("{}\n")
            else:
                lock.unlink()
            if what == "replaced":
                with folder.hold(job.path):
                    pass
        return done(run)

    with pytest.raises(Problem, match=r"another process wrote it|removed or replaced") as caught:
        conduct([job], outcome, slots=1)
    assert str(job.path) in str(caught.value)
    assert [record.key for record in job.records] == ["search-t0-f0", "search-t0-f1"]
    assert job.path.read_bytes().count(b"\n") == 2 + (what == "written")


def test_failures_set_aside_with_what_followed_are_redone_to_the_records_of_a_whole_study(
    tmp_path, whole
):
    job = job_in(tmp_path)
    conduct(
        [job], lambda run: failed(run, "Diverged: x") if run.key == "search-t1-f1" else done(run)
    )
    before = job.path.read_text().splitlines()
    again = job_in(tmp_path)
    again.load()
    line = again.set_failures_aside() or ""
    again.load()
    kept = [record.key for record in records.read(again.path).records]
    assert sorted(kept) == ["search-t0-f0", "search-t0-f1", "search-t1-f0"]
    assert f"1 failures and {len(before) - 4} records" in line
    (aside,) = (again.path.parent / folder.SET_ASIDE).glob("*/made.jsonl")
    assert sorted(before) == sorted(
        again.path.read_text().splitlines() + aside.read_text().splitlines()
    )
    conduct([again], done)
    assert of(again) == whole
    assert again.set_failures_aside() is None


def test_a_fold_model_that_failed_takes_its_ensemble_and_the_complete_runs_with_it(tmp_path, whole):
    job = job_in(tmp_path)
    conduct(
        [job], lambda run: failed(run, "Diverged") if run.key == "repeat-t2-r1-f0" else done(run)
    )
    assert any(key.startswith("made/repeat-t2") for key in whole)
    job.set_failures_aside()
    kept = {f"made/{record.key}" for record in records.read(job.path).records}
    gone = set(whole) - kept
    assert {key.split("/")[1].rsplit("-e", 1)[0] for key in gone} == {
        *("repeat-t2-r1-f0", "ensemble-t2-r1", "complete-t2-r0", "complete-t2-r1"),
    }


@pytest.mark.parametrize(
    ("code", "crash"),
    [(-9, None), (-15, None), (-1, None), (-11, "SIGSEGV"), (-6, "SIGABRT"), (0, "exit code 0")],
)
def test_a_process_ended_by_itself_or_from_outside(code, crash):
    assert endings.crash(code) == crash


class Awkward(Exception):
    """Cannot be made again from its arguments, as a pickle would."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Awkward(1, 2), "Awkward: 1 2"),
        (SystemExit(0), "SystemExit: 0"),
        (Stopped("x"), "x"),
        (Problem("y"), "y"),
    ],
)
def test_every_outcome_of_a_worker_can_be_read_by_the_conductor(error, expected):
    import pickle

    run = plan.next_runs(SMALL, "made", "made", space=SPACE, records=[])[0]
    outcome = pickle.loads(pickle.dumps(endings.readable(error, run)))
    assert isinstance(outcome, (Problem, Stopped))
    assert expected in str(outcome)


def test_a_full_disk_is_no_failure_of_the_run():
    with pytest.raises(Problem, match="nothing was recorded"):
        endings.failure_of(OSError(28, "No space left on device", "x"))
    assert endings.failure_of(RuntimeError("DefaultCPUAllocator: can't allocate memory: 1")) == (
        "OutOfMemoryError: DefaultCPUAllocator: can't allocate memory: 1"
    )
    assert endings.failure_of(MemoryError()).startswith("OutOfMemoryError")


def test_a_worker_whose_gpu_is_lost_ends_so_that_no_other_run_fails_by_it(monkeypatch):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    run = plan.next_runs(SMALL, "made", "made", space=SPACE, records=[])[0]
    for failure in ("AcceleratorError: CUDA error: device-side assert", "ValueError: x", None):
        endings.leave_if_gpu_is_lost(replace(done(run), failure=failure))
    endings.leave_if_gpu_is_lost(Problem("CUDA error: unspecified launch failure"))
    assert codes == [70, 70]


def die(run, places, stopping, number):
    os.kill(os.getpid(), number)


@pytest.mark.slow
@needs_proc
def test_a_crash_twice_is_a_failure_record_and_two_kills_are_not(tmp_path):
    where = interrupted.places(tmp_path)
    run = plan.next_runs(SMALL, "made", "made", space=SPACE, records=[])[0]
    crashing = Local([where], functools.partial(die, number=signal.SIGSEGV))
    killed = Local([where], functools.partial(die, number=signal.SIGKILL))
    try:
        record = crashing.submit(run).result(HANGS)
        assert "2 times at the same place (SIGSEGV, SIGSEGV)" in str(record.failure)
        with pytest.raises(Lost, match="killed from outside 2 times"):
            killed.submit(run).result(HANGS)
    finally:
        crashing.close()
        killed.close()
