"""The conductor: plan -> engine -> record, until nothing is left."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.data import datasets
from harness.protocol import plan, search, splits
from harness.records import folder, records
from harness.schema import UNTRAINED, Problem, Record, Run, Stopped, Study
from harness.training import network


class Engine(Protocol):
    """Where runs execute: at most `slots` at a time, each to a future of its record."""

    @property
    def slots(self) -> int:
        """How many runs can be in flight."""

    def submit(self, run: Run) -> Future[Record]:
        """Start a run."""

    def stop(self) -> str:
        """Ask what runs to end soon, so that every future ends; says what becomes of the runs.

        A run that ends early for it is Stopped or cancelled, and leaves no record.
        """

    def close(self) -> None:
        """Stop what runs."""


@dataclass
class Job:
    """One loss of a study on one dataset: what is searched and what is done so far."""

    study: Study
    dataset: str
    loss: str
    space: search.Space
    path: Path
    records: list[Record] = field(default_factory=list)
    flying: set[str] = field(default_factory=set)
    planned: list[Run] | None = None
    known: plan.Progress | None = None

    def startable(self) -> list[Run]:
        """The runs that can start now and are not in flight; planned anew after each record."""
        if self.planned is None:
            self.planned = plan.next_runs(
                self.study, self.dataset, self.loss, self.space, self.records
            )
        return [run for run in self.planned if run.key not in self.flying]

    def add(self, record: Record) -> None:
        """Put a run's record on disk and plan anew."""
        record = plan.marked(self.study, record, self.records)
        records.append(self.path, record)
        self.records.append(record)
        self.flying.discard(record.key)
        self.planned = self.known = None

    def progress(self) -> plan.Progress:
        """How far the job is; worked out anew after each record."""
        if self.known is None:
            self.known = plan.progress(self.study, self.loss, self.records)
        return self.known


# What the conductor tells of: ("line", text), ("jobs", jobs), ("started", run),
# ("record", job, record), ("waiting", runs), ("stopping", text)
Tell = Callable[..., None]
Wait = Callable[..., tuple[set[Future[Record]], set[Future[Record]]]]  # concurrent.futures.wait


def prepare(
    study: Study,
    dataset_names: Sequence[str],
    losses: Sequence[str],
    results: Path,
    data_root: Path,
    tell: Tell,
) -> list[Job]:
    """Check everything that can be checked before the first run, and say what is to do.

    Loads each dataset (which builds its cache), tries the folds and the network once, and admits
    the study to its results folder. A Problem leaves nothing behind.
    """
    jobs = []
    for name in dataset_names:
        own = study.for_dataset(name)
        dataset = datasets.load(name, data_root, own.resize, lambda line: tell("line", line))
        trainval = splits.trainval_part(dataset, own.halves)
        for number in range(own.folds):
            splits.fold(trainval.labels, own.fold_layout, own.folds, number)
        channels = dataset.images[0].shape[2]
        network.build(own, own.dim, channels)
        where = folder.folder_of(results, study.name, name)
        modules = {loss: importlib.import_module(f"losses.{loss}") for loss in losses}
        spaces: dict[str, search.Space] = {UNTRAINED: {}}
        for loss, module in modules.items():
            norm = network.initial_norm(own, channels) if module.SCALED else 1.0
            spaces[loss] = search.space_of(own, module, norm)
        folder.create(where)
        folder.admit(where, folder.describe(own, name, dataset.name, dataset.fingerprint))
        jobs += [
            Job(own, name, loss, space, where / f"{loss}.jsonl") for loss, space in spaces.items()
        ]
    return jobs


def conduct(
    jobs: Sequence[Job],
    engine: Engine,
    tell: Tell,
    stopping: Callable[[], bool] = lambda: False,
    wait: Wait = wait,
) -> bool:
    """Run everything that the jobs' plans ask for, appending a record for every run.

    Records already there count. A free slot goes to the job with the fewest runs in flight, the
    earlier of equals, and there to the first run of its plan; none stays free while a run could
    start. Once `stopping` is true no more are started and those in flight are asked to end. `wait`
    is how to wait for futures, which a simulated engine does by its own clock. Whether all is done.
    """
    with contextlib.ExitStack() as held:
        jobs = [job for job in jobs if _open(job, held, tell)]
        tell("jobs", jobs)
        flying: dict[Future[Record], tuple[Job, Run]] = {}
        stopped = False
        while True:
            if stopping() and not stopped:
                stopped = True
                tell("stopping", f"{engine.stop()}; asked once more, the study stops at once")
            while not stopped and len(flying) < engine.slots and (found := _next(jobs)):
                job, run = found
                job.flying.add(run.key)
                tell("started", run)
                flying[engine.submit(run)] = (job, run)
            if not flying:
                return not stopped
            done, _ = wait(flying, timeout=0.2, return_when=FIRST_COMPLETED)
            if not done:
                tell("waiting", [run for _, run in flying.values()])
            for future in done:
                _land(future, *flying.pop(future), tell, stopped)


def _next(jobs: Sequence[Job]) -> tuple[Job, Run] | None:
    """The run that a free slot should take, if one can start."""
    ready = [(job, runs[0]) for job in jobs if (runs := job.startable())]
    return min(ready, key=lambda found: len(found[0].flying), default=None)


def _open(job: Job, held: contextlib.ExitStack, tell: Tell) -> bool:
    """Take hold of the job's file and read it; an untrained trunk measured elsewhere is left."""
    try:
        held.enter_context(folder.hold(job.path))
    except Problem as problem:
        if job.loss != UNTRAINED:
            raise
        tell("line", f"untrained trunk: left to the other study ({problem})")
        return False
    lines = records.read(job.path)
    if lines.torn is not None:
        tell("line", lines.torn)
    job.records = list(lines.records)
    job.planned = job.known = None
    return True


def _land(future: Future[Record], job: Job, run: Run, tell: Tell, stopped: bool) -> None:
    """Put the record of a run that has ended on disk, and tell of it."""
    try:
        record = future.result()
    except (Stopped, CancelledError):
        if not stopped:
            raise
        job.flying.discard(run.key)
        return
    job.add(record)
    tell("record", job, record)
