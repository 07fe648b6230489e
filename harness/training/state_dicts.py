"""State_dicts in files: read without running a file's code, unwrapped, and put into a trunk.

A training's checkpoint holds more than the trunk, and its names have something before them:
{"state_dict": {"module.backbone.conv1.weight": ...}}. A file is read as one flat mapping with the
names joined by dots. The trunk is where one prefix stands before all names of its tensors.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from harness.schema import Problem

# Of several copies of the network, the one that the authors of such files evaluate: DINO's teacher,
# moving averages (timm: state_dict_ema), MoCo's query encoder.
PREFERRED = ("teacher", "ema", "encoder_q")
COUNTER = "num_batches_tracked"  # of BatchNorm; files of early torch versions have none
MOST_NAMES = 8  # in a message

States = Mapping[str, Tensor]


@dataclass(frozen=True)
class Fit:
    """How the tensors below one prefix of a file compare with those of a trunk."""

    prefix: str
    state: dict[str, Tensor]  # by the trunk's own names, counters included
    differences: list[str]
    left_out: list[str]  # names in the file, without those of a classifier


def read(path: Path) -> dict[str, Tensor]:
    """Every tensor in a file of torch or safetensors, on the CPU, names joined by dots.

    A Problem if there is no such file, if it holds no tensors, or if it cannot be read without
    running code that it brings.
    """
    if not path.is_file():
        raise Problem(
            f'weights = "{path}": no such file; give "imagenet", "pretrained", "none" or the path '
            "of a state_dict saved by torch or safetensors"
        )
    content = _safetensors(path) if _is_safetensors(path) else _torch(path)
    tensors = dict(_flat(content)) if isinstance(content, Mapping) else {}
    if not tensors:
        raise Problem(
            f"{path} holds no state_dict of tensors; save one with torch.save(model.state_dict(), "
            "FILE)"
        )
    return tensors


def fitted(
    tensors: States,
    wanted: States,
    *,
    unused: tuple[str, ...] = (),
    converted: Callable[[States], States] | None = None,
) -> Fit:
    """What of the tensors in a file fits a trunk, which needs tensors of the names in `wanted`.

    Names below the prefix that start with one of `unused` (a classifier's) are left out; so are
    layers that the trunk has not, unless they stand within its own. Vectors may carry a leading
    axis of 1, and counters of batches may be missing. `converted` turns tensors of another form
    into the trunk's, or raises. Any other difference is among the fit's.
    """
    fit = best_fit(tensors, wanted, unused)
    if not fit.differences or converted is None:
        return fit
    below = {key[len(fit.prefix) :]: value for key, value in _below(tensors, fit.prefix)}
    try:
        other = _fit(converted(below), wanted, unused, "")
    except (RuntimeError, KeyError, ValueError, AssertionError):
        return fit
    return fit if other.differences else replace(other, prefix=fit.prefix)


def misfit(tensors: States, fit: Fit) -> str:
    """What differs first, and what the tensors are instead."""
    return (
        f"{fit.differences[0]} ({len(fit.differences)} differences); it holds {len(tensors)} "
        f"tensors: {outline(tensors, fit.prefix)}"
    )


def best_fit(tensors: States, wanted: States, unused: tuple[str, ...]) -> Fit:
    """The fit of the prefix that fits a trunk whole, or else that has most of its names.

    A Problem where several fit whole and PREFERRED does not choose among them.
    """
    counts: Counter[str] = Counter()
    for key in tensors:
        parts = key.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in wanted:
                counts["".join(f"{part}." for part in parts[:start])] += 1
    most = max(counts.values(), default=0)
    candidates = [prefix for prefix, count in counts.items() if count == most] or [""]
    fits = [_fit(tensors, wanted, unused, prefix) for prefix in candidates]
    whole = [fit for fit in fits if not fit.differences]
    if len(whole) < 2:
        return whole[0] if whole else min(fits, key=lambda fit: len(fit.differences))
    for word in PREFERRED:
        chosen = [fit for fit in whole if word in fit.prefix]
        if len(chosen) == 1:
            return chosen[0]
    raise Problem(
        f"these weights hold the trunk {len(whole)} times, under "
        f"{', '.join(repr(fit.prefix) for fit in whole)}; save one of them alone with torch.save"
    )


def outline(tensors: States, prefix: str) -> str:
    """The first parts of the names below a prefix, each once, in the file's order.

    Where all names have parts in common (a container's, such as state_dict), those are the prefix.
    An optimiser's tensors beside the container do not count.
    """
    keys = [key[len(prefix) :] for key, _ in _below(tensors, prefix)]
    names = [key.split(".") for key in keys if not key.startswith("optim")] or [
        key.split(".") for key in keys
    ]
    while len({name[0] for name in names}) == 1 and all(len(name) > 1 for name in names):
        prefix += f"{names[0][0]}."
        names = [name[1:] for name in names]
    firsts = list(dict.fromkeys(name[0] for name in names))
    more = f" and {len(firsts) - MOST_NAMES} more" if len(firsts) > MOST_NAMES else ""
    return f"{', '.join(firsts[:MOST_NAMES])}{more}" + (f" under {prefix!r}" if prefix else "")


def _fit(tensors: States, wanted: States, unused: tuple[str, ...], prefix: str) -> Fit:
    below = {key[len(prefix) :]: value for key, value in _below(tensors, prefix)}
    state: dict[str, Tensor] = {}
    differences = []
    for key, target in wanted.items():
        value = below.get(key)
        if value is None:
            if key.endswith(COUNTER):
                state[key] = target
            else:
                differences.append(f"{prefix}{key} is missing")
            continue
        if value.ndim == target.ndim + 1 and value.shape[0] == 1:
            value = value.squeeze(0)
        if value.shape != target.shape:
            shapes = f"{list(value.shape)}, expected {list(target.shape)}"
            differences.append(f"{prefix}{key} is {shapes}")
        state[key] = value
    layers = {key.split(".")[0] for key in wanted}
    left_out = []
    for key in below:
        if key in wanted or key.startswith(unused):
            continue
        first = key.split(".")[0]
        if first in layers or first.isdigit():
            differences.append(f"{prefix}{key} is not expected")
        else:
            left_out.append(f"{prefix}{key}")
    return Fit(prefix, state, differences, left_out)


def note(fit: Fit) -> str:
    """What was done to the names in a file, or nothing where that is nothing worth a line."""
    parts = []
    if fit.prefix:
        parts.append(f"{fit.prefix!r} is taken off the names")
    if fit.left_out:
        names = dict.fromkeys(key[len(fit.prefix) :].split(".")[0] for key in fit.left_out)
        parts.append(f"left out: {', '.join(list(names)[:MOST_NAMES])}")
    return "; ".join(parts)


def _below(tensors: States, prefix: str) -> list[tuple[str, Tensor]]:
    return [(key, value) for key, value in tensors.items() if key.startswith(prefix)]


def _flat(content: Mapping[object, object], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            yield f"{prefix}{key}", value


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: 8 bytes of length, then a JSON object."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _safetensors(path: Path) -> object:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise Problem(
            f"{path} is a safetensors file, which the package safetensors reads; python -m pip "
            "install safetensors"
        ) from None
    try:
        return load_file(path)
    except Exception as error:  # its errors have a class of their own, which is no ValueError
        raise Problem(f"{path} is a damaged safetensors file: {error}") from None


def _torch(path: Path) -> object:
    try:
        with (
            torch.serialization.safe_globals([argparse.Namespace]),  # options beside the weights
            warnings.catch_warnings(action="ignore"),  # of TorchScript, which is refused below
        ):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # the bytes of other files raise many kinds: KeyError, IndexError
        if "TorchScript" in str(error):
            raise Problem(
                f"{path} is a TorchScript archive; save its state_dict: "
                "torch.save(torch.jit.load(FILE).state_dict(), NEW)"
            ) from None
        if classes := _classes(path, str(error)):
            raise Problem(
                f"{path} can only be read by running code of its own ({', '.join(classes)}), which "
                "is refused; save its state_dict alone, where you trust it, with torch.save"
            ) from None
        with path.open("rb") as file:
            start = file.read(2)
        if start in (b"", b"PK", b"\x80\x02"):  # nothing, or how files of torch begin
            raise Problem(
                f"{path} holds no state_dict of tensors that can be read, perhaps it was cut short "
                f"({str(error) or type(error).__name__}); get it again"
            ) from None
        return None


def _classes(path: Path, error: str) -> list[str]:
    """What beyond tensors and options a file of torch would bring to life, by name."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of any other file, and of those of early torch versions
        names = re.findall(r"GLOBAL (\S+\.\S+)", error)
    return sorted(set(names) - {"argparse.Namespace"})[:MOST_NAMES]
