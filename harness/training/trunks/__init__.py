"""Trunks by name: one file each, which defines TRUNK; timm:NAME and torchvision:NAME beside them.

Every trunk takes grey levels 0..255 and gives a feature map, or features that it has pooled by
itself, so nothing before the network has to know what a trunk was trained on.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

from torch import Tensor, nn

from harness.schema import Problem
from harness.training.weights import Checkpoint, PackageFile

# Of ImageNet's training images, in grey levels, R, G, B (torchvision's reference training).
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
# Packages whose networks are trunks too, each in a file of its own: _timm.py, _torchvision.py.
LIBRARIES = ("timm", "torchvision")

States = Mapping[str, Tensor]


@dataclass(frozen=True)
class Published:
    """A library's own weights for a trunk: which they are, and how the library gives them."""

    name: str
    of_imagenet: bool
    state: Callable[[], States]  # by the library's names; a Problem where they cannot be had


@dataclass(frozen=True)
class Trunk:
    """How a trunk is built and fed, and where its published weights are.

    `mean` and `std` are in grey levels, one per channel in the trunk's own order (`bgr`), or one
    for all; `classifier` is the prefix of the checkpoint's keys that no embedding needs, `prefix`
    what stands before a checkpoint's keys in the module's. `converted` turns a checkpoint of
    another form into the module's keys and shapes, or raises. `side` is that of the images which it
    was made for, `interpolation` how they were resized, where a library says so.
    """

    module: Callable[[int], nn.Module]  # channels of the images -> module: images to feature map
    features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False
    grey: bool = False  # takes images of one channel as they are; others see the channel 3 times
    pools: bool = False  # the module gives features [B, F], pooled by itself
    checkpoint: Checkpoint | PackageFile | None = None
    published: Published | None = None
    classifier: tuple[str, ...] = ()
    prefix: str = ""
    converted: Callable[[States], States] | None = None
    side: int | None = None
    interpolation: str = "bilinear"


def names() -> list[str]:
    """The trunks that have files here, in alphabetical order."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_"))


def load(name: str, *, pooling: str = "avg", crop: int = 224) -> Trunk:
    """The trunk of that name, as a study with this pooling and side of crops uses it.

    A Problem where no trunk has the name, or where it takes no such crops or pooling.
    """
    library, _, model = name.partition(":")
    trunk: Trunk
    if library in LIBRARIES and model:
        trunk = library_of(library).trunk(model, pooling, crop)
    elif name not in names():
        raise Problem(unknown(name))
    elif pooling == "trunk":
        raise Problem(
            f'pooling = "trunk" is for trunks of timm: and torchvision:, which pool as their '
            f'authors do; {name} gives a feature map: set pooling to "avg", "max" or "avg+max"'
        )
    else:
        trunk = module_of(name).TRUNK
    return trunk


def module_of(name: str) -> ModuleType:
    """The module of the trunk of a file here; Problem where it cannot be imported or has no TRUNK.

    A package that is not installed is told by its own error.
    """
    path = f"{__name__.replace('.', '/')}/{name}.py"
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except (Exception, SystemExit) as error:  # it is a program, which may raise anything
        raise Problem(
            f"{path} cannot be imported ({type(error).__name__}: {error}); mend it, or take it out "
            "of the folder"
        ) from None
    if not isinstance(getattr(module, "TRUNK", None), Trunk):
        raise Problem(f"{path} has no TRUNK = Trunk(...); `trunks new NAME` writes one that works")
    return module


def has_feature_map(name: str, crop: int) -> bool:
    """Whether a trunk gives a feature map of crops of this side, which a study can pool.

    A Problem where no trunk has the name, or where it takes no such crops.
    """
    library, _, model = name.partition(":")
    if library in LIBRARIES and model:
        return bool(library_of(library).has_feature_map(model, crop))
    load(name)
    return True


def unknown(name: str) -> str:
    """That no trunk has this name, the likeliest one that was meant, and those that there are."""
    library, _, model = name.partition(":")
    if library in LIBRARIES:
        in_library = library_of(library).names()
        close = difflib.get_close_matches(model, in_library, n=1, cutoff=0.5)
        meant = [f"{library}:{match}" for match in close]
        known = f"{library} has {len(in_library)}"
        if library == "timm":
            known += "; python -c \"import timm; print(*timm.list_models('*vit*'))\" lists some"
    else:
        meant = [f"torchvision:{name}"] if name in library_of("torchvision").names() else []
        meant = meant or difflib.get_close_matches(name, names(), n=1, cutoff=0.5)
        known = f"the known trunks are {', '.join(names())}, timm:NAME and torchvision:NAME"
    suggestion = f"did you mean {meant[0]!r}? " if meant else ""
    return f"trunk {name!r} is not known; {suggestion}{known}"


def library_of(name: str) -> ModuleType:
    """The file here that makes trunks of a library: `timm` or `torchvision`."""
    return importlib.import_module(f"{__name__}._{name}")
