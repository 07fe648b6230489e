"""Images a second of a device by memory layout, precision and number of processes on it.

python -m harness.commands.bench.gpu_rates DEVICE TRUNK CROP PRECISION BATCH STEPS

prints those of one process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch

from harness.commands.bench import step, timing
from harness.files import CHECKOUT
from harness.schema import Precision, Problem
from harness.training import network
from harness.training.precision import reduced_precisions

SLOTS = (1, 2, 3)
IMAGES = {"resnet50": ("cub", 33e6), "bn_inception": ("sop", 339e6)}  # of one loss, 30 epochs a run


@dataclass(frozen=True)
class Sizes:
    """What is computed: a GPU's share, or little, to try the report without one."""

    trunks: tuple[tuple[str, int], ...]  # with their crops
    batch: int
    steps: int

    @classmethod
    def on(cls, device: torch.device) -> Sizes:
        """Those for a device."""
        if device.type == "cuda":
            return cls((("resnet50", 224), ("bn_inception", 227)), 32, 20)
        return cls((("resnet18", 32),), 8, 1)


def precisions(device: torch.device) -> tuple[Precision, ...]:
    """fp32 and what the device computes in below it."""
    return ("fp32", *reduced_precisions(device))


def layouts(device: torch.device) -> Iterator[str]:
    """Forward and backward passes by memory layout and precision, and what one loss then costs."""
    sizes = Sizes.on(device)
    for trunk, crop in sizes.trunks:
        for precision in precisions(device):
            case = step.Case(trunk, crop, precision, sizes.batch, sizes.steps)
            rates = {
                name: passes_rate(case, device, layout)
                for name, layout in (
                    ("NCHW", torch.contiguous_format),
                    ("channels last", torch.channels_last),
                )
            }
            told = ", ".join(f"{name} {rate:,.0f} img/s" for name, rate in rates.items())
            line = f"{trunk} {crop} px {precision}, batch {case.batch}: {told}"
            if device.type == "cuda":
                dataset, images = IMAGES[trunk]
                hours = images / rates["channels last"] / 3600
                line += f"; a loss on {dataset} at 30 epochs a run takes {hours:,.0f} hours of that"
            yield line


def passes_rate(case: step.Case, device: torch.device, layout: torch.memory_format) -> float:
    """Images a second of the trunk's passes alone, weights and images in one layout."""
    study = step.study_of(case)
    torch.manual_seed(0)
    with timing.as_runs_execute(study, device):
        model = network.build(study, study.dim, 3)
        trunk = model.trunk.to(device).to(memory_format=layout)
        images = torch.from_numpy(step.random_images(case)[: case.batch]).permute(0, 3, 1, 2)
        ready = images.float().to(device).contiguous(memory_format=layout)
        return step.rate_of_passes(trunk, ready, case.steps, bf16=model.bf16)


def slots(device: torch.device) -> Iterator[str]:
    """The training loop's images a second of one, two and three processes on the device."""
    sizes = Sizes.on(device)
    trunk, crop = sizes.trunks[0]
    for precision in precisions(device):
        first = 0.0
        for count in SLOTS:
            words = [str(device), trunk, crop, precision, sizes.batch, 5 * sizes.steps]
            program = [sys.executable, "-m", "harness.commands.bench.gpu_rates", *map(str, words)]
            processes = [
                subprocess.Popen(program, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
                for _ in range(count)
            ]
            outputs = [process.communicate()[0] for process in processes]
            if any(process.returncode for process in processes):
                raise Problem(f"one of {count} processes ended with an error, which is above")
            rate = sum(map(float, outputs))
            first = first or rate
            yield f"{trunk} {crop} px {precision}, {count}: {rate:,.1f} img/s ({rate / first:.2f}x)"


def main() -> None:
    """One process of `slots`."""
    name, trunk, crop, precision, batch, steps = sys.argv[1:]
    case = step.Case(trunk, int(crop), cast(Precision, precision), int(batch), int(steps))
    images = step.random_images(case)
    print(step.loop_rate(step.study_of(case), images, case.steps, torch.device(name)))


if __name__ == "__main__":
    main()
