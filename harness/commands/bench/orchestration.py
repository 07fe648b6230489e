"""Orchestration: what planning, proposing and recording cost besides the runs themselves."""

from __future__ import annotations

import hashlib
import itertools
import statistics
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.commands.bench.timing import Comparison, Setting, alone, as_runs_execute, seconds
from harness.engines import conductor
from harness.engines.execute import Places, execute
from harness.engines.jobs import Job
from harness.engines.making import made_by
from harness.schema import Problem, Record, Run, Study, record_of
from harness.training import search_space
from studies.appendix_d import STUDY as APPENDIX_D

LOSS = "warped"
FINGERPRINT = "0" * 16  # of a dataset that no instant run reads


class Instant:
    """An engine whose runs take no time, so that only orchestration is measured."""

    slots = 1

    def __init__(self, study: Study) -> None:
        # looked up once: real runs look it up in their own time
        self.provenance = made_by(study, FINGERPRINT, torch.device("cpu"))

    def submit(self, run: Run) -> Future[Record]:
        """A record with scores made of the run's name."""
        future: Future[Record] = Future()
        future.set_result(a_record(run, self.provenance))
        return future

    def stop(self) -> str:
        """Nothing is in flight."""
        return "stopping"

    def close(self) -> None:
        """Nothing is open."""


def a_record(run: Run, provenance: Mapping[str, Any]) -> Record:
    """A record as a run of some epochs leaves it, with scores made of its key."""
    number = int(hashlib.sha256(f"{run.loss} {run.key}".encode()).hexdigest()[:8], 16)
    score = 0.2 + number / 2**32 / 10
    names = ("map_at_r", "r_precision", "precision_at_1", "recall_at_1", "queries")
    entry = {"phase": "normal", "epoch": 1, "loss": 1.0, "map_at_r": score}
    return record_of(
        run,
        scores=dict.fromkeys(names, score),
        curve=[entry | {"epoch": epoch + 1} for epoch in range(20)],
        epochs=run.epochs or (11, 9),
        failure=None,
        seconds=1.0,
        provenance=provenance,
    )


def measure(setting: Setting) -> list[Comparison]:
    """Milliseconds a run, and their share of a study whose runs all stop after one epoch."""
    study = APPENDIX_D.for_dataset("glyphs")
    folders = (setting.folder / f"conducting-{number}" for number in itertools.count())
    runs = len(conduct(study, next(folders)))
    per_run = alone(
        lambda: seconds(lambda: conduct(study, next(folders)), setting.device) / runs,
        setting.rounds,
    )
    setting.say("orchestration: one epoch of a run on glyphs")
    epoch = statistics.median(
        alone(lambda: shortest_run(study, next(folders), setting), min(setting.rounds, 3))
    )
    return [
        Comparison(
            name="orchestration",
            what=f"per run, appendix_d on glyphs, {runs} runs",
            unit="ms",
            ours=tuple(1e3 * value for value in per_run),
        ),
        Comparison(
            name="orchestration",
            what="share of that study if every run trains for one epoch",
            unit="%",
            ours=tuple(100 * value / epoch for value in per_run),
            most=1.0,
            notes=(f"one epoch of a run takes {epoch:.2f} s here; runs train for 10 to 60",),
        ),
    ]


def a_job(study: Study, folder: Path, loss: str = LOSS) -> Job:
    """One loss of the study, its records in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    space = search_space.of_loss(study, loss)
    return Job(study, "glyphs", loss, space, folder / f"{loss}.jsonl")


def conduct(study: Study, folder: Path, loss: str = LOSS) -> list[Record]:
    """The records of a loss's whole study whose runs take no time."""
    job = a_job(study, folder, loss)
    conductor.conduct([job], Instant(study), lambda *_: None)
    return job.records


def shortest_run(study: Study, folder: Path, setting: Setting) -> float:
    """Seconds of a fold's training that stops after one epoch: no run takes less."""
    brief = replace(study, max_epochs=1, followup=False)
    run = a_job(brief, folder).startable()[0]
    places = Places(folder, setting.folder / "data", str(setting.device), torch.get_num_threads())
    with as_runs_execute(brief, setting.device):
        record = execute(run, places)
    if record.failure is not None:
        raise Problem(f"bench: a run on glyphs failed: {record.failure}")
    return record.seconds
