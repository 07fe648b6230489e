"""A whole check on many devices by a simulated clock: the real plan and conductor, made-up runs."""

from __future__ import annotations

import heapq
import itertools
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.engines import conductor
from harness.engines.jobs import Job
from harness.schema import Record, Run, Study, record_of
from harness.seeds import seed_from

DEVICES = (1, 8, 64, 512)
BATCHES = (1, 4, 10)  # parallel_trials
LOSSES = tuple(f"loss_{number}" for number in range(1, 8))


@dataclass(frozen=True)
class Images:
    """Sizes of a dataset's halves, and how fast a device goes through its images."""

    trainval: int
    test: int
    train_per_second: float
    embed_per_second: float


@dataclass(frozen=True)
class Epochs:
    """What is assumed of trainings: epochs of each phase, uniform between the two numbers."""

    normal: tuple[int, int] = (15, 60)
    followup: tuple[int, int] = (11, 30)
    start_seconds: float = 10.0  # of a run before its first epoch


EPOCHS = Epochs()
# Sizes as published; the images/s are an assumption about a device, to be replaced by what yours
# does (--images-per-second).
IMAGES_PER_SECOND = 400.0
DATASETS = {
    "cub": Images(5864, 5924, IMAGES_PER_SECOND, 3 * IMAGES_PER_SECOND),
    "cars": Images(8054, 8131, IMAGES_PER_SECOND, 3 * IMAGES_PER_SECOND),
    "sop": Images(59551, 60502, IMAGES_PER_SECOND, 3 * IMAGES_PER_SECOND),
}


class Simulated:
    """An engine whose runs take the seconds that `cost` says, by a clock of its own.

    `wait` jumps to the end of the next run. `busy` adds up the runs' seconds, and `idle` the
    seconds of slots that had nothing to do.
    """

    def __init__(self, slots: int, cost: Callable[[Run], tuple[float, tuple[int, int]]]) -> None:
        self.slots, self._cost = slots, cost
        self.clock = self.busy = 0.0
        self._order = itertools.count()
        self._ends: list[tuple[float, int, Future[Record], Record]] = []

    def submit(self, run: Run) -> Future[Record]:
        """Start the run: its end by the simulated clock is known at once."""
        if len(self._ends) >= self.slots:
            raise ValueError(f"{len(self._ends) + 1} runs on {self.slots} slots")
        seconds, epochs = self._cost(run)
        score = seed_from(run.dataset, run.loss, run.key) % 1000 / 1000
        scores = {"map_at_r": score, "r_precision": score, "precision_at_1": score}
        record = record_of(
            run,
            scores=scores,
            curve=[],
            epochs=epochs,
            failure=None,
            seconds=seconds,
            provenance={},
        )
        future: Future[Record] = Future()
        heapq.heappush(self._ends, (self.clock + seconds, next(self._order), future, record))
        self.busy += seconds
        return future

    def wait(self, futures: Collection[Future[Record]]) -> set[Future[Record]]:
        """Set the clock to the end of the next run; that run's future alone."""
        self.clock, _number, future, record = heapq.heappop(self._ends)
        future.set_result(record)
        return {future}

    def stop(self) -> str:
        """Runs end by the clock alone."""
        return "stopping"

    def close(self) -> None:
        """Nothing is left open."""


def cost_of(run: Run, images: Images, epochs: Epochs) -> tuple[float, tuple[int, int]]:
    """Seconds of a run, and the epochs (normal, followup) behind its model.

    A trial's fold draws its epochs from its name, so that every schedule is of the same runs. A
    model's epochs are those before the plateau of `patience` epochs.
    """
    if run.stage == "ensemble":
        return epochs.start_seconds, (0, 0)
    patience, held_out = run.study.patience, images.trainval / run.study.folds
    if run.epochs is not None:
        trained, best, held_out = run.epochs, run.epochs, 0.0
    else:
        draw = np.random.default_rng(seed_from(run.dataset, run.loss, run.key))
        normal, followup = (int(draw.integers(*span)) for span in (epochs.normal, epochs.followup))
        trained = (normal, followup)
        best = (max(1, normal - patience), max(1, followup - patience))
    per_epoch = (images.trainval - held_out) / images.train_per_second
    per_epoch += held_out / images.embed_per_second
    tested = 0 if run.stage == "search" else images.test / images.embed_per_second
    return epochs.start_seconds + sum(trained) * per_epoch + tested, best


