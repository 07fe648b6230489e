"""What the ResNets share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn


def feature_map(constructor: Callable[[], nn.Module]) -> nn.Module:
    """A torchvision ResNet up to its last feature map, under the checkpoint's names."""
    children = list(constructor().named_children())
    return nn.Sequential(OrderedDict(item for item in children if item[0] not in ("avgpool", "fc")))
