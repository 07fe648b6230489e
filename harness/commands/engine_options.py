"""`study`'s options for where runs execute, turned into an engine."""

from __future__ import annotations

import argparse
import importlib
import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness.commands import options as shared
from harness.commands import unused

if TYPE_CHECKING:
    from harness.engines import slurm_options
    from harness.engines.conductor import Engine
    from harness.engines.execute import Places


TAKEN_BY = {  # option -> the engines that take it into account
    "--devices": ("local",),
    "--slots-per-gpu": ("local",),
    "--workers": ("local", "ray"),
    "--slurm": ("slurm",),
    "--ray-address": ("ray",),
    "--gpus-per-run": ("ray",),
}


def add(parser: argparse.ArgumentParser) -> None:
    """The options that say where runs execute."""
    option = parser.add_argument
    option(
        "--engine",
        choices=("local", "slurm", "ray"),
        default="local",
        help="where runs execute (default: worker processes here)",
    )
    option("--devices", type=_split, metavar="0,1", help="GPUs of --engine local")
    option("--slots-per-gpu", type=shared.count, metavar="N", help="runs per GPU (default: 1)")
    option(
        "--slurm",
        type=Path,
        metavar="FILE",
        help="TOML file for --engine slurm: partition, time_minutes, gres, ...",
    )
    option(
        "--ray-address",
        metavar="HOST:PORT",
        help="a running cluster for --engine ray (default: start one)",
    )
    option(
        "--gpus-per-run",
        type=_share,
        metavar="SHARE",
        help="GPU share of a run with --engine ray; 0.25: four runs share a GPU",
    )


def places_here(options: argparse.Namespace) -> Places:
    """Where runs execute in this process, which is set up for them."""
    from harness.engines.execute import Places
    from harness.engines.process import prepare

    device = shared.device_named(options.device)
    places = Places(options.results.resolve(), options.data.resolve(), device, options.threads)
    prepare(places)
    return places


def _share(text: str) -> float:
    """A finite number of 0 or more, for argparse."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more")
    return number


def _split(text: str) -> list[str]:
    return text.split(",")


def check(options: argparse.Namespace) -> None:
    """A Problem where a device, a package or a file of the engine is not there.

    Before a dataset is read, which may take minutes. And for options of which one would be ignored.
    """
    _check_together(options)
    if options.engine == "slurm":
        _module("slurm", "submitit").check_commands()
        _slurm_options(options)
    elif options.engine == "ray":
        _module("ray", "ray")
    else:
        _devices(options)


def _check_together(options: argparse.Namespace) -> None:
    from harness.schema import Problem

    of_others = {
        flag: f"is no option of --engine {options.engine}; give it with --engine "
        + " or ".join(takers)
        for flag, takers in TAKEN_BY.items()
        if options.engine not in takers
    }
    if "--workers" in of_others:
        of_others["--workers"] += ", or max_queued in --slurm FILE"
    unused.refuse(options, add, of_others)
    if options.devices is not None and options.device != "auto":
        raise Problem("--device and --devices both name GPUs; give --devices alone for several")
    if options.slots_per_gpu is not None:
        if options.workers is not None:
            raise Problem("--workers and --slots-per-gpu both say how many runs share a GPU")
        if options.devices is None and shared.device_named(options.device) == "cpu":
            raise Problem("--slots-per-gpu: runs are computed on the CPU; give --workers instead")


def open_engine(options: argparse.Namespace, places: Places) -> Engine:
    """The engine that --engine names; its package is imported only here."""
    engine: Engine
    if options.engine == "slurm":
        engine = _module("slurm", "submitit").Slurm(places, _slurm_options(options))
        return engine
    if options.engine == "ray":
        gpus, slots = options.gpus_per_run, options.workers
        ray = _module("ray", "ray")
        engine = ray.Ray(places, options.ray_address, gpus=gpus, slots=slots)
        return engine
    from harness.engines.local import Local

    devices = _devices(options) or [places.device]
    if set(devices) == {"cpu"}:
        return Local([places] * (options.workers or os.cpu_count() or 1))
    per_device = options.slots_per_gpu or options.workers or 1
    share = 1 / (per_device * max(devices.count(device) for device in devices))
    each = [replace(places, device=device, gpu_share=share) for device in devices]
    return Local([slot for slot in each for _ in range(per_device)])


def _devices(options: argparse.Namespace) -> list[str]:
    """What --devices names; a Problem where torch has no such device."""
    return [
        shared.device_named(f"cuda:{name}" if name.isdigit() else name)
        for name in options.devices or []
    ]


def _slurm_options(options: argparse.Namespace) -> slurm_options.Options:
    from harness.engines import slurm_options

    return slurm_options.Options() if options.slurm is None else slurm_options.read(options.slurm)


def _module(engine: str, package: str) -> ModuleType:
    """The module of an engine; a Problem that names the package it needs where that is missing."""
    from harness.schema import Problem

    try:
        return importlib.import_module(f"harness.engines.{engine}")
    except ImportError as error:
        raise Problem(f"--engine {engine}: {error}; python -m pip install {package}") from None
