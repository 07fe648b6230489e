"""What a study's trunks begin with: published weights, a file's, or none."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from harness import files
from harness.schema import Problem, Study
from harness.training import state_dicts, trunks, weights
from harness.training.trunks import Published, Trunk
from harness.training.trunks._outline import outline

# Beside "none" and the path of a file. "imagenet": the trunk's published weights, if ImageNet's.
PUBLISHED = ("imagenet", "pretrained")
# Trunks beside those with a file here that a misfit is compared with: the common sizes of ResNet.
OTHER_TRUNKS = ("torchvision:resnet34", "torchvision:resnet101", "torchvision:resnet152")

States = Mapping[str, Tensor]


def load(module: nn.Module, trunk: Trunk, study: Study) -> None:
    """Put the study's weights into a trunk's module, in place.

    A Problem where they cannot be had, or are not the trunk's.
    """
    if study.weights == "none":
        return
    source, tensors = _tensors(trunk, study)
    fit = _fit(trunk, module.state_dict(), tensors)
    if fit.differences:
        raise Problem(_misfit(study.trunk, source, tensors, fit))
    state = module.state_dict()  # carries versions of layers, which a mapping of ours would lack
    state.update({trunk.prefix + key: value for key, value in fit.state.items()})
    module.load_state_dict(state)


def check(trunk: Trunk, study: Study) -> str:
    """A Problem exactly where `load` has one; what is done to the names in a file, or nothing."""
    if study.weights == "none":
        return ""
    source, tensors = _tensors(trunk, study)
    fits = []
    for channels in (3, 1) if trunk.grey else (3,):
        wanted = outline(functools.partial(trunk.module, channels)).state_dict()
        fits.append(_fit(trunk, wanted, tensors))
        if not fits[-1].differences:
            note = state_dicts.note(fits[-1])
            return note and f"weights {source}: {note}"
    raise Problem(_misfit(study.trunk, source, tensors, fits[0]))


def identity(trunk: Trunk, study: Study) -> str:
    """What the weights are, for the record: which published ones, or a file's checksum."""
    if study.weights in PUBLISHED and trunk.published is not None:
        digest = checksum(trunk, study)
        return f"{study.weights} ({trunk.published.name}, sha256 of its tensors {digest})"
    if study.weights in (*PUBLISHED, "none"):
        return study.weights
    return f"{study.weights} (sha256 {checksum(trunk, study)})"


def checksum(trunk: Trunk, study: Study) -> str:
    """SHA-256 in hex digits of the file of weights, or of a library's tensors; nothing for none."""
    if study.weights == "none":
        return ""
    if study.weights not in PUBLISHED:
        return _checksum(study.weights)
    if trunk.checkpoint is not None:
        return trunk.checkpoint.sha256
    return "" if trunk.published is None else digest_of(trunk.published)


def _fit(trunk: Trunk, wanted: States, tensors: States) -> state_dicts.Fit:
    wanted = {key.removeprefix(trunk.prefix): value for key, value in wanted.items()}
    return state_dicts.fitted(tensors, wanted, unused=trunk.classifier, converted=trunk.converted)


def _misfit(name: str, source: str, tensors: States, fit: state_dicts.Fit) -> str:
    like = _looks_like(tensors)
    return (
        f"{source} does not fit the trunk {name}: {state_dicts.misfit(tensors, fit)}"
        f"{like and f', which fit the trunk {like}'}; give the trunk's own checkpoint as the "
        "study's weights, or the trunk that these are for"
    )


def _looks_like(tensors: States) -> str:
    """The trunk that tensors fit, of those with a file here and OTHER_TRUNKS; or nothing."""
    for name in (*trunks.names(), *OTHER_TRUNKS):
        if not _fit(trunks.load(name), _shapes(name), tensors).differences:
            return name
    return ""


@functools.lru_cache(maxsize=16)
def _shapes(name: str) -> States:
    return outline(lambda: trunks.load(name).module(3)).state_dict()


def _tensors(trunk: Trunk, study: Study) -> tuple[str, States]:
    """What the study's weights are called in messages, and their tensors."""
    if study.weights not in PUBLISHED:
        path = Path(study.weights).expanduser()
        return str(path), state_dicts.read(path)
    if trunk.checkpoint is not None:
        path = weights.fetch(trunk.checkpoint)
        return str(path), state_dicts.read(path)
    if trunk.published is None:
        kind = "ImageNet" if study.weights == "imagenet" else "published"
        raise Problem(
            f"study {study.name!r}: trunk {study.trunk!r} has no {kind} weights; set weights = "
            '"none", or the path of a state_dict'
        )
    if study.weights == "imagenet" and not trunk.published.of_imagenet:
        raise Problem(
            f"study {study.name!r}: the published weights of {study.trunk} are not ImageNet's but "
            f'{trunk.published.name}; set weights = "pretrained" (--weights pretrained) for them'
        )
    return trunk.published.name, trunk.published.state()


@functools.lru_cache(maxsize=4)
def digest_of(published: Published) -> str:
    """SHA-256 over names, shapes and bytes of a library's tensors, in hex digits."""
    digest = hashlib.sha256()
    for name, value in published.state().items():
        digest.update(f"{name} {list(value.shape)} {value.dtype} ".encode())
        digest.update(value.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


@functools.lru_cache(maxsize=4)
def _checksum(path: str) -> str:
    return files.checksum(Path(path).expanduser())
