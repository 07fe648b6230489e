"""How time and memory grow: of commands with losses, of a table with records, of data with images.

Every point has a process of its own. The exponent of a curve is the slope of its last step on
logarithmic axes: 1 where twice the size takes twice as long, 2 where it takes four times as long.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.commands import options
from harness.commands.bench import memory, metrics, table
from harness.commands.bench.orchestration import FINGERPRINT, conduct
from harness.commands.bench.processes import output_of
from harness.engines.memory import give_freed_memory_back
from harness.protocol import batches, splits
from harness.records import folder
from harness.schema import Problem
from studies.appendix_d import STUDY as APPENDIX_D

CPU = torch.device("cpu")
COMMANDS = ("table", "status", "check", "report")
LOSSES = 43  # of a table
PER_CLASS = 12  # images, about as many as SOP's classes hold
LEAST_SECONDS = 0.05  # below which a time says nothing of growth
MOST = 1.3  # exponent of what should grow in proportion, but sorts, and leaves the caches


@dataclass(frozen=True)
class Curve:
    """What grows, with what, at which sizes; the exponent that its time may have."""

    name: str
    what: str
    unit: str
    sizes: tuple[int, ...]
    most: float = MOST


CURVES = (
    *(Curve(name, f"`{name}`", "losses of 260 records", (4, 16, 64)) for name in COMMANDS),
    Curve("records", f"a table of {LOSSES} losses", "records", (10_000, 100_000, 1_000_000)),
    Curve(
        "images",
        "folds and an epoch's batches",
        f"images, {PER_CLASS} of a class",
        (12_000, 120_000, 1_200_000),
    ),
    Curve("gallery", "scores of 1,000 queries", "gallery rows", (10_000, 100_000, 1_000_000)),
    Curve("pairs", "scores of all against all", "images", (5_000, 20_000, 80_000), most=2.1),
)


@dataclass(frozen=True)
class Point:
    """One measurement: seconds, and megabytes beyond what was there before."""

    size: int
    seconds: float
    megabytes: float


def exponent(points: Sequence[Point], value: str) -> float | None:
    """The slope of the last step, of "seconds" or "megabytes"; None below LEAST_SECONDS."""
    before, last = points[-2:]
    if last.seconds < LEAST_SECONDS:
        return None
    ratio = getattr(last, value) / max(getattr(before, value), 1e-9)
    return math.log(max(ratio, 1e-9)) / math.log(last.size / before.size)


def measure(
    root: Path, say: Callable[[str], None], curves: Sequence[Curve] = CURVES
) -> dict[Curve, tuple[Point, ...]]:
    """All points of the curves; records are made in the folder `root`."""
    measured = {}
    for curve in curves:
        points = []
        for size in curve.sizes:
            say(f"growth: {curve.what}, {size:,} {curve.unit}")
            if curve.name in COMMANDS:
                make_records(root / str(size), size)
            points.append(point_by_process(curve.name, size, root))
        measured[curve] = tuple(points)
    return measured


def point_by_process(name: str, size: int, root: Path) -> Point:
    """What `point_of` gives, by a process of its own."""
    code = (
        "import sys; from harness import cli; from harness.commands.bench import growth; "
        "growth.child(cli.main, *sys.argv[1:])"
    )
    output = output_of(f"the growth of {name} at {size}", "-c", code, name, str(size), str(root))
    return Point(**json.loads(output.splitlines()[-1]))


def child(main: Callable[[Sequence[str]], Any], name: str, size: str, root: str) -> None:
    """Measure one point and print it as JSON; the main function of its process."""
    point = point_of(main, name, int(size), Path(root))
    sys.stdout.write(json.dumps(vars(point)) + "\n")


def point_of(main: Callable[[Sequence[str]], Any], name: str, size: int, root: Path) -> Point:
    """One point of a curve, measured here. What the work needs is made before.

    `main` is the command line, which a command cannot import.
    """
    work = (
        functools.partial(_command, main, name, root / str(size))
        if name in COMMANDS
        else WORK[name](size, root)
    )
    give_freed_memory_back()
    duration, megabytes = memory.cost_of(work, CPU)
    return Point(size, round(duration, 3), round(megabytes, 1))


def make_records(results: Path, losses: int) -> None:
    """A results folder of so many losses of appendix_d, all runs of one search recorded."""
    study = APPENDIX_D.for_dataset("glyphs")
    where = results / study.name / "glyphs"
    if where.exists():
        return
    where.mkdir(parents=True)
    folder.admit(where, folder.describe(study, "glyphs", "glyphs", FINGERPRINT))
    for loss in options.names_in("losses")[:losses]:
        conduct(study, where, loss)


def _command(main: Callable[[Sequence[str]], Any], name: str, results: Path) -> None:
    words = {
        "table": ["table", "--study", "appendix_d", "--dataset", "glyphs"],
        "status": ["status"],
        "check": ["check"],
        "report": ["report", "--output", str(results / "report.html")],
    }[name]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main([*words, "--results", str(results)])
        except SystemExit as end:
            if end.code not in (0, None):
                raise Problem(f"`{name}` ended with {end.code}: {said.getvalue()[-300:]}") from None


def _records(size: int, root: Path) -> Callable[[], Any]:
    study, paths = table.made_up(size, root / f"records-{size}", LOSSES)
    return functools.partial(table.a_table, study, paths)


def _images(size: int, _root: Path) -> Callable[[], Any]:
    labels = np.repeat(np.arange(size // PER_CLASS), PER_CLASS)

    def work() -> None:
        for number in range(4):
            part = splits.fold(labels, "kfold", folds=4, number=number)
        rng = np.random.default_rng(0)
        batches.epoch_batches(labels[part.train], classes=32, per_class=4, rng=rng)

    return work


def _gallery(size: int, _root: Path, *, queries: int = 1000) -> Callable[[], Any]:
    images = size + queries
    made = metrics.Size("made up", images, images // 10, 2, 20, queries)
    return functools.partial(metrics.scores_by_harness, *metrics.embeddings_of(made), queries)


WORK: Mapping[str, Callable[[int, Path], Callable[[], Any]]] = {
    "records": _records,
    "images": _images,
    "gallery": _gallery,
    "pairs": functools.partial(_gallery, queries=0),
}


def lines(measured: Mapping[Curve, Sequence[Point]]) -> Iterator[str]:
    """The curves as a table in markdown: seconds and megabytes at each size, and exponents."""
    yield "| what | grows with | seconds | exponent | MB | exponent |"
    yield "|-|-|-|-:|-|-:|"
    for curve, points in measured.items():
        cells = [curve.what, f"{curve.unit}: " + ", ".join(f"{point.size:,}" for point in points)]
        for value in ("seconds", "megabytes"):
            power = exponent(points, value)
            cells.append(", ".join(f"{getattr(point, value):,.4g}" for point in points))
            cells.append("-" if power is None else f"{power:.2f}")
        yield "| " + " | ".join(cells) + " |"
    above = [
        curve.what
        for curve, points in measured.items()
        if (exponent(points, "seconds") or 0) > curve.most
    ]
    yield ""
    yield (
        f"Grows faster than it should: {', '.join(above)}."
        if above
        else f"No time grows faster than with the power {MOST} of its size, but for the scores of "
        "all against all, whose product has as many values as there are pairs."
    )


def figure(measured: Mapping[Curve, Sequence[Point]]) -> Any:
    """Seconds and megabytes by size, on logarithmic axes."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(10, 4.5), layout="constrained")
    panels = drawn.subplots(1, 2)
    for panel, value in zip(panels, ("seconds", "megabytes"), strict=True):
        for curve, points in measured.items():
            sizes = [point.size for point in points]
            values = [max(getattr(point, value), 1e-3) for point in points]
            panel.plot(sizes, values, marker="o", label=f"{curve.what.strip('`')} ({curve.unit})")
        panel.set(xscale="log", yscale="log", xlabel="size", ylabel=value)
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return drawn
