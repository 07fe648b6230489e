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
from harness.engines.endings import CRASHED, Lost, noted_crash
from harness.engines.execute import Places
from harness.engines.process import given_up
from harness.engines.slurm_jobs import ENDED, Note, Task, end_of_log, job_of, job_states, note_of
from harness.engines.slurm_options import Options
from harness.records import folder
from harness.schema import Problem, Record, Run

TICK_SECONDS = 0.5  # runs submitted between two ticks become one job array
SILENCE_SECONDS = 600.0  # how long squeue may fail before that is a Problem
MAX_ATTEMPTS = 3  # jobs that a run gets if they end without a result
MAX_CRASHES = 2  # among these, which the run brought about itself, that make a failure record
UNCOUNTED_STATES = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED"}  # ends that are not the run's fault


def check_commands() -> None:
    """A Problem where this machine has not the commands of Slurm."""
    absent = [name for name in ("sbatch", "squeue", "srun") if shutil.which(name) is None]
    if absent:
        raise Problem(
            f"no {', '.join(absent)} on this machine; start from a login node of a Slurm cluster, "
            "or take another --engine"
        )


@dataclass(eq=False)
class Submission:
    """A run that was submitted: its future, its note, and once it has one, its job."""

    run: Run
    future: Future[Record]
    note: Note
    attempt: int = 1
    job: str = ""
    checks_gone: int = 0  # checks in a row at which its job was neither queued nor running
    crashes: int = 0  # of its jobs since this coordinator began

    def __str__(self) -> str:
        return f"{self.run.loss} {self.run.key}: job {self.job}"


