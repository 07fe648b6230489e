"""The training step: forward, loss, backward, optimiser, on ready images."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from harness.commands.bench import by_hand
from harness.commands.bench.timing import (
    Comparison,
    Setting,
    as_runs_execute,
    each_in_turn,
    finish,
    seconds,
)
from harness.schema import Part, Precision, Run, Study
from harness.training import network, train
from harness.training.precision import reduced_precisions, why_no_compiler

LOSS = "multi_similarity"  # of PML on both sides


@dataclass(frozen=True)
class Case:
    """A trunk at a crop in a precision, with how many images a batch and steps to measure."""

    trunk: str
    crop: int
    precision: Precision
    batch: int
    steps: int
    least_ratio: float | None = None
    compile: bool = False


def cases(device: torch.device) -> list[Case]:
    """What is measured: reduced precisions and compiled trunks only where the device has them."""
    large = device.type == "cuda"
    batch, steps = (32, 20) if large else (16, 2)
    chosen = [
        Case("convnet", 32, "fp32", 32, 100),
        Case("resnet18", 64, "fp32", 32, 5 * steps),
        Case("bn_inception", 227, "fp32", batch, steps),
        Case("resnet50", 224, "fp32", batch, steps, least_ratio=1.0),
    ]
    if "tf32" in reduced_precisions(device):  # then the baseline's precision
        chosen[-1] = replace(chosen[-1], least_ratio=None)
        chosen.append(Case("resnet50", 224, "tf32", batch, steps, least_ratio=1.0))
    if "bf16" in reduced_precisions(device):
        chosen.append(Case("bn_inception", 227, "bf16", batch, steps))
        chosen.append(Case("resnet50", 224, "bf16", batch, steps, least_ratio=2.5))
    if why_no_compiler(device) is None:
        compiled = (chosen[0], chosen[-1])
        chosen += [replace(case, compile=True, least_ratio=None) for case in compiled]
    return chosen


def measure(setting: Setting) -> list[Comparison]:
    """Images a second of a step, by trunk, crop and precision; the baseline keeps PyTorch's own."""
    comparisons = []
    baseline_precision = "tf32" if "tf32" in reduced_precisions(setting.device) else "fp32"
    for case in cases(setting.device):
        what = f"{case.trunk} {case.crop} px {case.precision}"
        what += ", compiled" if case.compile else ""
        setting.say(f"step: {what}")
        study = study_of(case)
        images = random_images(case)
        ours, baseline, limit = each_in_turn(
            (
                functools.partial(loop_rate, study, images, case.steps, setting.device),
                functools.partial(
                    trainer_rate, replace(study, compile=False), images, case.steps, setting.device
                ),
                functools.partial(passes_rate, study, images, case.steps, setting.device),
            ),
            setting.rounds,
        )
        comparisons.append(
            Comparison(
                name="step",
                what=f"{what}, batch {case.batch}",
                unit="img/s",
                ours=tuple(ours),
                baseline=tuple(baseline),
                rising=True,
                least_ratio=case.least_ratio,
                limit=tuple(limit),
                limit_is="forward and backward passes of the same network on resident images",
                notes=(f"the baseline computes in {baseline_precision}",)
                * (case.precision != baseline_precision),
            )
        )
    return comparisons


def study_of(case: Case) -> Study:
    """A study whose one epoch is the case's steps."""
    return Study(
        name="bench",
        trunk=case.trunk,
        weights="none",
        crop=case.crop,
        resize=case.crop,
        train_crop="none",
        flip=0.0,
        classes_per_batch=case.batch // 4,
        images_per_class=4,
        iterations=case.steps,
        lr=1e-5,
        precision=case.precision,
        compile=case.compile,
    )


def random_images(case: Case) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Two batches of noise; a step takes as long on them as on photographs."""
    channels = 1 if case.trunk == "convnet" else 3
    shape = (2 * case.batch, case.crop, case.crop, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def a_run(study: Study, epochs: int) -> Run:
    """A training of some epochs without held-out classes, with the loss's own defaults."""
    return Run(
        study=replace(study, complete_dim=study.dim, lr=1e-5, loss_lr=1e-5, followup=False),
        dataset="noise",
        loss=LOSS,
        stage="complete",
        seed=0,
        params={},
        trial=0,
        repeat=0,
        epochs=(epochs, 0),
    )


def part_of(images: np.ndarray[Any, np.dtype[np.uint8]]) -> Part:
    """The images as classes of 4."""
    index = np.arange(len(images))
    return Part(images, index, index // 4)


def loop_rate(study: Study, images: Any, steps: int, device: torch.device) -> float:
    """The rate of the training loop's second epoch; the first one warms up."""
    ends: list[float] = []

    with as_runs_execute(study, device):
        training = train.start(a_run(study, epochs=2), part_of(images), device)
        for _ in train.epochs(training):
            finish(device)
            ends.append(time.perf_counter())
    return steps * study.classes_per_batch * study.images_per_class / (ends[1] - ends[0])


def passes_rate(study: Study, images: Any, steps: int, device: torch.device) -> float:
    """The rate of forward and backward passes alone, on a batch that lies on the device."""
    batch = study.classes_per_batch * study.images_per_class
    torch.manual_seed(0)
    with as_runs_execute(study, device):
        model = network.build(study, study.dim, images.shape[3]).to(device)
        ready = torch.from_numpy(images[:batch]).permute(0, 3, 1, 2).float().to(device)
        return rate_of_passes(model, ready, steps)


def rate_of_passes(
    module: nn.Module, images: torch.Tensor, steps: int, *, bf16: bool = False
) -> float:
    """Images a second of a module's forward and backward passes on a batch, after one to warm up.

    The module runs under bf16 autocast if asked; a network does so by itself.
    """

    def passes(number: int) -> None:
        for _ in range(number):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                out = module(images)
            out.float().sum().backward()
            module.zero_grad()

    passes(1)
    taken = seconds(functools.partial(passes, steps), images.device)
    return steps * len(images) / taken


def trainer_rate(study: Study, images: Any, steps: int, device: torch.device) -> float:
    """The rate of the second epoch of PML's trainer on the same images as ready tensors."""
    ends: list[float] = []
    channels = images.shape[3]
    trunk = network.trunk_of(study)
    mean = torch.tensor(trunk.mean).view(1, -1, 1, 1)
    std = torch.tensor(trunk.std).view(1, -1, 1, 1)
    ready = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - mean) / std
    labels = torch.from_numpy(part_of(images).labels)
    batch = study.classes_per_batch * study.images_per_class
    torch.manual_seed(0)
    parts = {
        name: part.to(device) for name, part in by_hand.models(study, study.dim, channels).items()
    }
    optimizers = {
        f"{name}_optimizer": torch.optim.RMSprop(
            part.parameters(), lr=1e-5, weight_decay=study.weight_decay, momentum=study.momentum
        )
        for name, part in parts.items()
    }

    def epoch_ended(_trainer: Any) -> None:
        finish(device)
        ends.append(time.perf_counter())

    by_hand.trainer(
        parts,
        _pml_loss(),
        optimizers,
        TensorDataset(ready, labels),
        batch=batch,
        device=device,
        iterations_per_epoch=steps,
        dataloader_num_workers=0,
        end_of_epoch_hook=epoch_ended,
    ).train(num_epochs=2)
    return steps * batch / (ends[1] - ends[0])


def _pml_loss() -> Any:
    from pytorch_metric_learning.losses import MultiSimilarityLoss

    return MultiSimilarityLoss()
