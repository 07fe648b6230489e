"""BN-Inception: Inception with batch normalisation, as in the checkpoint that this field shares.

Ioffe and Szegedy 2015, arXiv 1502.03167, Figure 5. Names of modules, biases before the
normalisation, padding and rounding of the pools are those of the published checkpoint
bn_inception-52deb4733.pth (converted from Caffe by R. Cadene), so that its keys fit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from harness.training.trunks import Trunk
from harness.training.weights import Checkpoint

FEATURES = 1024


class Block(NamedTuple):
    """Channels of one inception block; `one` = 0 marks a block that halves the resolution."""

    one: int  # 1x1
    three: tuple[int, int]  # 1x1 reduction, 3x3
    double: tuple[int, int, int]  # 1x1 reduction, 3x3, 3x3
    pool: str  # "avg" or "max"
    projection: int  # 1x1 after the pool; 0 passes the pool on as it is


BLOCKS = {
    "3a": Block(64, (64, 64), (64, 96, 96), "avg", 32),
    "3b": Block(64, (64, 96), (64, 96, 96), "avg", 64),
    "3c": Block(0, (128, 160), (64, 96, 96), "max", 0),
    "4a": Block(224, (64, 96), (96, 128, 128), "avg", 128),
    "4b": Block(192, (96, 128), (96, 128, 128), "avg", 128),
    "4c": Block(160, (128, 160), (128, 160, 160), "avg", 128),
    "4d": Block(96, (128, 192), (160, 192, 192), "avg", 128),
    "4e": Block(0, (128, 192), (192, 256, 256), "max", 0),
    "5a": Block(352, (192, 320), (160, 224, 224), "avg", 128),
    "5b": Block(352, (192, 320), (192, 224, 224), "max", 128),
}


class BNInception(nn.Module):
    """Images [B, 3, H, W] (BGR, means subtracted) -> feature map [B, 1024, about H/32, W/32]."""

    def __init__(self) -> None:
        super().__init__()
        self._unit("conv1_7x7_s2", 3, 64, size=7, stride=2)
        self._unit("conv2_3x3_reduce", 64, 64, size=1)
        self._unit("conv2_3x3", 64, 192, size=3)
        self.halve = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.average = nn.AvgPool2d(3, stride=1, padding=1, ceil_mode=True)
        self.maximum = nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True)
        channels = 192
        for name, block in BLOCKS.items():
            channels = self._block(f"inception_{name}", channels, block)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _unit(self, name: str, inside: int, outside: int, *, size: int, stride: int = 1) -> None:
        conv = nn.Conv2d(inside, outside, size, stride=stride, padding=size // 2)
        self.add_module(name, conv)
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outside))

    def _block(self, name: str, inside: int, block: Block) -> int:
        """Add the modules of one block; the channels that it gives."""
        stride = 1 if block.one else 2
        if block.one:
            self._unit(f"{name}_1x1", inside, block.one, size=1)
        self._unit(f"{name}_3x3_reduce", inside, block.three[0], size=1)
        self._unit(f"{name}_3x3", *block.three, size=3, stride=stride)
        self._unit(f"{name}_double_3x3_reduce", inside, block.double[0], size=1)
        self._unit(f"{name}_double_3x3_1", *block.double[:2], size=3)
        self._unit(f"{name}_double_3x3_2", *block.double[1:], size=3, stride=stride)
        if block.projection:
            self._unit(f"{name}_pool_proj", inside, block.projection, size=1)
        return block.one + block.three[-1] + block.double[-1] + (block.projection or inside)

    def _apply_units(self, x: Tensor, *names: str) -> Tensor:
        """Convolution, BatchNorm and ReLU of each name, one after the other."""
        for name in names:
            x = getattr(self, f"{name}_bn")(getattr(self, name)(x)).relu_()
        return x

    def _apply_block(self, x: Tensor, name: str, block: Block) -> Tensor:
        branches = [self._apply_units(x, f"{name}_1x1")] if block.one else []
        branches.append(self._apply_units(x, f"{name}_3x3_reduce", f"{name}_3x3"))
        double = (f"{name}_double_3x3_{part}" for part in ("reduce", "1", "2"))
        branches.append(self._apply_units(x, *double))
        if block.projection:
            pooled = self.average(x) if block.pool == "avg" else self.maximum(x)
            branches.append(self._apply_units(pooled, f"{name}_pool_proj"))
        else:
            branches.append(self.halve(x))
        return torch.cat(branches, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The last feature map, after its ReLU."""
        x: Tensor = self.halve(self._apply_units(images, "conv1_7x7_s2"))
        x = self.halve(self._apply_units(x, "conv2_3x3_reduce", "conv2_3x3"))
        for name, block in BLOCKS.items():
            x = self._apply_block(x, f"inception_{name}", block)
        return x


TRUNK = Trunk(
    lambda _channels: BNInception(),
    features=FEATURES,
    mean=(104.0, 117.0, 128.0),
    std=(1.0,),
    bgr=True,
    checkpoint=Checkpoint(  # R. Cadene's conversion of the Caffe model
        "http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth",
        "52deb473314542a5c2f87e9e6f26f4ca42fe863d15f986414dbae8c2dfdd2353",
    ),
    classifier=("last_linear.",),
)
