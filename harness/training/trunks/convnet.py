"""A small convolutional network for small images; no published weights."""

from __future__ import annotations

import itertools

from torch import nn

from harness.training.trunks import Trunk


def _convnet(channels: int) -> nn.Module:
    return halving_blocks((channels, 16, 32, 64, 128))


def halving_blocks(widths: tuple[int, ...], first_stride: int = 1) -> nn.Sequential:
    """From each width to the next: 3x3 convolution, BatchNorm, halving and ReLU.

    The first convolution moves in steps of `first_stride` pixels, the others in steps of one. The
    ReLU stands after the pool: the two commute exactly, and it then sees a quarter of the data.
    """
    layers: list[nn.Module] = []
    for i, (inside, outside) in enumerate(itertools.pairwise(widths)):
        stride = 1 if i else first_stride
        conv = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(outside), nn.MaxPool2d(2), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


# mean and deviation of grey levels spread evenly over 0..255
TRUNK = Trunk(_convnet, features=128, mean=(127.5,), std=(73.9,), grey=True)