class Slurm:
    """One job per run, no more than options.max_queued; `close` leaves the jobs to Slurm.

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
        check_commands()
        device = options.device if places.device == "auto" else places.device
        self.places = replace(places, device=device)
        self.options, self.slots = options, options.max_queued
        self._execute = execute
        self._new: list[Submission] = []  # those that have no job before the next tick
        self._in_flight: list[Submission] = []
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="slurm", daemon=True)
        self._watcher.start()

    def submit(self, run: Run) -> Future[Record]:
        """Submit a run; it gets its job at the next tick."""
        submission = Submission(run, Future(), note_of(run, self.places))
        with self._lock:
            if self._failure is None:
                self._new.append(submission)
            else:
                submission.future.set_exception(self._failure)
        return submission.future

    def stop(self) -> str:
        """Leave the jobs to Slurm at once: they need no coordinator to finish."""
        self.close()
        return "stopping; jobs that Slurm has go on, and the next coordinator finds them"

    def close(self) -> None:
        """Leave the jobs to Slurm: they go on, and the next coordinator finds them."""
        self._closing.set()
        self._watcher.join()  # a submission under way is finished, so that its jobs are known
        for submission in [*self._new, *self._in_flight]:
            submission.future.cancel()

    def _watch(self) -> None:
        """The watcher thread: submit, collect results, and now and then check the jobs' states."""
        last_check = last_answer = time.monotonic()
        try:
            while not self._closing.wait(TICK_SECONDS):
                with self._lock:
                    new, self._new = self._new, []
                    self._in_flight += new
                self._attach_or_submit(new)
                self._collect_results()
                now = time.monotonic()
                if now - last_check >= self.options.look_seconds:
                    last_check = now
                    if not self._in_flight or self._check_states():
                        last_answer = now
                    if now - last_answer > SILENCE_SECONDS:
                        raise Problem(
                            f"squeue has failed for {SILENCE_SECONDS / 60:.0f} minutes; the jobs "
                            "go on; give the same command again when Slurm answers"
                        )
        except Exception as error:
            with self._lock:
                self._failure = error
                for submission in [*self._new, *self._in_flight]:
                    submission.future.set_exception(error)
                self._new, self._in_flight = [], []

    def _attach_or_submit(self, submissions: Sequence[Submission]) -> None:
        """Attach each run to the job that it already has, and submit those that have none."""
        without_job: dict[Path, list[Submission]] = {}
        for submission in submissions:
            noted = submission.note.read()
            if noted is not None and noted["call"] == submission.note.call:
                submission.job, submission.attempt = noted["job"], noted["attempt"]
                continue
            if noted is not None:  # the job of another study, seed or thread count
                subprocess.run(["scancel", noted["job"]], check=False, capture_output=True)
                submission.note.remove(noted["job"], logs=True)
            without_job.setdefault(submission.note.path.parent, []).append(submission)
        for where, group in without_job.items():
            self._submit_array(where, group)

    def _submit_array(self, where: Path, submissions: Sequence[Submission]) -> None:
        executor = SlurmExecutor(where, max_num_timeout=self.options.timeouts)
        name = f"harness-{submissions[0].run.study.name}"
        executor.update_parameters(
            **slurm_options.parameters(self.options, name, self.places.threads)
        )
        tasks = [
            Task(self._execute, submission.run, self.places, submission.note.began)
            for submission in submissions
        ]
        try:
            jobs = executor.submit_array(tasks)
        except (FailedJobError, FailedSubmissionError) as error:
            raise Problem(
                f"sbatch refuses {len(submissions)} jobs: {error}; correct {self.options.path}, or "
                "lower its max_queued"
            ) from None
        for submission, job in zip(submissions, jobs, strict=True):
            submission.job, submission.checks_gone = job.job_id, 0
            submission.note.write(submission.job, submission.attempt)

    def _collect_results(self) -> None:
        """Pass on the results that the jobs have written."""
        folders = {submission.note.path.parent for submission in self._in_flight}
        files = {path for where in folders for path in where.iterdir()}
        for submission in list(self._in_flight):
            job = job_of(submission.note, submission.job)
            if job.paths.result_pickle not in files:
                continue
            error: Exception | None = job.exception()
            result = job.result() if error is None else None
            if isinstance(result, Problem):
                error = result
            elif error is not None and "timed-out too many times" in str(error):
                error = Problem(
                    f"{submission} reached its time limit more than {self.options.timeouts} times; "
                    f"raise time_minutes or timeouts in {self.options.path}"
                )
            self._in_flight.remove(submission)
            succeeded = isinstance(result, Record) and result.failure is None
            submission.note.remove(submission.job, logs=succeeded)
            if isinstance(result, Record):
                submission.future.set_result(result)
            else:
                submission.future.set_exception(error)

    def _check_states(self) -> bool:
        """Submit again the runs whose jobs ended without a result; False if squeue fails."""
        try:
            states = job_states()
        except (subprocess.SubprocessError, OSError):
            return False
        again = []
        for submission in list(self._in_flight):
            state = states.get(submission.job, "no longer known")
            gone = state in ENDED or submission.job not in states
            submission.checks_gone = submission.checks_gone + 1 if gone else 0
            # Twice in a row: a shared file system may show the result some seconds late.
            has_result = job_of(submission.note, submission.job).paths.result_pickle.exists()
            if submission.checks_gone >= 2 and not has_result:
                if self._should_resubmit(submission, state):
                    again.append(submission)
                else:
                    self._give_up(submission, state)
        self._attach_or_submit(again)
        return True

    def _should_resubmit(self, submission: Submission, state: str) -> bool:
        """Whether a run whose job ended without a result gets another job; removes its note.

        A Problem if the job was cancelled, or cannot start at all.
        """
        began = submission.note.began.exists()
        crash_path = folder.crash_path(self.places.results, submission.run)
        submission.crashes += noted_crash(crash_path) is not None
        submission.note.remove(submission.job, logs=False)
        if state == "CANCELLED":
            raise Problem(
                f"{submission} was cancelled; the others go on; the same command submits it again"
            )
        if not began and (state == "FAILED" or submission.attempt >= MAX_ATTEMPTS):
            log = end_of_log(submission.note, submission.job)
            raise Problem(
                f"{submission} ended before it began ({state}): {log}; mend that, or setup in "
                f"{self.options.path}; nothing was recorded"
            )
        if state in UNCOUNTED_STATES:
            return True
        if submission.attempt < MAX_ATTEMPTS:
            submission.attempt += 1
            return True
        return False

    def _give_up(self, submission: Submission, state: str) -> None:
        """Hand out a failure record of a run that crashed its jobs; one that lost them is Lost."""
        self._in_flight.remove(submission)
        ends = f"{submission.attempt} Slurm jobs without a result (last: {state})"
        if submission.crashes >= MAX_CRASHES:
            reason = f"{CRASHED} {submission.crashes} times, in {ends}"
            submission.future.set_result(given_up(submission.run, reason))
        else:
            submission.future.set_exception(
                Lost(f"it had {ends}; often `memory` in {self.options.path} is too small")
            )
