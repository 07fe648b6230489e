"""Names on the command line: what is known, and what was perhaps meant."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Sequence
from pathlib import Path


def known(kind: str, given: str, names: Sequence[str]) -> str:
    """The name, or a Problem with what was perhaps meant and what there is."""
    from harness.schema import Problem

    if given in names:
        return given
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    raise Problem(f"no {kind} {given!r}{meant} known: {', '.join(names)}")


def files(package: str) -> list[str]:
    """Names of the files of a folder that is a registry."""
    path = Path(__file__).resolve().parent.parent / package
    found = (item.name for item in pkgutil.iter_modules([str(path)]))
    return sorted(name for name in found if not name.startswith("_"))


def device_of(asked: str) -> str:
    """The device that is asked for, or a Problem if it is not there."""
    import torch

    from harness.schema import Problem

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise Problem(f"no device {asked!r}; known: auto, cpu, cuda, cuda:0, ...") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Problem(f"device {asked!r} is not there: torch sees no GPU; use --device cpu")
    return asked
