"""Kills what executes runs at random moments, on any engine; KILLS=50 makes the tests longer."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines import attempts, conductor
from harness.engines.execute import Execute, Places
from harness.schema import Study
from tests.engines import interrupted
from tests.made import SHORT_PAUSES, children_of, is_worker


def kills(least: int) -> int:
    """How many kills a test makes: those of the environment's KILLS, or the least."""
    return max(least, int(os.environ.get("KILLS", "0")))


def study_for(kills: int) -> Study:
    """A study with enough runs for so many kills, two of a run at most."""
    return replace(interrupted.SMALL, trials=max(3, kills // 4))


def workers() -> list[int]:
    """The worker processes of this process, whether they execute a run or wait for one."""
    return [pid for pid in children_of(os.getpid()) if is_worker(pid)]


def executing(where: Places) -> list[int]:
    """The processes that execute a run now, on whatever engine of this machine."""
    last = {epoch.pid: epoch.phase for epoch in interrupted.trace(where)}
    return [pid for pid, phase in last.items() if phase != interrupted.ENDED and _is_alive(pid)]


def records_of_both(
    root: Path,
    engine_of: Callable[[Places, Execute], conductor.Engine],
    *,
    least: int,
    are_children: bool = True,
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """A study's records run one after the other in this process, and on an engine under kills.

    There are `least` kills or more, of this process's workers where these are its children, else of
    whatever executes runs.
    """
    number = kills(least)
    study, folder = study_for(number), interrupted.folder(root)
    expected = interrupted.sequential(root / "sequential", folder, study)
    (root / "killed").mkdir()
    where = interrupted.places(root / "killed")
    jobs = interrupted.jobs(where, folder, study)
    engine = engine_of(where, functools.partial(interrupted.slowly, pause=0.25))
    victims = workers if are_children else functools.partial(executing, where)
    thread = Killer(jobs[0], where, number, victims)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attempts, "PAUSES", SHORT_PAUSES)
            conductor.conduct(jobs, engine, lambda *_: None)
    finally:
        thread.over.set()
        thread.join()
        engine.close()
    thread.assert_done()
    return expected, interrupted.recorded(jobs)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


class Killer(threading.Thread):
    """Kills random victims at random moments; `hits` are the keys of their runs.

    A run that was hit is not hit again before it has a new checkpoint, because two deaths at one
    place make it wait; and it is hit twice at most, so that the hits spread over a study whose
    workers start slowly. A victim is stopped while its run is looked up, which cannot change then.
    """

    def __init__(
        self,
        job: conductor.Job,
        where: Places,
        kills: int,
        victims: Callable[[], Collection[int]],
    ) -> None:
        super().__init__()
        self.job, self.where, self.victims = job, where, victims
        self.kills, self.draw = kills, random.Random(int(time.time()))
        self.hits: list[str] = []
        self.hit_before: set[str] = set()  # keys of runs that were hit, or may have been
        self.over = threading.Event()

    def run(self) -> None:
        while len(self.hits) < self.kills and not self.over.wait(self.draw.uniform(0.1, 1.0)):
            victims = list(self.victims())
            if not victims:
                continue
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                self.meet(self.draw.choice(victims))

    def meet(self, victim: int) -> None:
        """Kill a process, or let it go on if it may not be hit now."""
        os.kill(victim, signal.SIGSTOP)
        time.sleep(0.2)  # until the conductor has recorded what the victim finished
        key, has_checkpoint = self.run_of(victim)
        hit = {key} if key else set(self.job.in_flight)
        may_again = has_checkpoint and self.hits.count(key) < 2
        if not hit & self.hit_before or may_again:
            os.kill(victim, signal.SIGKILL)
            self.hits.append(key)
            self.hit_before |= hit
        else:
            os.kill(victim, signal.SIGCONT)

    def run_of(self, victim: int) -> tuple[str, bool]:
        """The key of a process's run, "" between runs; whether this process wrote a checkpoint."""
        epochs = [epoch for epoch in interrupted.trace(self.where) if epoch.pid == victim]
        if not epochs or epochs[-1].phase == interrupted.ENDED:
            return "", False
        key = epochs[-1].key
        trained = sum(epoch.key == key and epoch.number > 0 for epoch in epochs)
        checkpoints = self.where.results.rglob(f"{key}.checkpoint")
        return key, trained >= 2 and any(checkpoints)

    def assert_done(self) -> None:
        """All kills were made, and hit many runs."""
        assert len(self.hits) == self.kills, self.hits
        assert len(set(self.hits)) >= self.kills // 3
