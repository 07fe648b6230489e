"""`study`: search, retrain and score losses on datasets, up to the tables."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.commands import options as shared
from harness.commands.signals import Ending
from harness.commands.table import print_table, table_of

if TYPE_CHECKING:
    from harness.engines.conductor import Engine, Job
    from harness.engines.execute import Places
    from harness.schema import Study

HELP = "search, retrain and score losses on a dataset, to the table"
EPILOG = """\
Stop it at any time: the same command carries on where it was. Records lie in
RESULTS/STUDY/DATASET/LOSS.jsonl, one line per run."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("--loss", nargs="+", metavar="NAME", help="losses, or all (default: the study's own)")
    add("--dataset", nargs="+", metavar="NAME", help="datasets, or folder:PATH")
    shared.add_one_study(parser, "a file in studies/")
    add("--trials", type=shared.count, metavar="N", help="trials of the search")
    add("--repeats", type=shared.count, metavar="N", help="runs of the best configuration")
    add(
        "--search-repeats",
        type=shared.count,
        metavar="N",
        help="the whole search N times with other seeds (default: 1), to see its own spread",
    )
    add("--weights", metavar="FILE", help="imagenet, none, or a state_dict file")
    shared.add_device(parser)
    add(
        "--workers",
        type=shared.count,
        metavar="N",
        help="runs side by side (default: a core each; 1 on a GPU)",
    )
    shared.add_threads(parser)
    add(
        "--engine",
        choices=("local", "slurm", "ray"),
        default="local",
        help="where runs execute (default: worker processes here)",
    )
    add(
        "--devices",
        type=lambda text: text.split(","),
        metavar="0,1",
        help="GPUs of --engine local",
    )
    add(
        "--slots-per-gpu",
        type=shared.count,
        metavar="N",
        help="runs that share a GPU (default: 1)",
    )
    add(
        "--slurm",
        type=Path,
        metavar="FILE",
        help="TOML file: partition, time_minutes, gres, ...",
    )
    add("--ray-address", metavar="HOST:PORT", help="a running Ray cluster (default: start one)")
    add(
        "--gpus-per-run",
        type=float,
        metavar="SHARE",
        help="of --engine ray; 0.25: four share one",
    )
    add("--quiet", action="store_true", help="no progress, only the table")
    add("--json", action="store_true", help="one JSON object a line, the table last")
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Search, retrain and score, then print the tables."""
    from harness.data import datasets
    from harness.schema import Problem

    study = _with_changes(shared.load_study(options.study), options)
    all_losses = shared.names_in("losses")
    named = options.loss or list(study.losses)
    losses = [
        shared.known("loss", name, all_losses)
        for name in (all_losses if named == ["all"] else named)
    ]
    names = options.dataset or list(study.datasets)
    for name in names:
        if not name.startswith("folder:"):
            shared.known("dataset", name, datasets.names())
    if not losses or not names:
        raise Problem("no loss or no dataset: give --loss NAME and --dataset NAME")
    _conduct(options, study, list(dict.fromkeys(losses)), list(dict.fromkeys(names)))


def _with_changes(study: Study, options: argparse.Namespace) -> Study:
    """The study with the fields that the command line sets, for every dataset."""
    changes = {
        name: getattr(options, name)
        for name in ("trials", "repeats", "search_repeats", "weights")
        if getattr(options, name) is not None
    }
    per_dataset = {
        dataset: {name: value for name, value in fields.items() if name not in changes}
        for dataset, fields in study.per_dataset.items()
    }
    return replace(study, **changes, per_dataset=per_dataset)


def _conduct(
    options: argparse.Namespace, study: Study, losses: list[str], datasets: list[str]
) -> None:
    import torch
    from rich.console import Console

    from harness.commands.watch import Watch
    from harness.engines import conductor
    from harness.engines.execute import Places
    from harness.records import folder
    from harness.training import precision

    # The nodes of a cluster have devices that this machine may lack: its engine looks there.
    is_local = options.engine == "local"
    device = shared.device_named(options.device) if is_local else options.device
    console = Console(stderr=not options.json)
    folder.create(options.results)
    places = Places(options.results.resolve(), options.data.resolve(), device, options.threads)
    signal.signal(signal.SIGTERM, _on_sigterm)
    engine: Engine | None = None
    try:
        with Watch(console, places.results, quiet=options.quiet, as_json=options.json) as watch:
            if is_local:
                study, replacements = precision.within_reach(study, torch.device(device))
                for line in replacements:
                    watch("line", line)
            jobs = conductor.prepare(study, datasets, losses, places.results, places.data, watch)
            engine = _engine(options, places)
            with Ending() as ending:
                complete = conductor.conduct(jobs, engine, watch, ending)
        if not complete:
            raise KeyboardInterrupt(ending.code)
    except KeyboardInterrupt as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left takes a moment, and must be
        code = stop.args[0] if stop.args else 130
        print("harness: stopped; the same command carries on where it was", file=sys.stderr)
        sys.exit(code)
    finally:
        if engine is not None:
            engine.close()
    for dataset in datasets:
        where = folder.folder_of(options.results, study.name, dataset)
        print_table(table_of(where, None), "markdown", as_json=options.json)
    _check_results(jobs)


def _engine(options: argparse.Namespace, places: Places) -> Engine:
    """Where the runs execute, as --engine says; its package is imported only when needed."""
    from harness.schema import Problem

    if options.engine == "slurm":
        try:
            from harness.engines import slurm, slurm_options
        except ImportError as error:
            raise Problem(f"--engine slurm: {error}; python -m pip install submitit") from None
        cluster = slurm_options.Options()
        if options.slurm is not None:
            cluster = slurm_options.read(options.slurm)
        return slurm.Slurm(places, cluster)
    if options.engine == "ray":
        try:
            from harness.engines import ray
        except ImportError as error:
            raise Problem(f"--engine ray: {error}; python -m pip install ray") from None
        return ray.Ray(
            places, options.ray_address, gpus=options.gpus_per_run, slots=options.workers
        )
    from harness.engines.local import Local

    if places.device == "cpu":
        slots = [places] * (options.workers or os.cpu_count() or 1)
    else:
        names = options.devices or [places.device]
        devices = [
            shared.device_named(f"cuda:{name}" if name.isdigit() else name) for name in names
        ]
        per_device = options.slots_per_gpu or options.workers or 1
        slots = [replace(places, device=device) for device in devices for _ in range(per_device)]
    return Local(slots)


def _on_sigterm(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(143)


def _check_results(jobs: Sequence[Job]) -> None:
    """A Problem if some loss has no result at all, with the first reason."""
    from harness.schema import Problem

    for job in jobs:
        failed = [record for record in job.records if record.failure is not None]
        searched = [record for record in job.records if record.stage == "search"]
        if failed and job.progress().best_trial is None and searched:
            raise Problem(
                f"{job.loss} on {job.dataset}: every trial failed; the first one: "
                f"{failed[0].failure} (params {json.dumps(dict(failed[0].params))}); widen or "
                f"mend its search space, then remove {job.path} and start again"
            )
