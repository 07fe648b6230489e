"""`python -m harness bench`: this machine's speed, ours and a hand-written baseline's in turn."""

from __future__ import annotations

import importlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from harness.bench import baseline
from harness.bench.compare import Comparison, Report, Setting
from harness.provenance import package_versions, processor
from harness.schema import Problem

# What can be measured -> its module and function, and whether it needs the baseline's packages.
MEASURES = {
    "pipeline": ("pipeline", "measure", False),
    "step": ("step", "measure", False),
    "embedding": ("embedding", "measure", True),
    "metrics": ("scores", "measure", True),
    "search": ("searching", "measure", False),
    "orchestration": ("conducting", "measure", False),
    "study": ("whole", "measure", True),
    "table": ("reading", "measure_table", False),
    "help": ("reading", "measure_help", False),
}


def run(
    only: Sequence[str],
    *,
    rounds: int,
    device: str,
    tell: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Measure what `only` names, or everything, in `rounds` rounds on `device` ("cpu", "cuda").

    `tell` hears of progress. What needs a package that is not installed is left out, and the
    report says so. A Problem tells of an unknown name.
    """
    for name in only:
        if name not in MEASURES:
            raise Problem(f"bench measures no {name!r}; known: {', '.join(MEASURES)}")
    missing = baseline.missing()
    skipped = []
    told: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        setting = Setting(rounds, torch.device(device), Path(folder), tell)
        for name in MEASURES:
            module, function, needs_baseline = MEASURES[name]
            if only and name not in only:
                continue
            if needs_baseline and missing:
                skipped.append(f"{name}: install {' '.join(missing)} for its baseline")
                continue
            tell(name)
            measure = getattr(importlib.import_module(f"harness.bench.{module}"), function)
            told += measure(setting)
    return Report(tuple(told), _machine(setting.device), tuple(skipped))


def _machine(device: torch.device) -> dict[str, str]:
    from harness.bench.step import has_bf16

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    bf16 = "computes in bf16" if has_bf16(device) else "no bf16: not measured"
    return {
        "device": f"{device.type}: {name} ({bf16})",
        "cores": f"{baseline.workers()}, torch uses {torch.get_num_threads()} threads",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{k} {v}" for k, v in package_versions().items()),
    }
