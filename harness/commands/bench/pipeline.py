"""The input pipeline: images on disk to a normalised batch on the device."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.commands.bench import by_hand
from harness.commands.bench.photographs import photographs
from harness.commands.bench.timing import Comparison, Setting, in_turn, seconds
from harness.data.datasets import load
from harness.schema import Dataset, Study
from harness.training import network, transforms

BATCH = 32
BATCHES = 16
STUDY = Study(name="bench", weights="none")  # resize 256, RandomResizedCrop 224, flip 0.5


def measure(setting: Setting) -> list[Comparison]:
    """Images a second to a ready training batch, as CUB's are: 500 px JPEGs."""
    folder = setting.folder / "pipeline"
    files = photographs(folder / "photographs", classes=16, per_class=8)
    dataset = cached(folder / "photographs", folder)
    ours, baseline = in_turn(
        lambda: _rate(batches_from_cache(dataset, setting.device), setting),
        rate_of_loader(files, setting),
        setting.rounds,
    )
    return [
        Comparison(
            name="pipeline",
            what=f"RandomResizedCrop 224, batch {BATCH}, {by_hand.workers()} loader processes",
            unit="img/s",
            ours=tuple(ours),
            baseline=tuple(baseline),
            rising=True,
            least_ratio=5.0,
            notes=(
                "ours reads decoded images from the cache, which is built once per dataset (not "
                "counted); the baseline decodes every image every time",
            ),
        )
    ]


def cached(photographs: Path, folder: Path) -> Dataset:
    """A folder of images as the harness opens it, its cache built."""
    return load(f"folder:{photographs}", folder / "data", STUDY.resize)


def batches_from_cache(dataset: Dataset, device: torch.device) -> Callable[[], None]:
    """Work that makes BATCHES ready batches: crops, flips, normalisation as the network does it."""
    rng = np.random.default_rng(0)
    model = network.build(STUDY, STUDY.dim, 3).to(device)

    def work() -> None:
        for _ in range(BATCHES):
            chosen = rng.integers(0, len(dataset.labels), BATCH)
            images = transforms.train_batch(dataset.images, chosen, STUDY, rng, device)
            _check(model.normalise(images).contiguous(memory_format=torch.channels_last))

    return work


def rate_of_loader(files: by_hand.Files, setting: Setting) -> Callable[[], float]:
    """A measure of the baseline: the rate of one epoch with the loader's processes running."""
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    repeated = list(itertools.islice(itertools.cycle(files), BATCH * BATCHES))
    dataset = by_hand.ImageFiles(repeated, by_hand.train_transform(STUDY, mean, std))
    batches = by_hand.loader(dataset, BATCH, setting.device)

    def work() -> None:
        for images, _ in batches:
            _check(images.to(setting.device, non_blocking=True))

    return lambda: _rate(work, setting)


def _rate(work: Callable[[], None], setting: Setting) -> float:
    return BATCH * BATCHES / seconds(work, setting.device)


def _check(batch: Tensor) -> None:
    if batch.shape != (BATCH, 3, STUDY.crop, STUDY.crop) or batch.dtype != torch.float32:
        raise AssertionError(f"not a ready batch: {batch.dtype} {tuple(batch.shape)}")
