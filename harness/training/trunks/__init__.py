"""Trunks by name: one file each, which defines TRUNK.

Every trunk takes grey levels 0..255 and gives a feature map, so nothing before the network has to
know what a trunk was trained on.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from harness.training.weights import Checkpoint

# Of ImageNet's training images, in grey levels, R, G, B (torchvision's reference training).
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True)
class Trunk:
    """How a trunk is built and fed, and where its published weights are.

    `mean` and `std` are in grey levels, one per channel in the trunk's own order (`bgr`), or one
    for all; `classifier` is the prefix of the checkpoint's keys that no embedding needs.
    """

    module: Callable[[int], nn.Module]  # channels of the images -> module: images to feature map
    features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False
    grey: bool = False  # takes images of one channel as they are; others see the channel 3 times
    checkpoint: Checkpoint | None = None
    classifier: tuple[str, ...] = ()


def names() -> list[str]:
    """The trunks there are, in alphabetical order."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_"))


def load(name: str) -> Trunk:
    """The trunk of that name, which must be one of `names()`."""
    trunk: Trunk = importlib.import_module(f"{__name__}.{name}").TRUNK
    return trunk
