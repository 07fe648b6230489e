"""`bench`: this machine's speed, ours and a hand-written baseline's in turn."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from harness.commands import options as shared
from harness.commands import study_files, unused

HELP = "this machine's speed, beside what one writes by hand"
INSTEAD = ("--gpu-report", "--engines", "--batches", "--growth")  # of what --only chooses from
PLAIN = "plain bench"
TAKEN_BY = {  # option -> what takes it into account
    "--rounds": (PLAIN, "--gpu-report"),
    "--device": (PLAIN, "--gpu-report"),
    "--json": (PLAIN, "--engines", "--batches", "--growth"),
    "--runs": ("--engines",),
    "--images-per-second": ("--engines",),
    "--slurm": ("--engines",),
    "--ray-address": ("--engines",),
    "--study": ("--engines", "--batches"),
    "--results": ("--engines", "--batches"),
    "--figure": ("--growth",),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add(
        "--only",
        nargs="+",
        default=None,
        metavar="NAME",
        help="pipeline, step, embedding, features, metrics, search, orchestration, study, table, "
        "help",
    )
    add(
        "--rounds",
        type=shared.count,
        default=5,
        metavar="N",
        help="rounds (default: %(default)s)",
    )
    shared.add_device(parser)
    add("--json", action="store_true", help="every measured value, as one object")
    add(
        "--gpu-report",
        action="store_true",
        help="instead: what is to be known of a GPU first, and then all of the above on it",
    )
    add(
        "--engines",
        action="store_true",
        help="instead: what engines cost, and a simulated full check on 1 to 512 devices",
    )
    add(
        "--runs",
        type=shared.count,
        default=200,
        metavar="N",
        help="with --engines: runs per engine",
    )
    add(
        "--images-per-second",
        type=shared.rate,
        default=400.0,
        metavar="X",
        help="with --engines: that a simulated device trains (default: %(default)s)",
    )
    add(
        "--batches",
        action="store_true",
        help="instead: what trials proposed at once cost a search, on landscapes like those of "
        "--study in --results",
    )
    add(
        "--growth",
        action="store_true",
        help="instead: how time and memory grow with losses, records, classes and images",
    )
    add(
        "--figure",
        type=Path,
        metavar="FILE",
        help="with --growth: also draw it (.png, .pdf or .svg)",
    )
    shared.add_one_study(parser, "with --engines and --batches: what is simulated")
    add("--slurm", type=Path, metavar="FILE", help="TOML file, to measure Slurm too")
    add("--ray-address", metavar="HOST:PORT", help="a running Ray cluster")
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Measure this harness and its hand-written alternative in turn, or what else is asked for."""
    _check_together(options)
    if options.engines:
        _measure_engines(options)
        return
    if options.gpu_report:
        _report_on_gpu(options)
        return
    if options.batches:
        _simulate_batches(options)
        return
    if options.growth:
        _measure_growth(options)
        return
    from harness.commands.bench import report, timing

    _keep_freed_memory()
    result = report.measure(
        options.only or (),
        rounds=options.rounds,
        device=shared.device_named(options.device),
        say=_say,
    )
    sys.stdout.write(
        json.dumps(timing.as_data(result)) + "\n" if options.json else timing.text(result)
    )


def _check_together(options: argparse.Namespace) -> None:
    """Problem for options of which one would be ignored."""
    from harness.schema import Problem

    given = [name for name in INSTEAD if getattr(options, unused.attribute(name))]
    clashing = [*given, *(["--only"] if options.only else [])]
    if len(clashing) > 1 and given:
        raise Problem(f"bench: {' and '.join(clashing)} measure different things; give one of them")
    asked = given[0] if given else PLAIN
    of_others = {
        flag: f"is no option of {asked}; give it with {' or '.join(takers)}"
        for flag, takers in TAKEN_BY.items()
        if asked not in takers
    }
    unused.refuse(options, add_options, of_others)


def _measure_growth(options: argparse.Namespace) -> None:
    """Print how time and memory grow, and draw it where a figure is asked for."""
    if options.figure is not None:
        shared.check_figure_path(options.figure)
    from harness.commands.bench import growth
    from harness.tables import figure

    with tempfile.TemporaryDirectory(prefix="harness-growth-") as folder:
        measured = growth.measure(Path(folder), _say)
    if options.json:
        points = {curve.name: [vars(p) for p in points] for curve, points in measured.items()}
        print(json.dumps(points))
    else:
        print("\n".join(growth.lines(measured)))
    if options.figure is not None:
        figure.save(growth.figure(measured), options.figure)
        print(f"{options.figure}: drawn", file=sys.stderr)


def _report_on_gpu(options: argparse.Namespace) -> None:
    """Print the report line by line; Problem without a GPU, unless the CPU is asked for by name."""
    from harness.schema import Problem

    name = shared.device_named(options.device)
    if name == "cpu" and options.device != "cpu":
        raise Problem(
            "bench --gpu-report: torch sees no GPU on this machine; give --device cpu to try the "
            "report on small sizes without one"
        )
    import torch

    from harness.commands.bench import gpu

    _keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="harness-gpu-") as folder:
        device = torch.device(name)
        for line in gpu.lines(device, Path(folder), rounds=options.rounds, say=_say):
            print(line, flush=True)


def _keep_freed_memory() -> None:
    """For both sides of a comparison alike: it cannot be taken back between rounds."""
    from harness.engines.memory import keep_freed_memory

    keep_freed_memory()


def _measure_engines(options: argparse.Namespace) -> None:
    from harness.commands.bench import engines, schedule

    study = study_files.load_study(options.study)
    throughputs = engines.report(
        runs=options.runs,
        ray_address=options.ray_address,
        slurm=options.slurm,
        folder=options.results,
        say=_say,
    )
    schedules = schedule.report(study, options.images_per_second)
    if options.json:
        data = {
            "engines": [dataclasses.asdict(throughput) for throughput in throughputs],
            "schedules": [dataclasses.asdict(each) for each in schedules],
        }
        print(json.dumps(data))
        return
    print("\n".join(engines.lines(throughputs)))
    assumptions = schedule.assumptions(study, options.images_per_second)
    print("\n".join(["", assumptions, "", *schedule.lines(schedules)]))


def _simulate_batches(options: argparse.Namespace) -> None:
    from harness.commands import selection
    from harness.commands.bench import batches

    study = study_files.load_study(options.study)
    chosen = argparse.Namespace(results=options.results, study=[options.study], dataset=None)
    for where in selection.folders_of(chosen):
        found = batches.of_folder(where, study, _say)
        print(json.dumps(found.as_data()) if options.json else "\n".join(found.lines()))


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)
