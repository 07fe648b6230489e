"""timm:NAME: every network of timm (R. Wightman's PyTorch Image Models).

timm says how a network was fed: mean, deviation and side of its images are those of its data
config. Not followed are crop_pct and the interpolation (mostly bicubic): images are resized
bilinearly to the study's `resize`, as for every trunk, and a study's command says so.

A network with a feature map [B, F, h, w] (or [B, h, w, F]) is pooled by the study: average, maximum
or both. One of tokens [B, N, F] has no such map. It pools by itself, as its authors do (class
token, mean of the tokens, attention), and the study's pooling is "trunk" there. A feature map can
be left to the network too, with whatever stands between its pooling and its classifier.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from harness.schema import Problem
from harness.training.trunks import Published, States, Trunk, unknown
from harness.training.trunks._outline import cannot, outline, output

Kind = Literal["map", "map_channels_last", "tokens"]


class Outline(NamedTuple):
    """What a network gives: its kind, the channels of a map, the features that it pools itself."""

    kind: Kind
    channels: int
    pooled: int


class FeatureMap(nn.Module):
    """Images [B, 3, H, W] -> the last feature map of a network of timm, [B, F, h, w]."""

    def __init__(self, model: nn.Module, *, channels_last: bool) -> None:
        super().__init__()
        self.model: Any = model
        self.channels_last = channels_last

    def forward(self, images: Tensor) -> Tensor:
        """The feature map, before any pooling."""
        features: Tensor = self.model.forward_features(images)
        return features.permute(0, 3, 1, 2) if self.channels_last else features


class Pooled(nn.Module):
    """Images [B, 3, H, W] -> features [B, F] as the network of timm pools them itself."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> Tensor:
        """What the network's classifier would be given."""
        model = self.model
        features: Tensor = model.forward_head(model.forward_features(images), pre_logits=True)
        return features


def names() -> list[str]:
    """The networks of timm, without the tags of their weights."""
    listed: list[str] = _timm().list_models()
    return listed


def has_feature_map(name: str, crop: int) -> bool:
    """Whether the network gives a feature map of such crops, which the study can pool."""
    return _outline(name, crop).kind != "tokens"


@functools.lru_cache(maxsize=8)
def trunk(name: str, pooling: str, crop: int) -> Trunk:
    """The trunk that timm calls `name`, with or without the tag of its weights (resnet50.a1_in1k).

    A Problem where timm has no such network, or where the network takes no such pooling or crops.
    """
    config, shape = _config(name), _outline(name, crop)
    pools = pooling == "trunk"
    if shape.kind == "tokens" and not pools:
        raise Problem(
            f"trunk timm:{name} gives tokens and no feature map, so pooling = {pooling!r} is not "
            'for it; set pooling = "trunk" in the study, and it pools by itself'
        )
    size = _size(config, crop)
    return Trunk(
        functools.partial(_module, name, size, None if pools else shape.kind),
        features=shape.pooled if pools else shape.channels,
        mean=tuple(255 * value for value in config["mean"]),
        std=tuple(255 * value for value in config["std"]),
        pools=pools,
        published=_published(name, size),
        classifier=_classifiers(config),
        prefix="model.",
        converted=functools.partial(_converted, name, size),
        side=_side(config),
        interpolation=config["interpolation"],
    )


@functools.lru_cache(maxsize=8)
def _outline(name: str, crop: int) -> Outline:
    """What the network gives for crops of this side; a Problem where it takes none such."""
    config = _config(name)
    try:
        size = _size(config, crop)
        model: Any = outline(
            lambda: _timm().create_model(name, pretrained=False, num_classes=0, **size)
        )
        features = output(model, model.forward_features, crop)
        pooled = output(model, Pooled(model), crop)
    except Exception as error:  # each of timm's networks refuses a size in its own way
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise Problem(f"trunk timm:{name} {cannot(crop, reason, _side(config))}") from error
    return Outline(_kind(features, model.num_features), model.num_features, pooled.shape[1])


def _kind(features: object, channels: int) -> Kind:
    """What forward_features gives, by its shape; tokens are all that is no map."""
    if isinstance(features, Tensor) and features.ndim == 4:
        if features.shape[1] == channels:
            return "map"
        if features.shape[3] == channels:
            return "map_channels_last"
    return "tokens"


def _module(name: str, size: dict[str, int], kind: Kind | None, _channels: int) -> nn.Module:
    model = _timm().create_model(name, pretrained=False, num_classes=0, **size)
    if kind is None:
        return Pooled(model)
    return FeatureMap(model, channels_last=kind == "map_channels_last")


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise Problem(
            "trunks timm:NAME need the package timm; python -m pip install timm"
        ) from None
    return timm


def _config(name: str) -> dict[str, Any]:
    """What timm says of a network and its weights; a Problem where it knows neither."""
    timm = _timm()
    if not timm.is_model(name):
        raise Problem(unknown(f"timm:{name}"))
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        network = name.partition(".")[0]
        tags = sorted(known.partition(".")[2] for known in timm.list_pretrained(f"{network}.*"))
        raise Problem(
            f"trunk timm:{name}: timm has no weights of that tag; its tags of {network} are "
            f"{', '.join(tags) or 'none'}"
        ) from None
    given = {} if config is None else config.to_dict()
    fed: dict[str, Any] = timm.data.resolve_data_config(pretrained_cfg=given)
    return {"fixed_input_size": False, **given, **fed}


def _side(config: dict[str, Any]) -> int:
    return int(config["input_size"][1])


def _size(config: dict[str, Any], crop: int) -> dict[str, int]:
    """How a network that is built for one size is built for the study's crops."""
    return {"img_size": crop} if config["fixed_input_size"] and crop != _side(config) else {}


def _classifiers(config: dict[str, Any]) -> tuple[str, ...]:
    classifiers = config.get("classifier") or ()
    each = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    return tuple(f"{classifier}." for classifier in each)


def _published(name: str, size: dict[str, int]) -> Published | None:
    """The weights that timm has for a network; None where it has none."""
    config = _timm().get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        return None
    tag = config.tag or ""
    return Published(
        name=f"timm {name.partition('.')[0]}{tag and f'.{tag}'}",
        of_imagenet=any(part in tag for part in ("in1k", "in12k", "in21k", "in22k")),
        state=functools.partial(fetched, name, tuple(size.items())),
    )


@functools.lru_cache(maxsize=1)
def fetched(name: str, size: tuple[tuple[str, int], ...]) -> States:
    """The published weights as timm fetches and caches them; a Problem says how to go without."""
    try:
        model = _timm().create_model(name, pretrained=True, **dict(size))
    except Exception as error:  # its ways to fetch have errors of many libraries
        config = _timm().get_pretrained_cfg(name)
        where = config.hf_hub_id or config.url
        reason = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
        raise Problem(
            f"timm cannot fetch the weights of {name} from {where} ({reason}); fetch them where "
            "there is a network and copy timm's cache (HF_HOME), or give their file with "
            "--weights FILE"
        ) from error
    state: States = model.state_dict()
    return state


def _converted(name: str, size: dict[str, int], state: States) -> States:
    """A state of another form or size by timm's own filter for the network; raises if it fails.

    It renames layers of the authors' releases and resamples position embeddings.
    """
    classifiers = _classifiers(_config(name))
    kept = {key: value for key, value in state.items() if not key.startswith(classifiers)}
    # without the name of a classifier timm loads strictly, and what is missing is an error
    overlay = {"state_dict": kept, "classifier": None}
    model = _timm().create_model(
        name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, **size
    )
    converted: States = model.state_dict()
    return converted
