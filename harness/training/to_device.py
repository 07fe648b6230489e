"""Arrays and bytes of images on their way from the host to the device that trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.schema import Bools


def on_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A small array on the device; a GPU copies it when its turn comes, and nobody waits for it."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def staging(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Bytes of the host, to fill for a device; pinned for a GPU, which then fetches them itself."""
    return torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")


def as_floats(batch: Tensor, flips: Bools) -> Tensor:
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
