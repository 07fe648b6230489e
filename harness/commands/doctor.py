"""`doctor`: what a bug report needs to know of this machine, and what will not work on it."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import __version__
from harness.commands import options as shared
from harness.commands import selection
from harness.files import CHECKOUT

HELP = "print what a bug report needs of this machine, and what will not work on it"
EPILOG = "Exit code 1 if something that every study needs will not work; the last lines say what."
NEEDED = ("torch", "torchvision", "numpy", "optuna", "pytorch_metric_learning", "sklearn", "PIL")
OPTIONAL = {
    "timm": "--trunk timm:NAME",
    "datasets": "--dataset hf:NAME",
    "pyarrow": "features and tables in .parquet",
    "safetensors": "features and weights in .safetensors",
    "submitit": "--engine slurm",
    "ray": "--engine ray",
    "psycopg": "export --optuna postgresql://...",
    **{name: f"--log {name}" for name in ("tensorboard", "wandb", "mlflow")},
}
LEAST_FREE = 1 << 30  # bytes of disk below which a cache or records will not fit
GIB = 1 << 30


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="one JSON object")
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Print the machine as it is, then what will not work, each with its remedy."""
    results, data = options.results.resolve(), options.data.resolve()
    report: dict[str, Any] = {
        "harness": _harness(),
        "machine": _machine(),
        "packages": {name: _version(name) for name in (*NEEDED, *OPTIONAL)},
        "gpu": _gpu(),
        "data": _folder(data) | {"caches": _caches(data / "cache")},
        "results": _folder(results) | {"record_files": _record_files(results)},
    }
    report["will_not_work"] = list(_faults(report))
    report["not_installed"] = list(_absent(report["packages"]))
    if options.json:
        print(json.dumps(report))
    else:
        print("\n".join(_lines(report)))
    if report["will_not_work"]:
        sys.exit(1)


def _harness() -> dict[str, Any]:
    from harness.records.provenance import code_version

    return {"version": __version__, **code_version(), "checkout": str(CHECKOUT)}


def _machine() -> dict[str, Any]:
    """System, processor, cores, memory in GiB, the folder for temporary files, encoding."""
    from harness.records.provenance import processor

    memory = {}
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, amount = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                memory[name] = round(int(amount.split()[0]) * 1024 / GIB, 1)
    except OSError:  # no Linux
        pass
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory.get("MemTotal"),
        "memory_available_gib": memory.get("MemAvailable"),
        "temporary": _temporary(),
        "encoding": sys.stdout.encoding,
    }


def _temporary() -> str | None:
    """The folder for temporary files; None where no folder takes any."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return None


def _version(module: str) -> str | None:
    """A package's version by the name of its module; None where it is not installed."""
    if importlib.util.find_spec(module) is None:
        return None
    from importlib import metadata  # slow to load, and --help loads this file

    names = _distributions().get(module, [module])
    try:
        return metadata.version(names[0])
    except metadata.PackageNotFoundError:
        return "of unknown version"


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """The distributions that a module is of, for every module: read once, for that takes long."""
    from importlib import metadata

    return metadata.packages_distributions()


def _gpu() -> dict[str, Any]:
    """What torch sees of GPUs, or why it cannot be imported."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return {"names": [], "error": f"{type(error).__name__}: {error}"}
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"names": names, "cuda_of_torch": torch.version.cuda, "error": None}


def _folder(path: Path) -> dict[str, Any]:
    """Where a folder is, whether it can be written, and how many GiB are free there."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    fault = None
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".writable"):
            pass
    except OSError as error:
        fault = error.strerror
    return {
        "path": str(path),
        "exists": path.exists(),
        "not_writable": fault,
        "free_gib": round(shutil.disk_usage(existing).free / GIB, 1),
    }


def _caches(folder: Path) -> dict[str, float]:
    """What lies in the cache, each with its size in MB."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return {
        path.name: round(sum(f.stat().st_size for f in [path, *path.rglob("*")]) / 1e6, 1)
        for path in paths
        if not path.name.startswith(".")
    }


def _record_files(results: Path) -> dict[str, int]:
    """How many files of records each study on a dataset has."""
    return {
        str(folder.relative_to(results)): sum(1 for _ in folder.glob("*.jsonl*"))
        for folder in selection.folders_in(results)
    }


def _faults(report: dict[str, Any]) -> Iterator[str]:
    """What every study needs and this machine lacks, with the remedy."""
    absent = [name for name in NEEDED if report["packages"][name] is None]
    if absent:
        yield f"{', '.join(absent)} not installed: python -m pip install -r requirements.txt"
    if report["gpu"]["error"] is not None and "torch" not in absent:
        yield (
            f"torch cannot be imported ({report['gpu']['error']}): python -m pip install "
            "--force-reinstall -r requirements.txt"
        )
    if report["machine"]["temporary"] is None:
        yield "no folder for temporary files can be written: set TMPDIR to one that can"
    for name in ("data", "results"):
        folder = report[name]
        if folder["not_writable"] is not None:
            yield (
                f"{folder['path']} cannot be written ({folder['not_writable']}): give another "
                f"folder with --{name}"
            )
        elif folder["free_gib"] * GIB < LEAST_FREE:
            yield (
                f"{folder['path']} has {folder['free_gib']} GiB free: make room, or give a folder "
                f"on another disk with --{name}"
            )


def _absent(packages: dict[str, str | None]) -> Iterator[str]:
    """What optional packages that are not installed would give."""
    for name, purpose in OPTIONAL.items():
        if packages[name] is None:
            yield f"{purpose} needs: python -m pip install {name}"


def _lines(report: dict[str, Any]) -> list[str]:
    """The report as text: a line for each value, then what will not work."""
    lines = []
    for name in ("harness", "machine", "packages", "gpu", "data", "results"):
        lines.append(f"{name}:")
        for key, value in report[name].items():
            if isinstance(value, dict):
                value = ", ".join(f"{inner} {size}" for inner, size in value.items()) or "none"
            elif isinstance(value, list):
                value = ", ".join(value) or "none"
            lines.append(f"  {key}: {'no' if value is None else value}")
    if not report["gpu"]["names"]:
        lines.append("no GPU is seen by torch: studies train on the CPU")
    lines += report["not_installed"]
    faults = report["will_not_work"]
    return [*lines, *(f"WILL NOT WORK: {fault}" for fault in faults)]
