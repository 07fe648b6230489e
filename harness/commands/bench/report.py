"""What `bench` can measure, and the report of one call."""

from __future__ import annotations

import importlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from harness.commands.bench import by_hand
from harness.commands.bench.timing import Comparison, Report, Setting, sentence
from harness.commands.options import known
from harness.records.provenance import package_versions, processor
from harness.training.precision import has_bf16, no_compiler

# What can be measured -> its module and function.
MEASURES = {
    "pipeline": ("pipeline", "measure"),
    "step": ("step", "measure"),
    "embedding": ("embedding", "measure"),
    "metrics": ("metrics", "measure"),
    "search": ("search", "measure"),
    "orchestration": ("orchestration", "measure"),
    "study": ("study", "measure"),
    "table": ("table", "measure_table"),
    "help": ("table", "measure_help"),
}
BY_FAISS = {"metrics", "study"}  # their baseline searches neighbours by faiss
BY_BF16 = {"step", "embedding"}  # these are measured in bf16 too, where the device has it


def measure(
    only: Sequence[str],
    *,
    rounds: int,
    device: str,
    say: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Measure what `only` names, or everything, in `rounds` rounds on `device` ("cpu", "cuda").

    `say` receives a line on progress. The report says what cannot be measured here and what stands
    in for it. A Problem tells of an unknown name.
    """
    wanted = {known("measure of bench", name, list(MEASURES)) for name in only} or set(MEASURES)
    told: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        setting = Setting(rounds, torch.device(device), Path(folder), say)
        for name in (name for name in MEASURES if name in wanted):
            say(name)
            module, function = MEASURES[name]
            measure = getattr(importlib.import_module(f"harness.commands.bench.{module}"), function)
            measured = measure(setting)
            for item in measured:  # now: the table comes last, and a run that is cut off has none
                say(sentence(item))
            told += measured
    return Report(tuple(told), _machine(setting.device), _missing(wanted, setting.device))


def _missing(wanted: set[str], device: torch.device) -> tuple[str, ...]:
    """What was not measured as it should be, and why."""
    told = []
    if wanted & BY_FAISS and not by_hand.has_faiss():
        told.append(
            "faiss is not installed, so the baseline of "
            f"{' and '.join(sorted(wanted & BY_FAISS))} searches neighbours by PML's CustomKNN "
            "(torch, in blocks) instead; its goals are set against faiss and are not judged; "
            "python -m pip install faiss-cpu"
        )
    if wanted & BY_BF16 and not has_bf16(device):
        told.append(
            f"{' and '.join(sorted(wanted & BY_BF16))} in bf16: this {device.type} does not "
            "compute in it"
        )
    if "step" in wanted and (why := no_compiler(device)) is not None:
        told.append(f"step with a trunk by torch.compile: it does not work here ({why})")
    return tuple(told)


def _machine(device: torch.device) -> dict[str, str]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    bf16 = "computes in bf16" if has_bf16(device) else "no bf16: not measured"
    return {
        "device": f"{device.type}: {name} ({bf16})",
        "cores": f"{by_hand.workers()}, torch uses {torch.get_num_threads()} threads",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{k} {v}" for k, v in package_versions().items()),
    }
