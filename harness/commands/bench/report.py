"""What `bench` can measure, and the report of one call."""

from __future__ import annotations

import importlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from harness.commands.bench import by_hand, limits
from harness.commands.bench.timing import GOALS, Comparison, Report, Setting, sentence
from harness.commands.options import known
from harness.records.provenance import package_versions, processor
from harness.training.precision import has_bf16, why_no_compiler

# What can be measured: each is a module here with a function `measure`.
MEASURES = (
    "pipeline",
    "step",
    "embedding",
    "features",
    "metrics",
    "search",
    "orchestration",
    "study",
    "table",
    "help",
)
OF_THE_HOST = {"search", "orchestration", "table", "help"}  # whatever the device is
STEP_SHARE = 0.85  # of pure passes that a training step should reach on a GPU
GOALS_OF_A_GPU = "those of a GPU: a step's share of pure passes, and what the host does alone"
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

    `say` receives a line on progress. The report says what cannot be measured here and what
    replaces it. An unknown name is a Problem.
    """
    wanted = {known("measure of bench", name, list(MEASURES)) for name in only} or set(MEASURES)
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        setting = Setting(rounds, torch.device(device), Path(folder), say)
        for name in (name for name in MEASURES if name in wanted):
            say(name)
            module = importlib.import_module(f"harness.commands.bench.{name}")
            measured: list[Comparison] = module.measure(setting)
            if setting.device.type == "cuda":
                measured = [with_goals_of_a_gpu(item) for item in measured]
            for item in measured:  # at once: a run that is cut off never prints its table
                say(sentence(item))
            comparisons += measured
    missing = missing_for(wanted, setting.device)
    goals = GOALS_OF_A_GPU if setting.device.type == "cuda" else GOALS
    return Report(tuple(comparisons), _machine(setting.device), missing, goals)


def with_goals_of_a_gpu(item: Comparison) -> Comparison:
    """The same with the goals of a GPU: a step near the pure passes, the host's parts as ever."""
    if item.name in OF_THE_HOST:
        return item
    share = STEP_SHARE if item.name == "step" else None
    return replace(item, least_ratio=None, most=None, least_share=share)


def missing_for(wanted: set[str], device: torch.device) -> tuple[str, ...]:
    """What this machine lacks for the wanted measures, and what that changes, a line each."""
    lines = []
    if wanted & BY_FAISS and not by_hand.has_faiss():
        lines.append(
            "faiss is not installed, so the baseline of "
            f"{' and '.join(sorted(wanted & BY_FAISS))} searches neighbours by PML's CustomKNN "
            "(torch, in blocks) instead; its goals are set against faiss and are not judged; "
            "python -m pip install faiss-cpu"
        )
    if wanted & BY_BF16 and not has_bf16(device):
        lines.append(
            f"{' and '.join(sorted(wanted & BY_BF16))} in bf16: this {device.type} does not "
            "compute in it"
        )
    if "step" in wanted and (why := why_no_compiler(device)) is not None:
        lines.append(f"step with a trunk by torch.compile: it does not work here ({why})")
    return tuple(lines)


def _machine(device: torch.device) -> dict[str, str]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    bf16 = "computes in bf16" if has_bf16(device) else "no bf16: not measured"
    return {
        "device": f"{device.type}: {name} ({bf16})",
        "limits": limits.ceilings(device),
        "cores": f"{by_hand.workers()}, torch uses {torch.get_num_threads()} threads",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{k} {v}" for k, v in package_versions().items()),
    }
