"""A run's Slurm job: what it does, the note that says which one it is, and how it stands.

results/<study>/<dataset>/work/slurm/<loss>-<key>.json    which job executes the run
results/<study>/<dataset>/work/slurm/<loss>-<key>.began   the job has come to life
results/<study>/<dataset>/work/slurm/<job>_*              submitit's: the call, its result, logs
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import SlurmJob
from submitit.helpers import Checkpointable

from harness import files
from harness.engines.execute import Places
from harness.engines.local import keep_log, prepare
from harness.records import folder
from harness.schema import Problem, Record, Run

ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
}


@dataclass(frozen=True)
class Task(Checkpointable):
    """What a job calls; requeued unchanged at the time limit, for the run's checkpoint is ours."""

    execute: Callable[[Run, Places], Record]
    run: Run
    places: Places
    began: Path

    def __call__(self) -> Record | Problem:
        """The run's record, or the Problem that keeps it from being executed."""
        self.began.touch()
        keep_log()
        prepare(self.places)
        try:
            return self.execute(self.run, self.places)
        except Problem as problem:
            return problem


@dataclass(frozen=True)
class Note:
    """The file that ties a run to its job."""

    path: Path
    call: dict[str, Any]  # what makes two runs of one name the same

    @property
    def began(self) -> Path:
        """Exists once the job has called the task."""
        return self.path.with_suffix(".began")

    def read(self) -> dict[str, Any] | None:
        """{job, attempt, call} as written, or None."""
        try:
            told: dict[str, Any] = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        return told

    def write(self, job: str, attempt: int) -> None:
        """Tie the run to a job."""
        told = {"job": job, "attempt": attempt, "call": self.call}
        files.write_text(self.path, json.dumps(told) + "\n")

    def remove(self, job: str | None, *, logs: bool) -> None:
        """Forget the job, and with `logs` what it printed too."""
        for path in (self.path, self.began):
            path.unlink(missing_ok=True)
        if job is not None:
            paths = job_of(self, job).paths
            for path in (paths.submitted_pickle, paths.result_pickle):
                path.unlink(missing_ok=True)
            for path in (paths.stdout, paths.stderr) if logs else ():
                path.unlink(missing_ok=True)


def note_of(run: Run, places: Places) -> Note:
    """Where the note of a run lies; another seed, study or thread count is another call."""
    where = folder.folder_of(places.results, run.study.name, run.dataset) / "work" / "slurm"
    call = {
        "study": run.study.digest(),
        "dataset": run.dataset,
        "seed": run.seed,
        "params": dict(run.params),
        "device": places.device,
        "threads": places.threads,
        "data": str(places.data),
    }
    return Note(where / f"{run.loss}-{run.key}.json", json.loads(json.dumps(call)))


def job_of(note: Note, job: str) -> SlurmJob[Record | Problem]:
    """submitit's view of a job by its id (12, or 12_3 in an array)."""
    return SlurmJob(note.path.parent, job)


def states() -> dict[str, str]:
    """State by job id of this user's jobs, those that ended minutes ago too; SubprocessError."""
    words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
    words.append(f"--user={os.geteuid()}")
    told = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    pairs = (line.strip().partition("|") for line in told.stdout.splitlines())
    return {job: state for job, _, state in pairs}


def last_words(note: Note, job: str) -> str:
    """The end of what a job printed as errors, in one line."""
    log = job_of(note, job).paths.stderr
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return f"it left no log {log}"
    said = [line.strip() for line in lines if line.strip()]
    return " / ".join(said[-3:]) or f"its log {log} is empty"
