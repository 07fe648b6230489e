"""A trunk for evaluation alone: every BatchNorm folded into the convolution before it.

With fixed statistics BatchNorm is one scale and one shift a channel, which the convolution can do
in passing: the same function but for rounding, with fewer passes over the feature maps.
"""

from __future__ import annotations

import copy

import torch.fx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Folding:
    """The folded twin of a trunk, brought up to date whenever it is asked for."""

    def __init__(self, trunk: nn.Module) -> None:
        self.trunk = trunk
        self.pairs = _pairs(trunk)
        self.twin = copy.deepcopy(trunk)

    def folded(self) -> nn.Module:
        """The twin, with the weights that the trunk has now, which is in evaluation mode.

        Layers that are not folded are the trunk's own.
        """
        for name, module in self.trunk.named_modules():
            if not list(module.children()):
                self.twin.set_submodule(name, module)
        for (name, convolution), (norm_name, norm) in self.pairs:
            self.twin.set_submodule(name, fuse_conv_bn_eval(convolution, norm))
            self.twin.set_submodule(norm_name, nn.Identity())
        return self.twin


def _pairs(trunk: nn.Module) -> list[tuple[tuple[str, nn.Conv2d], tuple[str, nn.BatchNorm2d]]]:
    """Every convolution with the BatchNorm that alone reads what it gives, and their names."""
    layers = dict(trunk.named_modules())
    pairs = []
    for node in torch.fx.symbolic_trace(trunk).graph.nodes:
        norm = layers.get(str(node.target))
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        convolution = layers.get(str(before.target))
        if isinstance(convolution, nn.Conv2d) and len(before.users) == 1:
            pairs.append(((str(before.target), convolution), (str(node.target), norm)))
    return pairs
