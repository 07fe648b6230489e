"""Random resized crops: their boxes by torchvision's law, and the pixels in them resized."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.schema import Bools, Ints, Study
from harness.training.to_device import as_floats, on_device, staging

TRIES = 10  # of RandomResizedCrop, before it takes the central crop
Picture = npt.NDArray[np.uint8]


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
    from torchvision.transforms.v2 import functional  # seconds, which few processes need to spend

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
    return as_floats(torch.from_numpy(batch), flips)


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


def canvas_of(pictures: list[Picture], boxes: Ints, study: Study, device: torch.device) -> Tensor:
    """The boxes' pixels, each in the upper left corner of [n, side, side, C] uint8.

    With the shorter side at study.resize a crop's longer side is bounded by its ratio, so `side`
    is the same for every batch; what lies beside a box is arbitrary and weighs nothing.
    """
    low, high = study.crop_ratio
    side = max(math.ceil((study.resize + 1) * max(high, 1 / low)), int(boxes[:, 2:].max()))
    shape = (len(pictures), side, side, pictures[0].shape[2])
    canvas = staging(shape, device)
    for out, picture, (top, left, h, w) in zip(
        canvas.numpy(), pictures, boxes.tolist(), strict=True
    ):
        out[:h, :w] = picture[top : top + h, left : left + w]
    return canvas.to(device, non_blocking=device.type == "cuda")
