"""Batches of images as the protocols cut them: crops and flips, grey levels 0..255, on the device.

The laws of the draws and the rounding are torchvision's. Images come decoded, with the shorter side
resized to study.resize; normalisation belongs to the network.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from harness.schema import Bools, Features, Floats, Images, Ints, Problem, Study

TRIES = 10  # of RandomResizedCrop, before it takes the central crop
Picture = npt.NDArray[np.uint8]


def train_batch(
    images: Images, index: Ints, study: Study, rng: np.random.Generator, device: torch.device
) -> Tensor:
    """Images `index` [B], cropped and flipped at random: float32 [B, C, crop, crop], 0..255.

    A pure function of `rng`, which draws the crops of all images, then the flips. Resized crops
    are antialiased; on the CPU they are rounded to grey levels as torchvision does it for uint8,
    elsewhere left unrounded. A Problem tells of an image that the crop does not fit.

    Of Features: float32 [B, F], where there are random crops those of one drawn for each image.
    """
    if isinstance(images, Features):
        return on_device(_drawn_rows(images, index, rng), device)
    if study.train_crop == "centre_crop":
        # without mirroring nothing is drawn, as for features
        flips = rng.random(len(index)) < study.flip if study.flip else np.zeros(len(index), bool)
        return _as_floats(_centre_crops(images, index, study, device), flips)
    crop = study.crop
    pictures = [images[int(i)] for i in index]
    heights, widths = _sizes(pictures)
    if study.train_crop != "random_resized_crop":
        _check_fit(heights, widths, index, study, exact=study.train_crop == "none")
        top, left = np.zeros((2, len(index)), np.int64)
        if study.train_crop == "random_crop":
            top, left = rng.integers(0, heights - crop + 1), rng.integers(0, widths - crop + 1)
        cut = _cut(pictures, top, left, crop, device)
        return _as_floats(cut, rng.random(len(index)) < study.flip)
    boxes = crop_boxes(heights, widths, study.crop_scale, study.crop_ratio, rng)
    flips = rng.random(len(index)) < study.flip
    if device.type == "cpu":
        return crop_by_resize(pictures, boxes, flips, crop)
    canvas = _canvas(pictures, boxes, study, device)
    boxes[:, :2] = 0
    return crop_by_matrices(canvas, boxes, flips, crop)


def test_batch(images: Images, index: Ints, study: Study, device: torch.device) -> Tensor:
    """Centre crops of images `index` [B]: float32 [B, C, crop, crop], grey levels 0..255.

    The place is rounded as torchvision's CenterCrop rounds it, half to even. An image smaller than
    the crop is a Problem. Of Features: their rows, float32 [B, F].
    """
    if isinstance(images, Features):
        return on_device(images.rows[index], device)
    return _as_floats(_centre_crops(images, index, study, device), np.zeros(len(index), np.bool_))


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


def on_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A small array on the device; a GPU copies it when its turn comes, and nobody waits for it."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def crop_boxes(
    heights: Ints,
    widths: Ints,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    rng: np.random.Generator,
) -> Ints:
    """Boxes (top, left, height, width) [n, 4] of RandomResizedCrop in images [n] of given sizes.

    Law of torchvision's RandomResizedCrop.get_params: the share of the area is uniform in `scale`,
    width / height log-uniform in `ratio`, the place uniform; the first of ten tries that fits,
    else the largest central crop with a ratio in range. Draws 22 uniform numbers an image,
    whatever fits: ten pairs (area, ratio), all images; then (top, left).
    """
    n = len(heights)
    tries, place = rng.random((n, TRIES, 2)), rng.random((n, 2))
    area = (heights * widths)[:, None] * (scale[0] + (scale[1] - scale[0]) * tries[..., 0])
    low, high = np.log(ratio)
    aspect = np.exp(low + (high - low) * tries[..., 1])
    w = np.rint(np.sqrt(area * aspect)).astype(np.int64)
    h = np.rint(np.sqrt(area / aspect)).astype(np.int64)
    fits = (w > 0) & (w <= widths[:, None]) & (h > 0) & (h <= heights[:, None])
    first, fitting = (np.arange(n), fits.argmax(1)), fits.any(1)
    tall, wide = widths / heights < min(ratio), widths / heights > max(ratio)
    whole_h = np.where(tall, np.rint(widths / min(ratio)).astype(np.int64), heights)
    whole_w = np.where(wide, np.rint(heights * max(ratio)).astype(np.int64), widths)
    h, w = np.where(fitting, h[first], whole_h), np.where(fitting, w[first], whole_w)
    free_h, free_w = heights - h, widths - w
    top = np.where(fitting, (place[:, 0] * (free_h + 1)).astype(np.int64), free_h // 2)
    left = np.where(fitting, (place[:, 1] * (free_w + 1)).astype(np.int64), free_w // 2)
    return np.stack([top, left, h, w], 1)


def crop_by_resize(pictures: list[Picture], boxes: Ints, flips: Bools, crop: int) -> Tensor:
    """Boxes [n, 4] of n pictures, resized by torchvision and flipped: float32 [n, C, crop, crop].

    The antialiased uint8 resize, image by image, which is the fastest way on a CPU; as many images
    at once as torch has threads, for the resize itself uses only one.
    """
    batch = np.empty((len(pictures), crop, crop, pictures[0].shape[2]), np.uint8)

    def fill(i: int) -> None:
        top, left, h, w = boxes[i].tolist()
        # a copy, for a picture may be a read-only view of a memory map
        box = torch.from_numpy(pictures[i][top : top + h, left : left + w].copy()).permute(2, 0, 1)
        resized = functional.resize(box, [crop, crop], antialias=True)
        # numpy copies, for torch would wake all its threads for so little
        np.copyto(batch[i], resized.permute(1, 2, 0).numpy())

    if torch.get_num_threads() == 1:
        for i in range(len(pictures)):
            fill(i)
    else:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(fill, range(len(pictures))))
    return _as_floats(torch.from_numpy(batch), flips)


def crop_by_matrices(canvas: Tensor, boxes: Ints, flips: Bools, crop: int) -> Tensor:
    """Boxes [B, 4] of canvas [B, H, W, C], resized and flipped: float32 [B, C, crop, crop].

    out = W_y @ image @ W_x^T with one pair of matrices per image: the triangle filter of an
    antialiased bilinear resize, normalised within the box; flips [B] are folded into W_x. Two
    batched products of static shapes, on the canvas's device. Within rounding of torchvision's
    float resize of the cropped image with antialias=True.
    """
    n, height, width, channels = canvas.shape
    top, left, h, w = on_device(boxes.astype(np.float32), canvas.device).unbind(1)
    rows = _filters(top, h, crop, height)
    columns = _filters(left, w, crop, width)
    flipped = on_device(flips, canvas.device)[:, None, None]
    columns = torch.where(flipped, columns.flip(1), columns)
    with torch.autocast(canvas.device.type, enabled=False):
        part = torch.bmm(rows, canvas.reshape(n, height, width * channels).float())
        part = part.view(n, crop, width, channels).permute(0, 3, 1, 2)
        out = torch.bmm(part.reshape(n, channels * crop, width), columns.transpose(1, 2))
    return out.view(n, channels, crop, crop)


def _filters(start: Tensor, length: Tensor, size: int, extent: int) -> Tensor:
    """Matrices [n, size, extent] that resize [start, start + length) of an axis to `size`."""
    start, length = start[:, None, None], length[:, None, None]
    scale = length / size
    out = torch.arange(size, device=start.device).view(1, size, 1) + 0.5
    position = torch.arange(extent, device=start.device).view(1, 1, extent) + 0.5
    weight = (1 - (position - start - out * scale).abs() / scale.clamp_min(1)).clamp_min(0)
    weight = weight * ((position > start) & (position < start + length))
    return weight / weight.sum(2, keepdim=True)


def _canvas(pictures: list[Picture], boxes: Ints, study: Study, device: torch.device) -> Tensor:
    """The boxes' pixels, each in the upper left corner of [n, side, side, C] uint8.

    With the shorter side at study.resize a crop's longer side is bounded by its ratio, so `side`
    is the same for every batch; what lies beside a box is arbitrary and weighs nothing.
    """
    low, high = study.crop_ratio
    side = max(math.ceil((study.resize + 1) * max(high, 1 / low)), int(boxes[:, 2:].max()))
    shape = (len(pictures), side, side, pictures[0].shape[2])
    canvas = _staging(shape, device)
    for out, picture, (top, left, h, w) in zip(
        canvas.numpy(), pictures, boxes.tolist(), strict=True
    ):
        out[:h, :w] = picture[top : top + h, left : left + w]
    return canvas.to(device, non_blocking=device.type == "cuda")


def _cut(pictures: list[Picture], top: Ints, left: Ints, crop: int, device: torch.device) -> Tensor:
    """Squares of side `crop` at given places: uint8 [n, crop, crop, C]."""
    batch = _staging((len(pictures), crop, crop, pictures[0].shape[2]), device)
    places = zip(batch.numpy(), pictures, top.tolist(), left.tolist(), strict=True)
    for out, picture, y, x in places:
        out[:] = picture[y : y + crop, x : x + crop]
    return batch.to(device, non_blocking=device.type == "cuda")


def _staging(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Bytes of the host, to fill for a device; pinned for a GPU, which then fetches them itself."""
    return torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")


def _as_floats(batch: Tensor, flips: Bools) -> Tensor:
    """Uint8 [n, H, W, C] as float32 [n, C, H, W], the images [n] that `flips` marks mirrored.

    In bytes, and on a CPU image by image: mirroring all at once takes ten times as long there.
    """
    if batch.device.type == "cpu":
        for i in np.flatnonzero(flips):
            batch[i] = batch[i].flip(1)
    else:
        marked = on_device(flips, batch.device)[:, None, None, None]
        batch = torch.where(marked, batch.flip(2), batch)
    return batch.permute(0, 3, 1, 2).float()


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
