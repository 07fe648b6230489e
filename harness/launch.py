"""The study command: names to a study, an engine and the tables."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from harness.names import device_of, files, known
from harness.signals import Ending
from harness.table_command import assembled, show

if TYPE_CHECKING:
    from harness.execute import Places
    from harness.schema import Study
    from harness.study import Engine


def load_study(name: str) -> Study:
    """The study of a file in studies/; a Problem says what is wrong with it."""
    from harness.schema import Problem, Study

    known("study", name, files("studies"))
    try:
        study = importlib.import_module(f"studies.{name}").STUDY
    except Problem:
        raise
    except Exception as error:
        raise Problem(
            f"studies/{name}.py cannot be read: {type(error).__name__}: {error}; it must define "
            "STUDY = Study(...) with fields of harness/schema.py"
        ) from None
    if not isinstance(study, Study) or study.name != name:
        raise Problem(f"studies/{name}.py: STUDY must be a Study(name={name!r}, ...)")
    return study


def study(options: argparse.Namespace) -> None:
    """Search, retrain and score, then print the tables."""
    from harness.schema import Problem

    plan = load_study(options.study)
    changes = {
        name: getattr(options, name)
        for name in ("trials", "repeats", "search_repeats", "weights")
        if getattr(options, name) is not None
    }
    per_dataset = {
        dataset: {name: value for name, value in fields.items() if name not in changes}
        for dataset, fields in plan.per_dataset.items()
    }
    plan = replace(plan, **changes, per_dataset=per_dataset)
    given = options.loss or list(plan.losses)
    wanted = files("losses") if given == ["all"] else given
    wanted = [known("loss", name, files("losses")) for name in wanted]
    from harness.datasets import names

    datasets = options.dataset or list(plan.datasets)
    for name in datasets:
        if not name.startswith("folder:"):
            known("dataset", name, names())
    if not wanted or not datasets:
        raise Problem("no loss or no dataset: give --loss NAME and --dataset NAME")
    _conduct(options, plan, list(dict.fromkeys(wanted)), list(dict.fromkeys(datasets)))


def _conduct(
    options: argparse.Namespace, study: Study, losses: list[str], datasets: list[str]
) -> None:
    import torch
    from rich.console import Console

    from harness import reach, records
    from harness import study as conductor
    from harness.execute import Places
    from harness.watch import Watch

    # The nodes of a cluster have devices that this machine may lack: its engine looks there.
    device = device_of(options.device) if options.engine == "local" else options.device
    console = Console(stderr=not options.json)
    records.create(options.results)
    places = Places(options.results.resolve(), options.data.resolve(), device, options.threads)
    signal.signal(signal.SIGTERM, _terminated)
    engine: Engine | None = None
    try:
        with Watch(console, places.results, quiet=options.quiet, as_json=options.json) as watch:
            if options.engine == "local":  # a cluster's devices are its own
                study, instead = reach.within_reach(study, torch.device(device))
                for line in instead:
                    watch("line", line)
            jobs = conductor.prepare(study, datasets, losses, places.results, places.data, watch)
            engine = _engine(options, places)
            with Ending() as ending:
                whole = conductor.conduct(jobs, engine, watch, ending)
        if not whole:
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
        where = records.folder(options.results, study.name, dataset)
        show(options, "markdown", assembled(where, None))
    _complain(jobs)


def _engine(options: argparse.Namespace, places: Places) -> Engine:
    """Where the runs execute, as --engine says; its package is imported only when asked for."""
    from harness.schema import Problem

    if options.engine == "slurm":
        try:
            from harness import slurm, slurm_options
        except ImportError as error:
            raise Problem(f"--engine slurm: {error}; python -m pip install submitit") from None
        asked = slurm_options.Options()
        if options.slurm is not None:
            asked = slurm_options.read(options.slurm)
        return slurm.Slurm(places, asked)
    if options.engine == "ray":
        try:
            from harness import ray_cluster
        except ImportError as error:
            raise Problem(f"--engine ray: {error}; python -m pip install ray") from None
        return ray_cluster.Ray(
            places, options.ray_address, gpus=options.gpus_per_run, slots=options.workers
        )
    from harness.engines import Local

    if places.device == "cpu":
        slots = [places] * (options.workers or os.cpu_count() or 1)
    else:
        named = options.devices or [places.device]
        devices = [device_of(f"cuda:{name}" if name.isdigit() else name) for name in named]
        each = options.slots_per_gpu or options.workers or 1
        slots = [replace(places, device=device) for device in devices for _ in range(each)]
    return Local(slots)


def _terminated(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(143)


def _complain(jobs: Sequence[Any]) -> None:
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
