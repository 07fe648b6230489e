"""The one training that may look at test classes: the epoch is chosen on them, to measure the gain.

Much of the literature keeps the best epoch on the test set. The study `standard` does the same
beside its honest runs, so that the optimism of it is a number. Every such run bears a stage of its
own, and a run of any other stage or study is refused.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from harness.schema import STANDARD, TEST_TUNED, Part, Run
from harness.training import train


def start(run: Run, trainval: Part, test: Part, device: torch.device) -> train.Training:
    """A training on all trainval classes that keeps the epoch with the best test MAP@R.

    ValueError for a run that is not test-tuned. The scores and the curve are of the test classes;
    the curve says so (test_map_at_r).
    """
    if run.stage not in TEST_TUNED or not run.study.test_tuned:
        raise ValueError(
            f"run {run.key} of study {run.study.name!r} may not see test classes in training; only "
            f"the stages {TEST_TUNED} of {STANDARD!r} may"
        )
    training = train.start_on(run, trainval, test, device)
    return replace(training, score_name="test_map_at_r")
