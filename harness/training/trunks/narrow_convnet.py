"""`convnet` with half the channels in its first three blocks, in half the time; no weights."""

from __future__ import annotations

from torch import nn

from harness.training.trunks import Trunk
from harness.training.trunks.convnet import halving_blocks


def _narrow_convnet(channels: int) -> nn.Module:
    return halving_blocks((channels, 8, 16, 32, 128))


TRUNK = Trunk(_narrow_convnet, features=128, mean=(127.5,), std=(73.9,), grey=True)
