"""Studies that are asked to end, and workers that are killed: real processes, the same records."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands import signals
from harness.engines import conductor as conductor
from harness.engines.execute import Places
from harness.engines.local import Local
from tests.engines import interrupted
from tests.made import children_of

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to find workers"
)


def conduct(folder: str, root: str, pause: str, patience: str) -> None:
    """What `study` does between its options and its table, in a process of its own."""
    signals.SECONDS = float(patience)
    where = interrupted.places(Path(root))
    found = interrupted.jobs(where, Path(folder))
    slowly = functools.partial(interrupted.slowly, every=3600.0, pause=float(pause))
    engine = Local([where] * 2, slowly)
    try:
        with signals.Ending() as ending:
            whole = conductor.conduct(found, engine, tell, ending)
        code = 0 if whole else ending.code
    except KeyboardInterrupt as stop:
        code = 1000 + stop.args[0]
    finally:
        engine.close()
    print(code)


def tell(event: str, *told: object) -> None:
    if event == "stopping":
        print(*told, flush=True)


def start(*words: object) -> subprocess.Popen[str]:
    code = (
        f"from tests.engines.test_stop import conduct; conduct(*{[str(word) for word in words]!r})"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def wait_for_epoch(where: Places, number: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not any(epoch.number >= number for epoch in interrupted.trace(where)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return interrupted.folder(tmp_path_factory.mktemp("stop"))


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    return interrupted.sequential(tmp_path_factory.mktemp("sequential"), folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_one_signal_runs_in_flight_keep_a_checkpoint_from_which_the_next_start_goes_on(
    folder, expected, tmp_path, number
):
    (tmp_path / "stopped").mkdir()
    where = interrupted.places(tmp_path / "stopped")
    process = start(folder, tmp_path / "stopped", 0.3, 60)
    wait_for_epoch(where, 2, process)
    process.send_signal(number)
    told = process.communicate(timeout=60)[0].splitlines()
    assert "finish their epoch and keep a checkpoint" in told[0]
    assert told[1:] == [str(128 + number)]
    kept = {path.stem for path in where.results.rglob("*.checkpoint")}
    assert kept == {"search-t0-f0", "search-t0-f1"}
    assert not list(where.results.rglob("contrastive.jsonl"))
    again = start(folder, tmp_path / "stopped", 0.0, 60)
    assert again.communicate(timeout=120)[0] == "0\n"
    assert interrupted.recorded(interrupted.jobs(where, folder)) == expected
    for key in kept:
        first, second = interrupted.lives(where, key)
        assert second == list(range(first[-1] + 1, interrupted.SMALL.max_epochs + 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "patience", "code"),
    [
        ([signal.SIGINT, signal.SIGINT], 60, 1130),
        ([signal.SIGTERM], 1, 1143),
    ],
)
def test_a_second_signal_or_a_long_epoch_after_sigterm_stops_at_once(
    folder, tmp_path, numbers, patience, code
):
    where = interrupted.places(tmp_path)
    process = start(folder, tmp_path, 45, patience)
    wait_for_epoch(where, 1, process)
    begun = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.5)
    told = process.communicate(timeout=60)[0].splitlines()
    assert told[-1] == str(code)
    assert time.monotonic() - begun < 20
    assert not list(where.results.rglob("*.checkpoint"))


class Killer(threading.Thread):
    """Kills random workers of this process at random moments, and says which it hit.

    A run that is hit must get on before it is hit again: twice at one place is a run's own fault,
    and a failure. A victim is held still while it is judged, so that what it is at cannot change.
    """

    def __init__(self, job: conductor.Job, where: Places, kills: int, seed: int) -> None:
        super().__init__()
        self.job, self.where = job, where
        self.kills, self.draw = kills, random.Random(seed)
        self.hits: list[str] = []
        self.weak: set[str] = set()  # keys of runs that were hit, or may have been
        self.over = threading.Event()

    def run(self) -> None:
        while len(self.hits) < self.kills and not self.over.wait(self.draw.uniform(0.1, 1.0)):
            victims = [pid for pid in children_of(os.getpid()) if is_worker(pid)]
            if not victims:
                continue
            victim = self.draw.choice(victims)
            os.kill(victim, signal.SIGSTOP)
            time.sleep(0.2)  # until the conductor knows what it has handed to it
            key, got_on = self.at(victim)
            hit = {key} if key else set(self.job.flying)
            if not hit & self.weak or got_on:
                os.kill(victim, signal.SIGKILL)
                self.hits.append(key)
                self.weak |= hit
            else:
                os.kill(victim, signal.SIGCONT)

    def at(self, victim: int) -> tuple[str, bool]:
        """The run that a worker is at, "" between runs; whether it has a checkpoint of its own."""
        mine = [epoch for epoch in interrupted.trace(self.where) if epoch.pid == victim]
        if not mine or mine[-1].phase == interrupted.ENDED:
            return "", False
        key = mine[-1].key
        epochs = sum(epoch.key == key and epoch.number > 0 for epoch in mine)
        kept = self.where.results.rglob(f"{key}.checkpoint")
        return key, epochs >= 2 and any(kept)


def is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.slow
@needs_proc
def test_workers_killed_at_random_twenty_times_in_a_study_change_no_record(folder, tmp_path):
    study = replace(interrupted.SMALL, trials=3)
    expected = interrupted.sequential(tmp_path / "sequential", folder, study)
    (tmp_path / "killed").mkdir()
    where = interrupted.places(tmp_path / "killed")
    found = interrupted.jobs(where, folder, study)
    engine = Local([where] * 2, functools.partial(interrupted.slowly, pause=0.25))
    killer = Killer(found[0], where, kills=20, seed=int(time.time()))
    killer.start()
    try:
        conductor.conduct(found, engine, lambda *_: None)
    finally:
        killer.over.set()
        killer.join()
        engine.close()
    assert len(killer.hits) == 20, killer.hits
    assert len(set(killer.hits)) >= 5
    assert interrupted.recorded(found) == expected


def die(run, places, stopping):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@needs_proc
def test_a_run_that_kills_its_worker_twice_at_the_same_place_is_a_failure_that_says_so(
    folder, tmp_path
):
    where = interrupted.places(tmp_path)
    run = interrupted.jobs(where, folder)[0].startable()[0]
    engine = Local([where], die)
    try:
        record = engine.submit(run).result(180)
    finally:
        engine.close()
    assert "died 2 times at the same place" in str(record.failure)
    assert record.scores == {}


@pytest.mark.parametrize("in_flight", [False, True])
def test_nothing_of_an_engine_is_left_when_it_is_closed(folder, tmp_path, in_flight):
    where = interrupted.places(tmp_path)
    run = interrupted.jobs(where, folder)[0].startable()[0]
    before = {*threading.enumerate(), *multiprocessing.active_children()}
    engine = Local([where] * 2)
    future = engine.submit(run) if in_flight else None
    engine.close()
    assert {*threading.enumerate(), *multiprocessing.active_children()} <= before
    assert future is None or future.cancelled()
