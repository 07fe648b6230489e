"""Epochs to a threshold from the curves of records."""

from __future__ import annotations

import pytest

from harness.measure import convergence


def test_the_followup_counts_on_from_the_best_normal_epoch_and_only_evaluated_epochs_count():
    entries = [
        {"phase": "normal", "epoch": 1, "loss": 3.0},
        {"phase": "normal", "epoch": 2, "loss": 2.0, "map_at_r": 0.2},
        {"phase": "normal", "epoch": 4, "loss": 1.0, "map_at_r": 0.1},
        {"phase": "followup", "epoch": 1, "loss": 1.0, "map_at_r": 0.3},
    ]
    curve = convergence.curve_of(entries, (2, 1))
    assert curve == [(2, 0.2), (4, 0.1), (3, 0.3)]
    assert convergence.steps_to_threshold(curve, 0.2) == 2
    assert convergence.steps_to_threshold(curve, 0.25) == 3
    with pytest.raises(ValueError, match=r"best is 0\.3, below 0\.4"):
        convergence.steps_to_threshold(curve, 0.4)


def test_both_losses_run_to_the_threshold_that_every_run_reaches():
    a = [[[(1, 0.5), (2, 0.9)], [(1, 0.9), (2, 1.0)]]]
    b = [[[(1, 0.1), (2, 0.2), (3, 0.5)], [(1, 0.2), (2, 0.44), (3, 0.46)]]]
    # lowest best 0.46, threshold 0.414
    assert convergence.steps_to_shared_threshold(a, b) == ([1.0], [2.5])
