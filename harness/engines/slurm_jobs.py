"""A run's Slurm job: what it executes, the note of which job it is, and its state.

results/<study>/<dataset>/work/slurm/<loss>-<key>.json    which job executes the run
results/<study>/<dataset>/work/slurm/<loss>-<key>.began   exists once the job has started
results/<study>/<dataset>/work/slurm/<job>_*              submitit's files: call, result, logs
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
from harness.engines.endings import crash_noted
from harness.engines.execute import Places
from harness.engines.process import enable_log, prepare
from harness.records import code, folder
from harness.schema import Problem, Record, Run

ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}


@dataclass(frozen=True)
class Task(Checkpointable):
    """What a job calls.

    At its time limit it is requeued unchanged, because the run has a checkpoint of its own.
    """

    execute: Callable[[Run, Places], Record]
    run: Run
    places: Places
    began: Path

    def __call__(self) -> Record | Problem:
        """The run's record, or the Problem that execution ended with."""
        self.began.touch()
        enable_log()
        prepare(self.places)
        try:
            with crash_noted(folder.crash_path(self.places.results, self.run)):
                return self.execute(self.run, self.places)
        except Problem as problem:
            return problem


@dataclass(frozen=True)
class Note:
    """The file that says which job executes a run."""

    path: Path
    call: dict[str, Any]  # two runs of one name are the same if these values are equal

    @property
    def began(self) -> Path:
        """The file that exists once the job has called the task."""
        return self.path.with_suffix(".began")

    def read(self) -> dict[str, Any] | None:
        """{job, attempt, call} as written, or None; also where it is no longer that."""
        try:
            content: dict[str, Any] = json.loads(self.path.read_text())
            return content if {"job", "attempt", "call"} <= set(content) else None
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, job: str, attempt: int) -> None:
        """Note which job executes the run."""
        content = {"job": job, "attempt": attempt, "call": self.call}
        files.write_text(self.path, json.dumps(content) + "\n")

    def remove(self, job: str | None, *, logs: bool) -> None:
        """Remove the note and the job's files, with `logs` also what it printed."""
        for path in (self.path, self.began):
            path.unlink(missing_ok=True)
        if job is not None:
            paths = job_of(self, job).paths
            for path in (paths.submitted_pickle, paths.result_pickle):
                path.unlink(missing_ok=True)
            for path in (paths.stdout, paths.stderr) if logs else ():
                path.unlink(missing_ok=True)


def note_of(run: Run, places: Places) -> Note:
    """A run's note; another study, seed, device or thread count is another call."""
    where = folder.folder_of(places.results, run.study.name, run.dataset) / "work" / "slurm"
    call = {
        "study": run.study.digest(),
        "dataset": run.dataset,
        "seed": run.seed,
        "params": dict(run.params),
        "device": places.device,
        "threads": places.threads,
        "data": str(places.data),
        "code": code.run_code(run.study.base_of(run.loss), run.study.trunk),
    }
    return Note(where / f"{run.loss}-{run.key}.json", json.loads(json.dumps(call)))


def job_of(note: Note, job: str) -> SlurmJob[Record | Problem]:
    """submitit's job of an id (12, or 12_3 in an array)."""
    return SlurmJob(note.path.parent, job)


def job_states() -> dict[str, str]:
    """State by job id of this user's jobs, with those that ended some minutes ago.

    SubprocessError or OSError if squeue fails.
    """
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
    command.append(f"--user={os.geteuid()}")
    squeue = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    pairs = (line.strip().partition("|") for line in squeue.stdout.splitlines())
    return {job: state for job, _, state in pairs}


def end_of_log(note: Note, job: str) -> str:
    """The last lines that a job printed to standard error, joined into one."""
    log = job_of(note, job).paths.stderr
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return f"it left no log {log}"
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return " / ".join(lines[-3:]) or f"its log {log} is empty"
