"""`convnet` with three blocks, the first with a stride of 2: half the time of narrow."""

from __future__ import annotations

from torch import nn

from harness.training.trunks import Trunk
from harness.training.trunks.convnet import halving_blocks


def _strided_convnet(channels: int) -> nn.Module:
    return halving_blocks((channels, 16, 32, 128), first_stride=2)


TRUNK = Trunk(_strided_convnet, features=128, mean=(127.5,), std=(73.9,), grey=True)
