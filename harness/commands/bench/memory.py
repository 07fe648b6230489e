"""The most memory that this process used, on a GPU or as the operating system counts it."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from harness.commands.bench.timing import seconds


def cost_of(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of work, and megabytes beyond what was in use before: 1 at least."""
    before = reset_peak(device)
    duration = seconds(work, device)
    return duration, max(1.0, (peak(device) - before) / 2**20)


def reset_peak(device: torch.device) -> int:
    """Start a new peak; the bytes in use now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # no Linux, or not allowed: then extra memory counts from the peak so far
        return peak(device)
    return _status("VmRSS")


def peak(device: torch.device) -> int:
    """The most bytes that were in use since the last new peak, or since the process began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}; process {os.getpid()}")
