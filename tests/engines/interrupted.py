"""A study whose search runs are slow enough to be interrupted, and a trace of what they did."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.engines import conductor as conductor
from harness.engines import execute
from harness.engines.execute import Places, Stopping
from harness.records import records
from harness.schema import Record, Run, Study
from harness.training import train
from tests.made import TINY, Inline, comparable, images

SMALL = replace(
    TINY,
    name="small",
    folds=2,
    trials=1,
    max_epochs=12,
    patience=12,
    followup_max_epochs=1,
)
RUNS = 10  # 1 trial x 2 folds, 2 repeats x 2 folds, 2 ensembles, 2 complete
EPOCH_SECONDS = 1.0  # of the first trial, until it was interrupted
EPOCHS = train.epochs
ENDED = "ended"  # the phase of the trace's line about a run that a process is through with


def slowly(
    run: Run,
    places: Places,
    stopping: Stopping = lambda: False,
    *,
    every: float = 0.0,
    pause: float | None = None,
) -> Record:
    """Execute as always, but write down what is trained, and rest after epochs.

    A checkpoint is kept every so many seconds. The rest is `pause` seconds for every run, or
    without it EPOCH_SECONDS in the first trial's first life.
    """
    first_life = not any(epoch.key == run.key for epoch in trace(places))
    if pause is None:
        pause = EPOCH_SECONDS if run.stage == "search" and run.trial == 0 and first_life else 0.0

    def note(phase: str, number: int) -> None:
        with open(trace_path(places), "a") as file:
            file.write(f"{run.key} {os.getpid()} {phase} {number}\n")

    def epochs(training: train.Training) -> Iterator[dict[str, Any]]:
        for entry in EPOCHS(training):
            note(entry["phase"], entry["epoch"])
            time.sleep(pause)
            yield entry

    execute.CHECKPOINT_SECONDS, execute.CHECKPOINT_COST = every, 0
    train.epochs = epochs
    note("began", 0)
    try:
        return execute.execute(run, places, stopping)
    finally:
        note(ENDED, 0)
        train.epochs = EPOCHS


def trace_path(places: Places) -> Path:
    return places.results.parent / "epochs.txt"


@dataclass(frozen=True)
class Epoch:
    """One line of the trace."""

    key: str
    pid: int
    phase: str
    number: int


def trace(places: Places) -> list[Epoch]:
    """Every epoch that was trained, by whom, in order."""
    try:
        lines = trace_path(places).read_text().splitlines()
    except FileNotFoundError:
        return []
    words = [line.split() for line in lines]
    return [Epoch(key, int(pid), phase, int(number)) for key, pid, phase, number in words]


def lives(places: Places, key: str) -> list[list[int]]:
    """Epochs of the normal phase that each process trained for a run, process by process."""
    by_pid: dict[int, list[int]] = {}
    for epoch in trace(places):
        if epoch.key == key and epoch.phase == "normal":
            by_pid.setdefault(epoch.pid, []).append(epoch.number)
    return list(by_pid.values())


def assert_resumed(places: Places, key: str) -> None:
    """The run had a second life that went on after the first one's epochs, to the last."""
    first, *_, last = lives(places, key)
    assert first[0] == 1
    assert 1 < last[0] <= first[-1] + 1, "the checkpoint was not read"
    assert last[-1] == SMALL.max_epochs


def folder(root: Path) -> Path:
    return images(root / "images", classes=16)


def places(root: Path) -> Places:
    return Places((root / "results").resolve(), (root / "data").resolve(), "cpu", 1)


def jobs(where: Places, dataset: Path, study: Study = SMALL) -> list[conductor.Job]:
    """The study's one loss on the folder, without the untrained trunk."""
    every_job = conductor.prepare(
        study,
        [f"folder:{dataset}"],
        ("contrastive",),
        results=where.results,
        data_root=where.data,
        notify=lambda *_: None,
    )
    return [job for job in every_job if job.loss == "contrastive"]


def recorded(jobs: list[conductor.Job]) -> dict[str, dict[str, object]]:
    """Records by key, without what a clock decides and without the commit: these tests take long
    enough for it to change under them."""
    by_key = comparable([record for job in jobs for record in records.read(job.path).records])
    for record in by_key.values():
        provenance = dict(record["provenance"])
        assert "commit" in provenance
        record["provenance"] = provenance | {"commit": None}
    return by_key


def sequential(root: Path, dataset: Path, study: Study = SMALL) -> dict[str, dict[str, object]]:
    """Records of the study run one after the other in this process."""
    where = places(root)
    study_jobs = jobs(where, dataset, study)
    conductor.conduct(study_jobs, Inline(where), lambda *_: None)
    by_key = recorded(study_jobs)
    assert len(by_key) == RUNS or study is not SMALL
    assert all(record["failure"] is None for record in by_key.values())
    return by_key
