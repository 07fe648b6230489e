"""What records must share in their making, so that their numbers may stand in one row.

Measured or known to change numbers: the code of the loss and of the trunk, the weights, the kind
of device, the CPU threads of a run (28 of 48 records of a study differ between 1 and 2), these
packages. Not the commit alone: it changes with every text, and tables name it. Not the processor's
model, which changes last digits as well: clusters mix them, and records name it (`processor`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from harness.schema import Record

PACKAGES = ("torch", "torchvision", "numpy", "optuna", "pytorch-metric-learning", "timm")


def making(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What of a provenance must be equal, by its name in words; older records have less of it."""
    values = {
        "code of the loss": provenance.get("loss_code"),
        "code of the trunk": provenance.get("trunk_code"),
        "weights": provenance.get("weights"),
        "dataset": provenance.get("dataset"),
    }
    kind = str(provenance.get("device", "")).split(":")[0]
    values["device"] = kind or None
    if kind != "cuda":  # there they do not take part in the sums
        values["threads"] = provenance.get("threads")
    versions = provenance.get("versions", {})
    values |= {name: versions.get(name) for name in PACKAGES}
    return {name: str(value) for name, value in values.items() if value is not None}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two makings, where both say it: `threads 1 -> 2`."""
    return [
        f"{name} {before[name]} -> {now[name]}"
        for name in before
        if name in now and before[name] != now[name]
    ]


def mixed(records: Iterable[Record]) -> dict[str, Counter[str]]:
    """What records of one loss do not share: its name -> value -> number of records."""
    counts: dict[str, Counter[str]] = {}
    # The records of a file share few provenance objects: each is put into words once.
    shared: dict[int, list[Mapping[str, Any]]] = {}
    for record in records:
        shared.setdefault(id(record.provenance), []).append(record.provenance)
    for same in shared.values():
        for name, value in making(same[0]).items():
            counts.setdefault(name, Counter())[value] += len(same)
    return {name: values for name, values in counts.items() if len(values) > 1}
