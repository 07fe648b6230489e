"""Networks: a trunk with its own normalisation, pooling, LayerNorm and one linear head; `embed`.

The trunks themselves are in harness/training/trunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.schema import Part, Problem, Study
from harness.training import trunks, weights
from harness.training.folded_batch_norm import Folding
from harness.training.transforms import test_batch
from harness.training.trunks import Trunk


class Network(nn.Module):
    """Images [B, C, H, W] of grey levels 0..255 (RGB or one channel) -> raw embeddings [B, dim].

    Trunk, pooling, LayerNorm without affine part (study.layer_norm), Linear head: [W] Appendix D,
    arXiv 2408.15656. The trunk runs under bf16 autocast if the study's precision says so; pooling,
    LayerNorm and head stay in float32, and the embeddings are float32 and not normalised. With
    study.compile the trunk is compiled for training; in evaluation it runs as it stands, or, with
    study.fold_batch_norm, in `embed` with its BatchNorm folded into its convolutions.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, study: Study, trunk: Trunk, dim: int, channels: int) -> None:
        super().__init__()
        self.features = trunk.features
        self.pooling = study.pooling
        self.layer_norm = study.layer_norm
        self.freeze_batch_norm = study.freeze_batch_norm
        self.bf16 = study.precision == "bf16"
        self.bgr = trunk.bgr
        self.repeat = channels == 1 and not trunk.grey
        # buffers travel with the network to its device, and are no part of what is saved
        self.register_buffer("mean", torch.tensor(trunk.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(trunk.std).view(1, -1, 1, 1), persistent=False)
        self.trunk = trunk.module(channels)
        # of the bound method: a compiled module would be a second owner of the same parameters
        self.compiled = torch.compile(self.trunk.forward) if study.compile else None
        self.folding = Folding(self.trunk) if study.fold_batch_norm else None
        self.head = nn.Linear(trunk.features, dim)
        nn.init.kaiming_normal_(self.head.weight, mode="fan_out")
        nn.init.zeros_(self.head.bias)
        self.train()

    def train(self, mode: bool = True) -> Network:
        """Training or evaluation mode; frozen BatchNorm keeps its statistics in both.

        Its scale and shift stay parameters, as in the papers' code.
        """
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self.trunk.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def normalise(self, images: Tensor) -> Tensor:
        """Grey levels 0..255 as the trunk was trained on them, in its order of channels."""
        if self.repeat:
            images = images.expand(-1, 3, -1, -1)
        elif self.bgr:
            images = images.flip(1)
        return (images - self.mean) / self.std

    def pool(self, feature_map: Tensor) -> Tensor:
        """Feature map [B, F, h, w] -> features [B, F]: average, maximum or their sum."""
        if self.pooling == "avg":
            return feature_map.mean((2, 3))
        if self.pooling == "max":
            return feature_map.amax((2, 3))
        return feature_map.mean((2, 3)) + feature_map.amax((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Raw embeddings [B, dim], float32."""
        compiled = self.compiled if self.training else None
        return self.through(self.trunk if compiled is None else compiled, images)

    def through(self, trunk: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Raw embeddings [B, dim] by the network's trunk or another form of it."""
        images = self.normalise(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            feature_map = trunk(images)
        with torch.autocast(images.device.type, enabled=False):
            features = self.pool(feature_map.float())
            if self.layer_norm:
                features = nn.functional.layer_norm(features, (self.features,))
            embeddings: Tensor = self.head(features)
        return embeddings


def trunk_of(study: Study) -> Trunk:
    """The study's trunk; a Problem names the known ones."""
    if study.trunk not in trunks.names():
        raise Problem(
            f"study {study.name!r}: trunk {study.trunk!r} is not known; the known trunks are "
            f"{', '.join(trunks.names())}"
        )
    return trunks.load(study.trunk)


def build(study: Study, dim: int, channels: int) -> Network:
    """A network for images of `channels` (1 or 3) with the study's weights and a new head of `dim`.

    Draws from torch's global generator, which the caller seeds. Head: Kaiming normal, fan_out, no
    bias at the start. A Problem tells of an unknown trunk or of weights that cannot be had.
    """
    trunk = trunk_of(study)
    if channels not in (1, 3):
        raise Problem(f"images of {channels} channels; a network takes 1 (grey) or 3 (RGB)")
    network = Network(study, trunk, dim, channels)
    if study.weights == "imagenet":
        if trunk.checkpoint is None:
            raise Problem(
                f"study {study.name!r}: trunk {study.trunk!r} has no ImageNet weights; "
                'set weights = "none", or the path of a state_dict'
            )
        weights.load(network.trunk, weights.fetch(trunk.checkpoint), unused=trunk.classifier)
    elif study.weights != "none":
        path = Path(study.weights).expanduser()
        weights.load(network.trunk, path, unused=trunk.classifier)
    return network.to(memory_format=torch.channels_last)


def initial_norm(study: Study, channels: int = 3) -> float:
    """Norm of the raw embeddings at initialisation, sqrt(2 F) for F trunk features, in any dim.

    LayerNorm gives features with sum of squares F, and each of D outputs of a Kaiming fan_out head
    has variance 2/D times that. Without LayerNorm the norm goes with images and trunk: a Problem.
    """
    trunk = trunk_of(study)
    if not study.layer_norm:
        raise Problem(
            f"study {study.name!r}: without layer_norm the norm of raw embeddings is not known "
            f"beforehand ({study.trunk}, {channels} channels), so ranges stated for a norm cannot "
            "be scaled; set layer_norm = True or leave out losses with a REFERENCE_NORM"
        )
    return math.sqrt(2 * trunk.features)


def embed(network: Network, part: Part, study: Study, device: torch.device) -> Tensor:
    """Raw embeddings [n, dim] of a part's images, float32 on `device`, in the part's order.

    Evaluation mode, centre crops, batches of study.evaluate_batch; the mode is put back afterwards.
    """
    mode = network.training
    network.eval()
    embeddings = torch.empty(len(part), network.head.out_features, device=device)
    try:
        with torch.inference_mode():
            trunk = network.trunk if network.folding is None else network.folding.folded()
            for start in range(0, len(part), study.evaluate_batch):
                index = part.index[start : start + study.evaluate_batch]
                images = test_batch(part.images, index, study, device)
                embeddings[start : start + len(index)] = network.through(trunk, images)
    finally:
        network.train(mode)
    return embeddings
