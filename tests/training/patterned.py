"""Images that tell their class by a pattern, and runs that train on them in seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from harness.schema import Part, Run
from tests.made import TINY

CPU = torch.device("cpu")
STUDY = replace(TINY, resize=16, crop=16, max_epochs=4, followup_max_epochs=3, patience=1)


def images(classes: int = 8, per_class: int = 6) -> Part:
    """Images of 16 px that tell their class by a pattern under noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), per_class)
    patterns = rng.integers(0, 255, (classes, 16, 16, 1))
    noisy = patterns[labels] + rng.normal(0, 60, (len(labels), 16, 16, 1))
    return Part(np.clip(noisy, 0, 255).astype(np.uint8), np.arange(len(labels)), labels)


def run(**changes) -> Run:
    params = {"lr": 1e-3, "loss_lr": 1e-2, "followup_lr_ratio": 0.1, "temperature": 1.0}
    fields = {
        "study": STUDY,
        "dataset": "made",
        "loss": "euclidean_softmax",
        "stage": "search",
        "seed": 5,
        "params": params,
        "trial": 0,
        "fold": 0,
    }
    return Run(**(fields | changes))
