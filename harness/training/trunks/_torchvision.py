"""torchvision:NAME: every classification network of torchvision, without its classifier.

Mean and deviation of the images are those of the network's default weights. The last feature map is
pooled by the study. With pooling "trunk" the network does all that stands before its last linear
layer, but for dropout. The vision transformers have no feature map, so they are always pooled so:
by the class token.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from harness.schema import Problem
from harness.training.trunks import Published, States, Trunk, unknown
from harness.training.trunks._outline import cannot, outline, output

# Children that are no part of the last feature map; all others, in order, make it.
BEHIND = ("avgpool", "flatten", "dropout", "fc", "head", "heads", "classifier")
AUXILIARY = ("aux1", "aux2", "AuxLogits")  # more classifiers, for training on ImageNet
# Their published weights take images normalised by ImageNet's mean and deviation, and turn that
# into a mean and a deviation of half the range at once.
HALF_RANGE = ("googlenet", "inception_v3")


class FeatureMap(nn.Module):
    """Images [B, 3, H, W] -> the last feature map [B, F, h, w], by children called in order."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, child in model.named_children():
            if name not in (*BEHIND, *AUXILIARY):
                self.add_module(name, child)
        if isinstance(model, torchvision.models.DenseNet):
            self.relu = nn.ReLU()  # a function in torchvision's own forward

    def forward(self, images: Tensor) -> Tensor:
        """The last feature map; the blocks of a list are called one after the other."""
        x = images
        for child in self.children():
            for layer in child if isinstance(child, nn.ModuleList) else (child,):
                x = layer(x)
        return x


def names() -> list[str]:
    """The classification networks of torchvision."""
    return sorted(torchvision.models.list_models(module=torchvision.models))


def has_feature_map(name: str, _crop: int) -> bool:
    """Whether the network gives a feature map, which the study can pool."""
    return not name.startswith("vit_")


@functools.lru_cache(maxsize=8)
def trunk(name: str, pooling: str, crop: int) -> Trunk:
    """The trunk that torchvision calls `name`.

    A Problem where torchvision has no such network, or where it takes no such pooling or crops.
    """
    if name not in names():
        raise Problem(unknown(f"torchvision:{name}"))
    is_map = has_feature_map(name, crop)
    if not is_map and pooling != "trunk":
        raise Problem(
            f"trunk torchvision:{name} gives tokens and no feature map, so pooling = {pooling!r} "
            'is not for it; set pooling = "trunk" in the study, and it takes the class token'
        )
    weights = torchvision.models.get_model_weights(name).DEFAULT
    images = weights.transforms()
    side = int(images.crop_size[0])
    build = functools.partial(_module, name, crop, pools=pooling == "trunk")
    try:
        module = outline(lambda: build(3))
        features = output(module, module, crop)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise Problem(f"trunk torchvision:{name} {cannot(crop, reason, side)}") from error
    mean, std = ((0.5,), (0.5,)) if name in HALF_RANGE else (images.mean, images.std)
    return Trunk(
        build,
        features=int(features.shape[1]),
        mean=tuple(255 * value for value in mean),
        std=tuple(255 * value for value in std),
        pools=pooling == "trunk",
        published=Published(f"torchvision {weights}", True, functools.partial(fetched, name)),
        classifier=tuple(f"{part}." for part in (*BEHIND, *AUXILIARY)),
        converted=functools.partial(_resampled, name, crop) if not is_map else None,
        side=side,
        interpolation=images.interpolation.value,
    )


def _module(name: str, crop: int, _channels: int, *, pools: bool) -> nn.Module:
    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        options = {"image_size": crop}
    elif name.startswith("maxvit_"):
        options = {"input_size": (crop, crop)}
    elif name in HALF_RANGE:
        options = {"aux_logits": False, "init_weights": True}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return _without_classifier(model) if pools else FeatureMap(model)


def _without_classifier(model: nn.Module) -> nn.Module:
    """The network up to the input of its last linear layer, without the dropout before that."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if linear:
        model.set_submodule(linear[-1], nn.Identity())
    else:  # SqueezeNet's classifier is a convolution, and its pooling comes last
        model.set_submodule("classifier", nn.AdaptiveAvgPool2d(1))
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and name.split(".")[0] in BEHIND:
            module.p = 0.0
    return model


@functools.lru_cache(maxsize=1)
def fetched(name: str) -> States:
    """The default weights as torchvision fetches and caches them, by its checksum; or a Problem."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        state: States = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise Problem(
            f"torchvision cannot fetch {weights.url} ({error}); fetch it where there is a network "
            "and put it into torch's cache (TORCH_HOME, hub/checkpoints), or give it with "
            "--weights FILE"
        ) from error
    return state


def _resampled(name: str, crop: int, state: States) -> States:
    """The state of a vision transformer, its position embeddings resampled for another crop."""
    patch = int(name.rpartition("_")[2])
    resampled: States = interpolate_embeddings(crop, patch, OrderedDict(state))
    return resampled
