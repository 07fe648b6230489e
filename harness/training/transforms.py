"""Batches of images as the protocols cut them: crops and flips, grey levels 0..255, on the device.

The laws of the draws and the rounding are torchvision's. Images come decoded, with the shorter side
resized to study.resize; normalisation belongs to the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from harness.schema import Features, Floats, Images, Ints, Problem, Study
from harness.training.resized_crops import (
    Picture,
    canvas_of,
    crop_boxes,
    crop_by_matrices,
    crop_by_resize,
)
from harness.training.to_device import as_floats, on_device, staging


@runtime_checkable
class ReadAhead(Protocol):
    """Images that lie on a disk, which can be told to read some before they are asked for."""

    def will_need(self, indices: Iterable[int]) -> None:
        """Begin to read these."""


def will_need(images: Images, index: Ints) -> None:
    """Say that images `index` [B] are asked for soon, where they lie on a disk."""
    if isinstance(images, ReadAhead):
        images.will_need(index.tolist())


def train_batch(
    images: Images, index: Ints, study: Study, rng: np.random.Generator, device: torch.device
) -> Tensor:
    """Images `index` [B], cropped and flipped at random: float32 [B, C, crop, crop], 0..255.

    A pure function of `rng`, which draws the crops of all images, then the flips. Resized crops
    are antialiased and rounded to grey levels, as torchvision does it for uint8. A Problem tells of
    an image that the crop does not fit.

    Of Features: float32 [B, F], where there are random crops those of one drawn for each image.
    """
    if isinstance(images, Features):
        return on_device(_drawn_rows(images, index, rng), device)
    if study.train_crop == "centre_crop":
        # without mirroring nothing is drawn, as for features
        flips = rng.random(len(index)) < study.flip if study.flip else np.zeros(len(index), bool)
        return as_floats(_centre_crops(images, index, study, device), flips)
    crop = study.crop
    pictures = [images[int(i)] for i in index]
    heights, widths = _sizes(pictures)
    if study.train_crop != "random_resized_crop":
        _check_fit(heights, widths, index, study, exact=study.train_crop == "none")
        top, left = np.zeros((2, len(index)), np.int64)
        if study.train_crop == "random_crop":
            top, left = rng.integers(0, heights - crop + 1), rng.integers(0, widths - crop + 1)
        cut = _cut(pictures, top, left, crop, device)
        return as_floats(cut, rng.random(len(index)) < study.flip)
    boxes = crop_boxes(heights, widths, study.crop_scale, study.crop_ratio, rng)
    flips = rng.random(len(index)) < study.flip
    if device.type == "cpu":
        return crop_by_resize(pictures, boxes, flips, crop)
    canvas = canvas_of(pictures, boxes, study, device)
    boxes[:, :2] = 0
    # on every device grey levels are whole numbers, as torchvision's are for uint8
    return crop_by_matrices(canvas, boxes, flips, crop).round_().clamp_(0, 255)


def test_batch(images: Images, index: Ints, study: Study, device: torch.device) -> Tensor:
    """Centre crops of images `index` [B]: float32 [B, C, crop, crop], grey levels 0..255.

    The place is rounded as torchvision's CenterCrop rounds it, half to even. An image smaller than
    the crop is a Problem. Of Features: their rows, float32 [B, F].
    """
    if isinstance(images, Features):
        return on_device(images.rows[index], device)
    return as_floats(_centre_crops(images, index, study, device), np.zeros(len(index), np.bool_))


def _drawn_rows(features: Features, index: Ints, rng: np.random.Generator) -> Floats:
    """A row for each image of `index` [B]: of one of its random crops, where there are some."""
    crops = features.augmented
    if crops is None:
        return features.rows[index]
    return crops[index, rng.integers(crops.shape[1], size=len(index))]


def _centre_crops(images: Images, index: Ints, study: Study, device: torch.device) -> Tensor:
    """Centre crops of images `index` [B]: uint8 [B, crop, crop, C]."""
    pictures = [images[int(i)] for i in index]
    heights, widths = _sizes(pictures)
    _check_fit(heights, widths, index, study, exact=False)
    top = np.rint((heights - study.crop) / 2).astype(np.int64)
    left = np.rint((widths - study.crop) / 2).astype(np.int64)
    return _cut(pictures, top, left, study.crop, device)


def _cut(pictures: list[Picture], top: Ints, left: Ints, crop: int, device: torch.device) -> Tensor:
    """Squares of side `crop` at given places: uint8 [n, crop, crop, C]."""
    batch = staging((len(pictures), crop, crop, pictures[0].shape[2]), device)
    places = zip(batch.numpy(), pictures, top.tolist(), left.tolist(), strict=True)
    for out, picture, y, x in places:
        out[:] = picture[y : y + crop, x : x + crop]
    return batch.to(device, non_blocking=device.type == "cuda")


def _sizes(pictures: list[Picture]) -> tuple[Ints, Ints]:
    heights = np.array([picture.shape[0] for picture in pictures], np.int64)
    return heights, np.array([picture.shape[1] for picture in pictures], np.int64)


def _check_fit(heights: Ints, widths: Ints, index: Ints, study: Study, *, exact: bool) -> None:
    """A Problem names the first image smaller than the crop, or (exact) of another size."""
    fits = np.minimum(heights, widths) >= study.crop
    if exact:
        fits = (heights == study.crop) & (widths == study.crop)
    if not fits.all():
        first = fits.argmin()
        given = f"image {index[first]} is {heights[first]} x {widths[first]}"
        if exact:
            raise Problem(
                f'study {study.name!r}: train_crop = "none" needs images of {study.crop} x '
                f"{study.crop}, but {given}; set crop to the images' side, or train_crop to "
                '"random_crop" or "random_resized_crop"'
            )
        raise Problem(
            f"study {study.name!r}: {given}, smaller than the crop of {study.crop}; set crop to "
            f"the images' shorter side or less, or resize ({study.resize}) to the crop or more"
        )
