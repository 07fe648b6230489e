"""Nine corruptions of an image, to see what a trained model makes of them.

Those of Table IV of DeMoor and Prevost 2024, arXiv 2408.15656, who used the library imgaug at its
default strengths; ours are the defaults of imgaug 0.4.0, written anew on numpy and PIL. A range is
drawn from for each image. Where imgaug has no default of its own, it is said below. All take an
image of bytes [H, W, channels], grey or RGB, and a generator, and give such an image back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.schema import Images
from harness.seeds import seed_from

Pixels = npt.NDArray[np.uint8]
Corruption = Callable[[Pixels, np.random.Generator], Pixels]
Range = tuple[float, float]


def gaussian_noise(image: Pixels, rng: np.random.Generator, scale: Range = (0, 15)) -> Pixels:
    """Normal noise, the same in all channels; `scale`: its deviation in grey levels."""
    noise = rng.normal(0, rng.uniform(*scale), image.shape[:2])
    return _bytes(image + noise[..., None])


def uniform_noise(image: Pixels, rng: np.random.Generator, levels: Range = (-20, 20)) -> Pixels:
    """Whole grey levels drawn evenly and added, the same in all channels."""
    noise = rng.integers(int(levels[0]), int(levels[1]) + 1, image.shape[:2])
    return _bytes(image.astype(np.int64) + noise[..., None])


def salt_and_pepper(image: Pixels, rng: np.random.Generator, share: Range = (0, 0.03)) -> Pixels:
    """A share of the pixels becomes nearly black or nearly white: Beta(1/2, 1/2) of 255."""
    replaced = rng.random(image.shape[:2]) < rng.uniform(*share)
    grain = 255 * rng.beta(0.5, 0.5, image.shape[:2])
    return _bytes(np.where(replaced[..., None], grain[..., None], image))


def dropout(image: Pixels, rng: np.random.Generator, share: Range = (0, 0.05)) -> Pixels:
    """A share of the pixels becomes black."""
    dropped = rng.random(image.shape[:2]) < rng.uniform(*share)
    return np.where(dropped[..., None], np.uint8(0), image)


def cutout(image: Pixels, rng: np.random.Generator, side: float = 0.2, grey: int = 128) -> Pixels:
    """A grey square of a share of the image's shorter side, its centre anywhere in the image."""
    height, width = image.shape[:2]
    half = side * min(height, width) / 2
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    rows = slice(max(0, round(y - half)), max(0, round(y + half)))
    columns = slice(max(0, round(x - half)), max(0, round(x + half)))
    cut = image.copy()
    cut[rows, columns] = grey
    return cut


def affine_shear(image: Pixels, rng: np.random.Generator, degrees: Range = (-30, 30)) -> Pixels:
    """A horizontal shear around the middle, bilinear, black where nothing was."""
    slope = float(np.tan(np.deg2rad(rng.uniform(*degrees))))
    middle = image.shape[0] / 2  # PIL counts from the corners of pixels
    return _per_channel(
        image,
        lambda channel: channel.transform(
            channel.size,
            Image.Transform.AFFINE,
            (1, slope, -slope * middle, 0, 1, 0),
            resample=Image.Resampling.BILINEAR,
        ),
    )


def jigsaw(image: Pixels, rng: np.random.Generator, cells: tuple[int, int] = (3, 10)) -> Pixels:
    """Cells of a grid change places with a neighbour; rows and columns are drawn from `cells`.

    Every cell is visited once in random order, and changes with a cell beside it where neither has
    moved yet. The image is padded at its lower right edge, with its last pixels, to whole cells.
    """
    rows, columns = (
        min(int(rng.integers(cells[0], cells[1] + 1)), side) for side in image.shape[:2]
    )
    height, width = (
        -(-side // n) for side, n in zip(image.shape[:2], (rows, columns), strict=True)
    )
    missing = (rows * height - image.shape[0], columns * width - image.shape[1])
    padded = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    source = np.arange(rows * columns).reshape(rows, columns)
    moved = np.zeros((rows, columns), bool)
    for place in rng.permutation(rows * columns).tolist():
        r, c = divmod(place, columns)
        dr, dc = ((0, 1), (0, -1), (1, 0), (-1, 0))[int(rng.integers(4))]
        r2, c2 = r + dr, c + dc
        if 0 <= r2 < rows and 0 <= c2 < columns and not moved[r, c] and not moved[r2, c2]:
            source[r, c], source[r2, c2] = source[r2, c2], source[r, c]
            moved[r, c] = moved[r2, c2] = True
    grid = padded.reshape(rows, height, columns, width, -1).swapaxes(1, 2)
    shuffled = grid.reshape(rows * columns, height, width, -1)[source]
    return np.ascontiguousarray(shuffled.swapaxes(1, 2).reshape(padded.shape))


def hue_and_saturation(
    image: Pixels, rng: np.random.Generator, levels: Range = (-40, 40)
) -> Pixels:
    """Hue, in a circle, and saturation moved by two numbers of 255; grey images stay so."""
    hue, saturation = (int(rng.integers(int(levels[0]), int(levels[1]) + 1)) for _ in range(2))
    if image.shape[2] == 1:
        return image
    hsv = np.asarray(Image.fromarray(image).convert("HSV")).astype(np.int64)
    moved = np.stack([(hsv[..., 0] + hue) % 256, hsv[..., 1] + saturation, hsv[..., 2]], axis=-1)
    return np.asarray(Image.fromarray(_bytes(moved), "HSV").convert("RGB"))


def defocus_blur(
    image: Pixels, rng: np.random.Generator, radius: float = 3.0, softness: float = 0.1
) -> Pixels:
    """A mean over a disk, its edge softened: severity 1 of Hendrycks and Dietterich 2019.

    They blur a disk of `radius` pixels by a normal kernel of deviation `softness` (arXiv
    1903.12261), on photographs of 224 pixels; on small images it is a strong blur.
    """
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (np.hypot(y, x) <= radius).astype(float)
    beside = np.exp(-(np.arange(-1, 2) ** 2) / (2 * softness**2))
    for axis in (0, 1):
        disk = np.apply_along_axis(np.convolve, axis, disk, beside / beside.sum(), "same")
    disk /= disk.sum()
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, disk.shape, axis=(0, 1))
    return _bytes(np.einsum("hwcij,ij->hwc", windows, disk))


CORRUPTIONS: Mapping[str, Corruption] = {
    "gaussian_noise": gaussian_noise,
    "uniform_noise": uniform_noise,
    "salt_and_pepper": salt_and_pepper,
    "dropout": dropout,
    "cutout": cutout,
    "affine_shear": affine_shear,
    "jigsaw": jigsaw,
    "hue_and_saturation": hue_and_saturation,
    "defocus_blur": defocus_blur,
}


@dataclass(frozen=True)
class Corrupted:
    """Images in one of CORRUPTIONS, each drawn by its own position, whichever are asked for."""

    images: Images
    name: str
    seed: int = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> Pixels:
        rng = np.random.default_rng(seed_from(self.name, self.seed, int(index)))
        image = np.asarray(self.images[index])
        return np.ascontiguousarray(
            CORRUPTIONS[self.name](image, rng)[: len(image), : image.shape[1]]
        )


def _bytes(values: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> Pixels:
    """Grey levels rounded and kept within 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _per_channel(image: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    channels = [np.asarray(change(Image.fromarray(one))) for one in np.moveaxis(image, -1, 0)]
    return np.stack(channels, axis=-1)
