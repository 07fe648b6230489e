"""Image files to measure with: made up, of the sizes of photographs, a folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from harness.schema import Dataset

SIZES = ((500, 375), (375, 500), (500, 333), (480, 500))  # as on CUB, width x height


def photographs(folder: Path, classes: int, per_class: int) -> list[tuple[Path, int]]:
    """JPEG files of about 80 KB, as CUB's are, with their labels; the same on every machine."""
    rng = np.random.default_rng(0)
    files: list[tuple[Path, int]] = []
    for label in range(classes):
        (folder / f"class_{label:03}").mkdir(parents=True)
        for number in range(per_class):
            width, height = SIZES[len(files) % len(SIZES)]
            coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
            grain = rng.normal(0, 9, (height, width, 1))
            picture = np.clip(smooth + grain, 0, 255).astype(np.uint8)
            path = folder / f"class_{label:03}" / f"{number:03}.jpg"
            Image.fromarray(picture).save(path, quality=90)
            files.append((path, label))
    return files


def files_of(dataset: Dataset, folder: Path) -> list[tuple[Path, int]]:
    """A dataset's decoded images as PNG files, in its order, with their labels."""
    folder.mkdir(parents=True)
    files = []
    for number, label in enumerate(dataset.labels.tolist()):
        path = folder / f"{number:06}.png"
        pixels = dataset.images[number]
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)
        files.append((path, label))
    return files
