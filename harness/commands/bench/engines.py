"""What engines cost: many short runs through the real conductor, compared with the ideal."""

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

from harness.engines import conductor
from harness.engines.execute import Places, Stopping
from harness.engines.jobs import Job
from harness.engines.local import Local
from harness.schema import UNTRAINED, Problem, Record, Run, Study, record_of

RUNS = 200
NAP_SECONDS = 0.1
WORKERS = (1, 2, 4, 8)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Throughput:
    """How fast an engine executed the naps."""

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
        """A slot's time per run besides the nap: dispatch, transport, planning, recording."""
        return self.seconds * self.slots / self.runs - self.nap_seconds


def nap(
    run: Run, places: Places, stopping: Stopping = lambda: False, *, seconds: float = NAP_SECONDS
) -> Record:
    """Execute a run by sleeping; its record has the usual size."""
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
    """Start every slot with a few naps, then measure `runs` of them at once."""
    start = time.perf_counter()
    _conduct(engine, folder / "warm_up", 2 * engine.slots)
    warm = time.perf_counter()
    recorded = _conduct(engine, folder / "measured", runs)
    end = time.perf_counter()
    return Throughput(
        engine=name,
        slots=engine.slots,
        runs=recorded,
        nap_seconds=seconds,
        start_seconds=warm - start,
        seconds=end - warm,
    )


def _conduct(engine: conductor.Engine, folder: Path, runs: int) -> int:
    """Conduct a job of about `runs` runs; how many it recorded.

    The job is an untrained trunk's, whose runs hardly wait for each other.
    """
    study = Study(name="naps", folds=2, repeats=max(2, -(-runs // 4)))
    folder.mkdir(parents=True)
    job = Job(study, "naps", UNTRAINED, {}, folder / f"{UNTRAINED}.jsonl")
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
    """Local workers by number, then Ray and Slurm where available; `say` hears what is left out.

    Slurm needs a `folder` that its nodes share; Ray too, unless it is started here.
    """
    throughputs = []
    execute = functools.partial(nap, seconds=seconds)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".engines-") as name:
        places = Places(Path(name).resolve(), Path(name).resolve(), "cpu", 1)
        openings: list[tuple[str, Callable[[], conductor.Engine]]] = [
            (f"local, {count}", functools.partial(Local, [places] * count, execute))
            for count in workers
        ]
        openings += cluster_engines(places, execute, ray_address, slurm, say)
        for number, (label, opening) in enumerate(openings):
            say(f"{label}: {runs} runs of {seconds:g} s")
            try:
                engine = opening()
            except Problem as problem:
                say(f"{label} left out: {problem}")
                continue
            try:
                where = places.results / str(number)
                throughputs.append(measure(label, engine, where, runs, seconds))
            finally:
                engine.close()
    return throughputs


def cluster_engines(
    places: Places,
    execute: Callable[..., Record],
    ray_address: str | None,
    slurm: Path | None,
    say: Say,
) -> list[tuple[str, Callable[[], conductor.Engine]]]:
    """Ray and Slurm with what opens them, where available; `say` hears why one is left out."""
    openings: list[tuple[str, Callable[[], conductor.Engine]]] = []
    if importlib.util.find_spec("ray") is None:
        say("ray left out: it is not installed (python -m pip install ray)")
    else:
        from harness.engines.ray import Ray

        opening = functools.partial(Ray, places, ray_address, gpus=0, execute=execute)
        openings.append(("ray", opening))
    if shutil.which("sbatch") is None or slurm is None:
        say("slurm left out: it needs sbatch on this machine and --slurm FILE")
    elif importlib.util.find_spec("submitit") is None:
        say("slurm left out: submitit is not installed (python -m pip install submitit)")
    else:
        from harness.engines import slurm_options
        from harness.engines.slurm import Slurm

        options = slurm_options.read(slurm)
        openings.append(("slurm", functools.partial(Slurm, places, options, execute)))
    return openings


def lines(throughputs: Sequence[Throughput]) -> list[str]:
    """The throughputs as a markdown table."""
    rows = [
        f"{os.cpu_count()} CPU cores here; start: until every slot has done a first run",
        "",
        "| engine | slots | runs | start s | s | ideal s | of ideal | runs/s | lost a run, ms |",
        "|-|-:|-:|-:|-:|-:|-:|-:|-:|",
    ]
    for item in throughputs:
        rows.append(
            f"| {item.engine} | {item.slots} | {item.runs} | {item.start_seconds:.1f} | "
            f"{item.seconds:.2f} | {item.ideal_seconds:.2f} | "
            f"{100 * item.ideal_seconds / item.seconds:.0f} % | {item.runs / item.seconds:.1f} | "
            f"{1000 * item.lost_seconds:.1f} |"
        )
    return rows
