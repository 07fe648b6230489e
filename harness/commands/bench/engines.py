"""What engines cost: many short runs through the real conductor, against the ideal."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines import conductor as conductor
from harness.engines.execute import Places, Stopping
from harness.engines.local import Local
from harness.schema import UNTRAINED, Problem, Record, Run, Study, record_of

RUNS = 200
NAP_SECONDS = 0.1
WORKERS = (1, 2, 4, 8)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Throughput:
    """What an engine made of the naps."""

    engine: str
    slots: int
    runs: int
    nap_seconds: float
    start_seconds: float  # until every slot had done a run
    seconds: float  # from then until the last record was on disk

    @property
    def ideal_seconds(self) -> float:
        """What the naps alone take on so many slots."""
        return -(-self.runs // self.slots) * self.nap_seconds

    @property
    def lost_seconds(self) -> float:
        """Of a slot's time, for each run: dispatch, the way there and back, plan and record."""
        return self.seconds * self.slots / self.runs - self.nap_seconds


def nap(
    run: Run, places: Places, stopping: Stopping = lambda: False, *, seconds: float = NAP_SECONDS
) -> Record:
    """Stands for a run: sleeps, and leaves a record of the usual size."""
    time.sleep(seconds)
    return record_of(
        run,
        scores={"map_at_r": 0.5, "r_precision": 0.5, "precision_at_1": 0.5},
        curve=[{"phase": "normal", "epoch": epoch, "loss": 0.5} for epoch in range(20)],
        epochs=(0, 0),
        failure=None,
        seconds=seconds,
        provenance={"host": str(places.results)},
    )


def measure(
    name: str, engine: conductor.Engine, folder: Path, runs: int, seconds: float
) -> Throughput:
    """Give an engine a nap for every slot, to be awake, and then `runs` of them at once."""
    begun = time.perf_counter()
    _conduct(engine, folder / "awake", 2 * engine.slots)
    awake = time.perf_counter()
    done = _conduct(engine, folder / "measured", runs)
    over = time.perf_counter()
    return Throughput(name, engine.slots, done, seconds, awake - begun, over - awake)


def _conduct(engine: conductor.Engine, folder: Path, runs: int) -> int:
    """How many runs an untrained trunk's job of about so many made: they wait for little."""
    study = Study(name="naps", folds=2, repeats=max(2, -(-runs // 4)))
    folder.mkdir(parents=True)
    job = conductor.Job(study, "naps", UNTRAINED, {}, folder / f"{UNTRAINED}.jsonl")
    conductor.conduct([job], engine, lambda *_: None)
    return len(job.records)


def report(
    *,
    runs: int = RUNS,
    seconds: float = NAP_SECONDS,
    workers: Sequence[int] = WORKERS,
    ray_address: str | None = None,
    slurm: Path | None = None,
    folder: Path,
    say: Say,
) -> list[Throughput]:
    """Local workers by number, then Ray and Slurm where they are; what is left out is told.

    Slurm needs a `folder` that its nodes share; Ray too, unless it is started here.
    """
    found = []
    does = functools.partial(nap, seconds=seconds)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".engines-") as name:
        places = Places(Path(name).resolve(), Path(name).resolve(), "cpu", 1)
        openings: list[tuple[str, Callable[[], conductor.Engine]]] = [
            (f"local, {count}", functools.partial(Local, [places] * count, does))
            for count in workers
        ]
        openings += _others(places, does, ray_address, slurm, say)
        for number, (label, opening) in enumerate(openings):
            say(f"{label}: {runs} runs of {seconds:g} s")
            try:
                engine = opening()
            except Problem as problem:
                say(f"{label} left out: {problem}")
                continue
            try:
                where = places.results / str(number)
                found.append(measure(label, engine, where, runs, seconds))
            finally:
                engine.close()
    return found


def _others(
    places: Places,
    does: Callable[..., Record],
    ray_address: str | None,
    slurm: Path | None,
    say: Say,
) -> list[tuple[str, Callable[[], conductor.Engine]]]:
    found: list[tuple[str, Callable[[], conductor.Engine]]] = []
    if importlib.util.find_spec("ray") is None:
        say("ray left out: it is not installed (python -m pip install ray)")
    else:
        from harness.engines.ray import Ray

        found.append(("ray", functools.partial(Ray, places, ray_address, gpus=0, execute=does)))
    if shutil.which("sbatch") is None or slurm is None:
        say("slurm left out: it needs sbatch on this machine and --slurm FILE")
    elif importlib.util.find_spec("submitit") is None:
        say("slurm left out: submitit is not installed (python -m pip install submitit)")
    else:
        from harness.engines import slurm_options
        from harness.engines.slurm import Slurm

        asked = slurm_options.read(slurm)
        found.append(("slurm", functools.partial(Slurm, places, asked, does)))
    return found


def lines(found: Sequence[Throughput]) -> list[str]:
    """The throughputs as a markdown table."""
    told = [
        f"{os.cpu_count()} CPU cores here; start: until every slot has done a first run",
        "",
        "| engine | slots | runs | start s | s | ideal s | of ideal | runs/s | lost a run, ms |",
        "|-|-:|-:|-:|-:|-:|-:|-:|-:|",
    ]
    for one in found:
        told.append(
            f"| {one.engine} | {one.slots} | {one.runs} | {one.start_seconds:.1f} | "
            f"{one.seconds:.2f} | {one.ideal_seconds:.2f} | "
            f"{100 * one.ideal_seconds / one.seconds:.0f} % | {one.runs / one.seconds:.1f} | "
            f"{1000 * one.lost_seconds:.1f} |"
        )
    return told
