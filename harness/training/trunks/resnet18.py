"""ResNet-18, torchvision's (He et al. 2016, arXiv 1512.03385); weights: its IMAGENET1K_V1."""

from __future__ import annotations

import torchvision

from harness.training.trunks import IMAGENET_MEAN, IMAGENET_STD, Trunk
from harness.training.trunks._resnet import feature_map
from harness.training.weights import Checkpoint

TRUNK = Trunk(
    lambda _channels: feature_map(torchvision.models.resnet18),
    features=512,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    checkpoint=Checkpoint(
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    classifier=("fc.",),
)