@dataclass(frozen=True)
class Schedule:
    """How long one simulated check takes, and how busy its devices are."""

    devices: int
    parallel_trials: int
    runs: int
    seconds: float  # of wall time
    utilisation: float  # share of the devices' time in which they had a run
    search_seconds: float  # wall time until the last search was over
    floor_seconds: float  # the least that any number of devices needs


def simulate(
    study: Study, devices: int, sizes: dict[str, Images], losses: Sequence[str], epochs: Epochs
) -> Schedule:
    """Conduct every loss on every dataset on so many devices."""
    searched = 0.0
    runs = 0

    def cost(run: Run) -> tuple[float, tuple[int, int]]:
        return cost_of(run, sizes[run.dataset], epochs)

    def notify(event: str, *values: object) -> None:
        nonlocal searched, runs
        if event == "record" and isinstance(values[1], Record):
            runs += 1
            if values[1].stage == "search":
                searched = engine.clock

    engine = Simulated(devices, cost)
    memory = Path("/dev/shm")  # where there is one: records need not survive a power cut here
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        conductor.conduct(jobs(study, sizes, losses, Path(folder)), engine, notify)
    return Schedule(
        devices=devices,
        parallel_trials=study.parallel_trials,
        runs=runs,
        seconds=engine.clock,
        utilisation=engine.busy / (devices * engine.clock),
        search_seconds=searched,
        floor_seconds=0.0,
    )


def jobs(study: Study, names: Iterable[str], losses: Sequence[str], folder: Path) -> list[Job]:
    """Jobs without a search space: what is proposed does not matter here, only when."""
    return [
        Job(study.for_dataset(name), name, loss, {}, folder / f"{name}-{loss}.jsonl")
        for name in names
        for loss in losses
    ]


def schedules(
    study: Study,
    sizes: dict[str, Images],
    *,
    devices: Sequence[int] = DEVICES,
    batches: Sequence[int] = BATCHES,
    losses: Sequence[str] = LOSSES,
    epochs: Epochs = EPOCHS,
) -> list[Schedule]:
    """A schedule for every size of a batch of trials on every number of devices."""
    results = []
    for batch in batches:
        batched = replace(study, parallel_trials=batch)
        most = len(losses) * len(sizes) * study.folds * max(study.repeats * 2, batch)
        floor = simulate(batched, most, sizes, losses, epochs).seconds
        for count in devices:
            schedule = simulate(batched, count, sizes, losses, epochs)
            results.append(replace(schedule, floor_seconds=floor))
    return results


def report(study: Study, images_per_second: float = IMAGES_PER_SECOND) -> list[Schedule]:
    """The full check of `study`, LOSSES x DATASETS; embedding is taken 3 times as fast.

    `images_per_second` is what a device trains.
    """
    sizes = {
        name: Images(images.trainval, images.test, images_per_second, 3 * images_per_second)
        for name, images in DATASETS.items()
    }
    return schedules(study, sizes)


def assumptions(study: Study, images_per_second: float) -> str:
    """What the report assumes, in a line."""
    return (
        f"{len(LOSSES)} losses x {', '.join(DATASETS)} of {study.name}, simulated: a device trains "
        f"{images_per_second:g} images/s and embeds {3 * images_per_second:g}; epochs "
        f"{EPOCHS.normal[0]} to {EPOCHS.normal[1]} and {EPOCHS.followup[0]} to "
        f"{EPOCHS.followup[1]}; {EPOCHS.start_seconds:g} s to start a run"
    )


def lines(results: Sequence[Schedule]) -> list[str]:
    """The schedules as a markdown table."""
    rows = [
        "| devices | trials a batch | days | utilisation | searches over after | never below |",
        "|-:|-:|-:|-:|-:|-:|",
    ]
    for item in results:
        days = [t / 86400 for t in (item.seconds, item.search_seconds, item.floor_seconds)]
        rows.append(
            f"| {item.devices} | {item.parallel_trials} | {days[0]:.2f} | "
            f"{100 * item.utilisation:.0f} % | {days[1]:.2f} | {days[2]:.2f} |"
        )
    return rows
