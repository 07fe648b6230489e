"""Networks: a trunk with its own normalisation, pooling, LayerNorm and one linear head; `embed`.

The trunks themselves are in harness/training/trunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.schema import FEATURES, Features, Images, Part, Problem, Study
from harness.seeds import seed_from
from harness.training import initial_weights, trunks
from harness.training.folded_batch_norm import Folding
from harness.training.transforms import test_batch
from harness.training.trunks import Trunk

ROWS = 4096  # features that are embedded at once
PIXELS = 32 * 224 * 224  # of the images that a CPU embeds at once


class Network(nn.Module):
    """Images [B, C, H, W] of grey levels 0..255 (RGB or one channel) -> raw embeddings [B, dim].

    Trunk, pooling, LayerNorm without affine part (study.layer_norm), Linear head: [W] Appendix D,
    arXiv 2408.15656. The trunk runs under bf16 autocast if the study's precision says so; pooling,
    LayerNorm and head stay in float32, and the embeddings are float32 and not normalised. With
    study.compile the trunk is compiled for training; in evaluation it runs as it stands, or, with
    study.fold_batch_norm, in `embed` with its BatchNorm folded into its convolutions.

    Without `channels` it takes the features of images [B, F] and has no trunk.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, study: Study, trunk: Trunk, dim: int, channels: int | None) -> None:
        super().__init__()
        self.features = trunk.features
        self.takes_features = channels is None
        self.pooling = None if trunk.pools else study.pooling
        self.layer_norm = study.layer_norm
        self.freeze_batch_norm = study.freeze_batch_norm
        self.freeze_trunk = study.freeze_trunk
        self.bf16 = study.precision == "bf16"
        self.bgr = trunk.bgr
        self.repeat = channels == 1 and not trunk.grey
        # buffers travel with the network to its device, and are no part of what is saved
        self.register_buffer("mean", torch.tensor(trunk.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(trunk.std).view(1, -1, 1, 1), persistent=False)
        self.trunk = _trunk_module(study, trunk, channels)
        if self.freeze_trunk:
            self.trunk.requires_grad_(False)
        # of the bound method: a compiled module would be a second owner of the same parameters
        self.compiled = torch.compile(self.trunk.forward) if study.compile else None
        self.folding = Folding(self.trunk) if study.fold_batch_norm else None
        self.dim = dim
        self.head = _head(study, trunk.features, dim)
        self.train()

    def train(self, mode: bool = True) -> Network:
        """Training or evaluation mode; a frozen trunk is in evaluation mode in both.

        Frozen BatchNorm keeps its statistics in both. Its scale and shift stay parameters, as in
        the papers' code, unless the trunk is frozen too.
        """
        super().train(mode)
        if self.freeze_trunk:
            self.trunk.eval()
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
        """Feature map [B, F, h, w] -> features [B, F]: average, maximum or their sum.

        Features that the trunk has pooled by itself stay as they are.
        """
        if self.pooling is None:
            return feature_map
        if self.pooling == "avg":
            return feature_map.mean((2, 3))
        if self.pooling == "max":
            return feature_map.amax((2, 3))
        return feature_map.mean((2, 3)) + feature_map.amax((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Raw embeddings [B, dim], float32."""
        compiled = self.compiled if self.training else None
        return self.through(self.trunk if compiled is None else compiled, images)

    def pooled(self, trunk: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Features [B, F] by the network's trunk or another form of it, before LayerNorm."""
        images = self.normalise(images).contiguous(memory_format=torch.channels_last)
        learns = torch.is_grad_enabled() and not self.freeze_trunk
        with (
            torch.set_grad_enabled(learns),
            torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16),
        ):
            feature_map = trunk(images)
        with torch.autocast(images.device.type, enabled=False):
            return self.pool(feature_map.float())

    def through(self, trunk: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Raw embeddings [B, dim] by the network's trunk or another form of it."""
        features = images if self.takes_features else self.pooled(trunk, images)
        with torch.autocast(images.device.type, enabled=False):
            if self.layer_norm:
                features = nn.functional.layer_norm(features, (self.features,))
            embeddings: Tensor = self.head(features)
        return embeddings


def _trunk_module(study: Study, trunk: Trunk, channels: int | None) -> nn.Module:
    """The trunk as it starts: a frozen one without weights is the same in every run."""
    if channels is None:
        return nn.Identity()
    if not study.freeze_trunk:
        return trunk.module(channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("frozen trunk", study.trunk))
        return trunk.module(channels)


def _head(study: Study, features: int, dim: int) -> nn.Module:
    """Features [B, F] -> [B, dim]: Linear, or Linear, ReLU, Linear (study.head).

    Kaiming normal, fan_out for the last layer and fan_in for a hidden one; no bias at the start.
    """
    hidden = [nn.Linear(features, study.head_width)] if study.head == "mlp" else []
    last = nn.Linear(study.head_width if hidden else features, dim)
    for layer in hidden:
        nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    nn.init.kaiming_normal_(last.weight, mode="fan_out")
    for layer in (*hidden, last):
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*hidden, nn.ReLU(), last) if hidden else last


def channels_of(images: Images) -> int | None:
    """The channels of images; None for features."""
    return None if isinstance(images, Features) else int(images[0].shape[2])


def trunk_of(study: Study) -> Trunk:
    """The study's trunk, or what stands for it on features; a Problem names the known ones."""
    if study.on_features:
        features = int(study.trunk.removeprefix(FEATURES))
        return Trunk(lambda _channels: nn.Identity(), features, mean=(0.0,), std=(1.0,))
    try:
        return trunks.load(study.trunk, pooling=study.pooling, crop=study.crop)
    except Problem as problem:
        raise Problem(f"study {study.name!r}: {problem}") from None


def weights_of(study: Study) -> str:
    """What the study's runs begin with, for the record: weights and checksum, or whose features."""
    if study.on_features:
        return study.weights
    return initial_weights.identity(trunk_of(study), study)


def check(study: Study) -> str:
    """A Problem where the study's trunk or weights cannot be had, before any image is read.

    What is done to the names in a file of weights, or nothing.
    """
    return "" if study.on_features else initial_weights.check(trunk_of(study), study)


def build(study: Study, dim: int, channels: int | None) -> Network:
    """A network for images of `channels` (1 or 3) with the study's weights and a new head of `dim`.

    None: for features of images, without a trunk. Draws from torch's global generator, which the
    caller seeds. A Problem tells of an unknown trunk or of weights that cannot be had.
    """
    trunk = trunk_of(study)
    if channels is None:
        return Network(study, trunk, dim, None)
    if channels not in (1, 3):
        raise Problem(f"images of {channels} channels; a network takes 1 (grey) or 3 (RGB)")
    network = Network(study, trunk, dim, channels)
    initial_weights.load(network.trunk, trunk, study)
    return network.to(memory_format=torch.channels_last)


def initial_norm(study: Study, channels: int | None = 3) -> float:
    """Norm of the raw embeddings at initialisation, sqrt(2 F) for F trunk features, in any dim.

    LayerNorm gives features with sum of squares F, and each of D outputs of a Kaiming fan_out head
    has variance 2/D times that. A hidden layer of W units gives W features whose squares have the
    mean 1 after ReLU, so it is sqrt(2 W) there. Without LayerNorm the norm goes with images and
    trunk: a Problem.
    """
    trunk = trunk_of(study)
    if not study.layer_norm:
        raise Problem(
            f"study {study.name!r}: without layer_norm the norm of raw embeddings is not known "
            f"beforehand ({study.trunk}, {channels} channels), so ranges stated for a norm cannot "
            "be scaled; set layer_norm = True or leave out losses with a REFERENCE_NORM"
        )
    return math.sqrt(2 * (study.head_width if study.head == "mlp" else trunk.features))


def in_parts(images: Tensor) -> Sequence[Tensor]:
    """A batch as batches that a CPU computes one after another; whole on a GPU, and features.

    Layers of hundreds of large images take gigabytes, and faulting in their pages takes longer than
    the arithmetic.
    """
    if images.device.type != "cpu" or images.ndim != 4:
        return [images]
    return torch.split(images, max(1, PIXELS // (images.shape[-1] * images.shape[-2])))


def embed(network: Network, part: Part, study: Study, device: torch.device) -> Tensor:
    """Raw embeddings [n, dim] of a part's images, float32 on `device`, in the part's order.

    Evaluation mode, centre crops, batches of study.evaluate_batch; the mode is put back afterwards.
    """
    mode = network.training
    network.eval()
    embeddings = torch.empty(len(part), network.dim, device=device)
    batch = max(ROWS, study.evaluate_batch) if network.takes_features else study.evaluate_batch
    try:
        with torch.inference_mode():
            trunk = network.trunk if network.folding is None else network.folding.folded()
            for start in range(0, len(part), batch):
                index = part.index[start : start + batch]
                images = test_batch(part.images, index, study, device)
                parts = [network.through(trunk, part) for part in in_parts(images)]
                embeddings[start : start + len(index)] = torch.cat(parts)
    finally:
        network.train(mode)
    return embeddings
