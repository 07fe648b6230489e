"""Every loss can take a step with as many classes as SOP has for training: within 4 GB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from losses import nir_soft_triple, soft_triple
from tests.losses.contract import NAMES
from tests.losses.proxy_examples import DIM, N_CLASSES, batch, gradients

ROOT = Path(__file__).resolve().parents[2]
SOP_CLASSES = 11_318
LONG = ["hierarchical_proxy", "proxy_gml"]
GB = 10**9 / 2**20  # in MiB


def peaks(
    n_classes: int, dim: int, names: list[str], **variables: str
) -> dict[str, dict[str, Any]]:
    """What tests/losses/one_step.py measures, by loss."""
    words = ["-m", "tests.losses.one_step", str(n_classes), str(dim), *names]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["loss"] for entry in entries] == names
    assert [entry["status"] for entry in entries] == [0] * len(names), done.stderr
    return {entry["loss"]: entry for entry in entries}


SHORT = [name for name in NAMES if name not in LONG]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "dim"),
    [*((SHORT[start::4], 512) for start in range(4)), (LONG, 128)],
    ids=["first", "second", "third", "fourth", "long"],
)
def test_every_loss_takes_a_step_of_sop_within_4_gb_at_the_upper_ends_of_its_ranges(
    names: list[str], dim: int
) -> None:
    """At the 512 dimensions of Complete runs; two that compute for minutes there, at 128."""
    entries = peaks(SOP_CLASSES, dim, names)
    too_large = {
        name: round(entry["peak"]) for name, entry in entries.items() if entry["peak"] > 4 * GB
    }
    assert too_large == {}


@pytest.mark.slow
def test_proxy_gml_holds_no_score_of_every_two_proxies() -> None:
    """18,000 proxies have 1.3 GB of scores between them, and 108 MB of scores of classes."""
    entry = peaks(1500, 16, ["proxy_gml"], OMP_NUM_THREADS="1")["proxy_gml"]
    assert entry["peak"] - entry["base"] < 600


@pytest.mark.parametrize("module", [soft_triple, nir_soft_triple])
@pytest.mark.parametrize("entries", [1, 150])
def test_soft_triples_in_blocks_of_classes_have_the_value_and_gradients_of_one_block(
    monkeypatch: pytest.MonkeyPatch, module: Any, entries: int
) -> None:
    x, labels = batch(norm=1.0)
    results = []
    for size in (2**24, entries):
        monkeypatch.setattr(module, "ENTRIES", size)
        torch.manual_seed(0)
        loss = module.Loss(n_classes=N_CLASSES, dim=DIM, centers_per_class=3).double()
        value = loss(x, labels)
        results.append([value, *gradients(value, x, *loss.parameters())])
    for whole, in_blocks in zip(*results, strict=True):
        torch.testing.assert_close(in_blocks, whole, rtol=1e-9, atol=1e-12)
