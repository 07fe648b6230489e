"""What a loss file declares, held against the contract of losses/__init__.py."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from types import ModuleType

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from torch import nn

# constant -> its type, the values that it may take (any if none), a line that would do
DECLARED: dict[str, tuple[type, tuple[str, ...], str]] = {
    "PAPER": (str, (), 'PAPER = "Name 2026, unpublished"'),
    "YEAR": (int, (), "YEAR = 2026"),
    "KIND": (str, ("pair", "proxy", "ranking", "classification", "hybrid"), 'KIND = "pair"'),
    "EMBEDDING": (str, ("unit", "unbounded"), 'EMBEDDING = "unit"'),
    "RETRIEVAL": (str, ("cosine", "euclidean"), 'RETRIEVAL = "cosine"'),
    "MIN_IMAGES_PER_CLASS": (int, (), "MIN_IMAGES_PER_CLASS = 2"),
    "OWN_PARAMETERS": (bool, (), "OWN_PARAMETERS = False"),
    "SPACE": (dict, (), 'SPACE = {"margin": FloatDistribution(0.0, 1.0)}'),
    "FIXED": (dict, (), "FIXED: dict[str, str] = {}"),
    "FOLLOWUP": (dict, (), 'FOLLOWUP = _followup.ratios(shares=("margin",))'),
    "REFERENCE_NORM": (dict, (), "REFERENCE_NORM: dict[str, float] = {}"),
    "SOURCES": (dict, (), 'SOURCES = {"margin": "my guess"} | _followup.sources(FOLLOWUP)'),
    "COST": (str, (), 'COST = "O(B^2 D)"'),
    "STATUS": (str, ("authors", "library", "paper", "own"), 'STATUS = "own"'),
}


def constants(module: ModuleType) -> Iterator[str]:
    """What is wrong with the constants and the class itself."""
    for name, (kind, allowed, line) in DECLARED.items():
        value = getattr(module, name, None)
        if not hasattr(module, name):
            yield f"{name} is missing; a line that would do: {line}"
        elif type(value) is not kind:
            yield f"{name} = {value!r} must be of type {kind.__name__}; for example: {line}"
        elif allowed and value not in allowed:
            yield f"{name} = {value!r} must be one of {', '.join(allowed)}"
    least = getattr(module, "MIN_IMAGES_PER_CLASS", 1)
    if type(least) is int and least < 1:
        yield f"MIN_IMAGES_PER_CLASS = {least}; 1, or 2 where an image needs another of its class"
    loss = getattr(module, "Loss", None)
    if not (isinstance(loss, type) and issubclass(loss, nn.Module)):
        yield "there is no class Loss(nn.Module); it holds the formula, in forward"


def distributions(module: ModuleType) -> Iterator[str]:
    """What is searched and is no range that can be."""
    for name, distribution in {**module.SPACE, **module.FOLLOWUP}.items():
        if not isinstance(distribution, BaseDistribution):
            yield f"the range of {name} is {distribution!r}; use FloatDistribution(low, high)"
        elif isinstance(distribution, (FloatDistribution, IntDistribution)):
            low, high = float(distribution.low), float(distribution.high)
            if not math.isfinite(high - low):  # as of -1e308 to 1e308 too
                yield (
                    f"the range of {name} goes from {low:g} to {high:g}, and nothing can be drawn "
                    "from that; both ends must be finite, the largest and least value worth a try"
                )


def docstring(module: ModuleType) -> Iterator[str]:
    """What is wrong with what the file says of itself."""
    if not (module.__doc__ or "").strip():
        yield "the file has no docstring; say there what the formula is and where it comes from"


def constructor(module: ModuleType) -> Iterator[str]:
    """What is wrong with the parameters of `Loss`, and with how SPACE and FIXED name them."""
    parameters = dict(inspect.signature(module.Loss).parameters)
    for name in ("n_classes", "dim"):
        if parameters.pop(name, None) is None:
            yield f"Loss takes no {name}; begin with def __init__(self, *, n_classes, dim, ...)"
    for name, parameter in parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            yield f"{name} of Loss is not keyword-only; let a * stand before n_classes"
        elif parameter.default is inspect.Parameter.empty:
            yield f"{name} of Loss has no default; give the value that you would use untuned"
    stated = {*module.SPACE, *module.FIXED}
    for name in sorted(set(parameters) - stated):
        yield f"{name} stands neither in SPACE (searched) nor in FIXED (with the reason why not)"
    for name in sorted(stated - set(parameters)):
        yield f"{name} stands in SPACE or FIXED, but Loss does not take it"
    for name in sorted(set(module.SPACE) & set(module.FIXED)):
        yield f"{name} stands both in SPACE and in FIXED; it is searched or it is not"


def ranges(module: ModuleType) -> Iterator[str]:
    """What is wrong with the searched ranges and what is said of them."""
    yield from distributions(module)
    for name in {**module.SPACE, **module.FOLLOWUP}:
        if not isinstance(module.SOURCES.get(name), str):
            yield f"SOURCES says nothing of {name}; say where its range comes from, if only a guess"
    for name in module.FOLLOWUP:
        if name not in module.SPACE and name.removesuffix("_ratio") not in module.SPACE:
            yield f"FOLLOWUP names {name}, which is no parameter of SPACE, nor one with _ratio"
    for name in sorted(set(module.SOURCES) - {*module.SPACE, *module.FOLLOWUP}):
        yield f"SOURCES names {name}, which is in neither SPACE nor FOLLOWUP"
    for name, norm in module.REFERENCE_NORM.items():
        if name not in module.SPACE or not (isinstance(norm, float) and norm > 0):
            yield f"REFERENCE_NORM gives {name} = {norm!r}: a searched parameter and a norm above 0"
    if module.REFERENCE_NORM and module.EMBEDDING == "unit":
        yield "REFERENCE_NORM is for unbounded embeddings; these have unit length: leave it empty"
