"""Runs as Slurm job arrays, submitted with submitit from a login node; the jobs outlive it."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError

from harness.engines import execute, slurm_options
from harness.engines.execute import Places
from harness.engines.slurm_jobs import ENDED, Note, Task, job_of, last_words, note_of, states
from harness.engines.slurm_options import Options
from harness.schema import Problem, Record, Run, record_of

TICK_SECONDS = 0.5  # runs handed in between two ticks become one job array
SILENCE_SECONDS = 600.0  # for which squeue may fail before that is a Problem
ATTEMPTS = 3  # jobs that a run gets when they end without a result
NOT_THE_RUNS_FAULT = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED"}


@dataclass(eq=False)
class Flight:
    """A run that was handed in: its future, its note, and once it has one, its job."""

    run: Run
    outer: Future[Record]
    note: Note
    attempt: int = 1
    job: str = ""
    absent: int = 0  # looks in a row at which its job was no longer queued or running

    def __str__(self) -> str:
        return f"{self.run.loss} {self.run.key}: job {self.job}"


class Slurm:
    """One job per run, no more than options.max_queued; `close` leaves the jobs where they are.

    A run that already has a job, from this coordinator or an earlier one, is not submitted again.
    The results folder must be on a file system that the nodes share. The device auto means what
    the options ask Slurm for, not what this machine has.
    """

    def __init__(
        self,
        places: Places,
        options: Options,
        execute: Callable[[Run, Places], Record] = execute.execute,
    ) -> None:
        absent = [name for name in ("sbatch", "squeue", "srun") if shutil.which(name) is None]
        if absent:
            raise Problem(
                f"no {', '.join(absent)} on this machine; start from a login node of a Slurm "
                "cluster, or take another --engine"
            )
        device = options.device if places.device == "auto" else places.device
        self.places = replace(places, device=device)
        self.options, self.slots = options, options.max_queued
        self._execute = execute
        self._new: list[Flight] = []
        self._flying: list[Flight] = []
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="slurm", daemon=True)
        self._watcher.start()

    def submit(self, run: Run) -> Future[Record]:
        """Hand a run in; its job is found or submitted at the next tick."""
        flight = Flight(run, Future(), note_of(run, self.places))
        with self._lock:
            if self._failure is None:
                self._new.append(flight)
            else:
                flight.outer.set_exception(self._failure)
        return flight.outer

    def stop(self) -> str:
        """Let go of the jobs at once: they need no coordinator to finish."""
        self.close()
        return "stopping; jobs that Slurm has go on, and the next coordinator finds them"

    def close(self) -> None:
        """Let go of the jobs: they go on, and the next coordinator finds them."""
        self._closing.set()
        self._watcher.join()  # a submission under way is finished, so that its jobs are known
        for flight in [*self._new, *self._flying]:
            flight.outer.cancel()

    def _watch(self) -> None:
        looked = answered = time.monotonic()
        try:
            while not self._closing.wait(TICK_SECONDS):
                with self._lock:
                    new, self._new = self._new, []
                    self._flying += new
                self._begin(new)
                self._land()
                now = time.monotonic()
                if now - looked >= self.options.look_seconds:
                    looked = now
                    answered = now if not self._flying or self._look() else answered
                    if now - answered > SILENCE_SECONDS:
                        raise Problem(
                            f"squeue has failed for {SILENCE_SECONDS / 60:.0f} minutes; the jobs "
                            "go on; give the same command again when Slurm answers"
                        )
        except Exception as error:
            with self._lock:
                self._failure = error
                for flight in [*self._new, *self._flying]:
                    flight.outer.set_exception(error)
                self._new, self._flying = [], []

    def _begin(self, flights: Sequence[Flight]) -> None:
        """Attach each to the job that it already has, and submit those that have none."""
        missing: dict[Path, list[Flight]] = {}
        for flight in flights:
            told = flight.note.read()
            if told is not None and told["call"] == flight.note.call:
                flight.job, flight.attempt = told["job"], told["attempt"]
                continue
            if told is not None:  # the job of another study, seed or thread count
                subprocess.run(["scancel", told["job"]], check=False, capture_output=True)
                flight.note.remove(told["job"], logs=True)
            missing.setdefault(flight.note.path.parent, []).append(flight)
        for folder, group in missing.items():
            self._submit(folder, group)

    def _submit(self, folder: Path, flights: Sequence[Flight]) -> None:
        executor = SlurmExecutor(folder, max_num_timeout=self.options.timeouts)
        name = f"harness-{flights[0].run.study.name}"
        executor.update_parameters(
            **slurm_options.parameters(self.options, name, self.places.threads)
        )
        try:
            jobs = executor.submit_array(
                [
                    Task(self._execute, flight.run, self.places, flight.note.began)
                    for flight in flights
                ]
            )
        except (FailedJobError, FailedSubmissionError) as error:
            raise Problem(
                f"sbatch refuses {len(flights)} jobs: {error}; correct {self.options.path}, or "
                "lower its max_queued"
            ) from None
        for flight, job in zip(flights, jobs, strict=True):
            flight.job, flight.absent = job.job_id, 0
            flight.note.write(flight.job, flight.attempt)

    def _land(self) -> None:
        """Hand out the results that lie in the job folders."""
        folders = {flight.note.path.parent for flight in self._flying}
        there = {path for folder in folders for path in folder.iterdir()}
        for flight in list(self._flying):
            job = job_of(flight.note, flight.job)
            if job.paths.result_pickle not in there:
                continue
            failure: Exception | None = job.exception()
            told = job.result() if failure is None else None
            if isinstance(told, Problem):
                failure = told
            elif failure is not None and "timed-out too many times" in str(failure):
                failure = Problem(
                    f"{flight} reached its time limit more than {self.options.timeouts} times; "
                    f"raise time_minutes or timeouts in {self.options.path}"
                )
            self._flying.remove(flight)
            flight.note.remove(flight.job, logs=isinstance(told, Record) and told.failure is None)
            if isinstance(told, Record):
                flight.outer.set_result(told)
            else:
                flight.outer.set_exception(failure)

    def _look(self) -> bool:
        """Ask how the jobs stand and see to those that are gone; False if Slurm does not answer."""
        try:
            now = states()
        except (subprocess.SubprocessError, OSError):
            return False
        again = []
        for flight in list(self._flying):
            state = now.get(flight.job, "no longer known")
            gone = state in ENDED or flight.job not in now
            flight.absent = flight.absent + 1 if gone else 0
            # Twice in a row: a shared file system may show the result some seconds late.
            there = job_of(flight.note, flight.job).paths.result_pickle.exists()
            if flight.absent >= 2 and not there and self._deserves_another(flight, state):
                again.append(flight)
        self._begin(again)
        return True

    def _deserves_another(self, flight: Flight, state: str) -> bool:
        """Whether a run whose job ended without a result gets another one; else it is settled."""
        if state == "CANCELLED":
            flight.note.remove(flight.job, logs=False)
            raise Problem(
                f"{flight} was cancelled; the others go on; the same command submits it again"
            )
        began = flight.note.began.exists()
        flight.note.remove(flight.job, logs=False)
        if not began and (state == "FAILED" or flight.attempt >= ATTEMPTS):
            raise Problem(
                f"{flight} ended before it began ({state}): {last_words(flight.note, flight.job)}; "
                f"mend that, or setup in {self.options.path}; nothing was recorded"
            )
        if state in NOT_THE_RUNS_FAULT:
            return True
        if flight.attempt < ATTEMPTS:
            flight.attempt += 1
            return True
        self._flying.remove(flight)
        flight.outer.set_result(_given_up(flight, state))
        return False


def _given_up(flight: Flight, state: str) -> Record:
    return record_of(
        flight.run,
        scores={},
        curve=[],
        epochs=(0, 0),
        failure=f"its Slurm job ended {flight.attempt} times without a result (last: {state})",
        seconds=0.0,
        provenance={},
    )
