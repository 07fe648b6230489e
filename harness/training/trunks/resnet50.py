"""ResNet-50, torchvision's (He et al. 2016, arXiv 1512.03385); weights: its IMAGENET1K_V1."""

from __future__ import annotations

import torchvision

from harness.training.trunks import IMAGENET_MEAN, IMAGENET_STD, Trunk
from harness.training.trunks._resnet import feature_map
from harness.training.weights import Checkpoint

TRUNK = Trunk(
    lambda _channels: feature_map(torchvision.models.resnet50),
    features=2048,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    checkpoint=Checkpoint(
        "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
    classifier=("fc.",),
)
