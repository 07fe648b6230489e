"""The search as parallel coordinates: a line a trial, at the heights that its values have."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from harness.protocol.search import Trial
from harness.report import parallel
from harness.report.svg import GREEN, INK

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-2, log=True),
    "margin": FloatDistribution(0.0, 2.0),
    "miner": CategoricalDistribution(["all", "hard"]),
}
PARAMS = list(SPACE)


def trial(score: float | None, lr: float, margin: float, miner: str = "all") -> Trial:
    return Trial(params={"lr": lr, "margin": margin, "miner": miner}, score=score)


TRIALS = {
    0: trial(0.2, 1e-4, 0.0),
    1: trial(0.4, 1e-3, 0.5, "hard"),
    2: trial(0.3, 1e-2, 2.0),
    3: trial(None, 1e-3, 1.0),
}


def lines_of(figure) -> list[object]:
    """The lines of trials: all but the axes, which stand upright."""
    (panel,) = figure.axes
    return [line for line in panel.lines if len(line.get_ydata()) > 2]


def test_a_line_has_the_heights_of_its_values_logarithmic_where_the_search_is():
    lines = lines_of(parallel.figure(TRIALS, PARAMS, SPACE, best=1))
    assert len(lines) == len(TRIALS)
    (best,) = [line for line in lines if line.get_color() == GREEN]
    assert list(best.get_ydata()[:3]) == pytest.approx([0.5, 0.25, 1.0])
    assert best.get_ydata()[3] == max(line.get_ydata()[-1] for line in lines)


def test_a_failed_trial_is_dotted_and_reaches_no_score():
    lines = lines_of(parallel.figure(TRIALS, PARAMS, SPACE, best=1))
    (failed,) = [line for line in lines if line.get_color() == INK]
    assert failed.get_linestyle() == ":"
    assert len(failed.get_ydata()) == len(PARAMS)


def test_without_the_file_of_the_loss_axes_end_at_the_lowest_and_highest_value():
    lines = lines_of(parallel.figure(TRIALS, PARAMS, {}, best=1))
    heights = sorted(line.get_ydata()[1] for line in lines)
    assert (heights[0], heights[-1]) == (0, 1)


def test_one_param_or_two_trials_are_not_drawn():
    assert parallel.figure(TRIALS, ["lr"], SPACE, best=1) is None
    assert parallel.figure({0: TRIALS[0], 1: TRIALS[1]}, PARAMS, SPACE, best=1) is None
