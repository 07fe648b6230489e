"""The one training that may look at test classes: the epoch is chosen on them, to measure the gain.

Much of the literature keeps the best epoch on the test set. The study `standard` does the same
beside its honest runs, so that what it is worth is a number; every such run bears a stage of its
own, and a run of any other stage or study is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.schema import STANDARD, TEST_TUNED, Part, Run
from harness.training import train


def fit(
    run: Run,
    trainval: Part,
    test: Part,
    device: torch.device,
    tell: train.Tell,
    checkpoint: Path | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> train.Trained:
    """Train on all trainval classes and keep the epoch with the best MAP@R on the test classes.

    ValueError for a run that is not of the test-tuned branch. The scores and the curve are of the
    test classes; the curve says so (test_map_at_r).
    """
    if run.stage not in TEST_TUNED or not run.study.test_tuned:
        raise ValueError(
            f"run {run.key} of study {run.study.name!r} may not see test classes in training; only "
            f"the stages {TEST_TUNED} of {STANDARD!r} may"
        )

    def told(entry: Mapping[str, Any]) -> None:
        tell(_marked(entry))

    trained = train.train_on(run, trainval, test, device, told, checkpoint, stopping)
    curve = [_marked(entry) for entry in trained.curve]
    return replace(trained, curve=curve)


def _marked(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A curve's entry with its score called what it is."""
    return {("test_map_at_r" if k == "map_at_r" else k): value for k, value in entry.items()}
