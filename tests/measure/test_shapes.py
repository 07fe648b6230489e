"""Shapes of sweeps on planted curves: found where they are, and not in noise or in others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure import shapes

RISE_PLATEAU_FALL = [10, 20, 30, 30.5, 30, 29.5, 22, 12]
RISE_THEN_PLATEAU = [10, 24, 29, 30, 30.5, 30]
RISE_FALL_PLATEAU = [20, 26, 30, 24, 15, 12, 12.2, 11.8]
SHAPES = {
    shapes.rise_plateau_fall: RISE_PLATEAU_FALL,
    shapes.rise_then_plateau: RISE_THEN_PLATEAU,
    shapes.rise_fall_plateau: RISE_FALL_PLATEAU,
}
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)


def planted(curve, noise: float, seed: int = 0, repeats: int = 5):
    """Repeats of a curve in percent, each shifted as a whole, with noise of its own."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 2, (repeats, 1))
    return (np.array(curve) + shift + rng.normal(0, noise, (repeats, len(curve)))) / 100


@each_shape
@pytest.mark.parametrize("seed", range(10))
def test_a_planted_shape_is_found_through_noise(shape, seed):
    parts = shape(planted(SHAPES[shape], 0.6, seed))
    assert shapes.joint(parts) == "agrees", parts


@each_shape
def test_a_flat_curve_with_noise_agrees_with_no_shape_more_often_than_its_level_allows(shape):
    verdicts = [shapes.joint(shape(planted([20] * 8, 1.0, seed))) for seed in range(200)]
    assert verdicts.count("agrees") <= 0.025 * 200 + 5


@pytest.mark.parametrize(
    ("shape", "curve"),
    [
        (shapes.rise_plateau_fall, [30, 28, 25, 20, 15, 10, 8, 5]),  # falls from the start
        (shapes.rise_plateau_fall, [5, 8, 30, 12, 10, 8, 6, 4]),  # a peak and no plateau
        (shapes.rise_then_plateau, [30, 24, 20, 20, 20, 20]),  # 1 is the best value
        (shapes.rise_then_plateau, [10, 15, 20, 25, 30, 35]),  # never level
        (shapes.rise_fall_plateau, [20, 26, 30, 24, 18, 12, 6, 0]),  # falls to the end
    ],
)
def test_another_shape_disagrees(shape, curve):
    assert shapes.joint(shape(planted(curve, 0.5))) == "disagrees"


def test_a_curve_that_never_falls_is_not_said_to_fall():
    parts = shapes.rise_plateau_fall(planted([10, 15, 20, 25, 26, 26.2, 26.1, 26.3], 0.5))
    assert {part.name: part.verdict for part in parts}["fall"] != "agrees"


def test_the_peak_is_chosen_on_other_repeats_than_those_that_it_is_measured_on():
    """On pure noise the gain from the first value to the peak is 0 in the mean."""
    rng = np.random.default_rng(3)
    gains = [shapes.rise(rng.normal(0, 1, (5, 12))).estimate for _ in range(400)]
    naive = [np.ptp(rng.normal(0, 1, (5, 12)).mean(0)) for _ in range(400)]
    assert abs(np.mean(gains)) < 3 * np.std(gains) / 20
    assert np.mean(naive) > 1


@given(
    st.integers(3, 6), st.integers(3, 9), st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 99)
)
def test_a_shift_and_a_scale_of_all_scores_change_no_verdict(repeats, values, shift, scale, seed):
    scores = np.random.default_rng(seed).normal(0, 1, (repeats, values)).round(3)
    for shape in SHAPES:
        before = [part.verdict for part in shape(scores)]
        after = [part.verdict for part in shape(scores * scale + shift)]
        assert before == after


@pytest.mark.parametrize("scores", [np.zeros((2, 5)), np.zeros((5, 2)), np.full((3, 3), np.nan)])
def test_too_few_or_missing_numbers_are_refused(scores):
    with pytest.raises(ValueError, match="at least 3 repeats at 3 values"):
        shapes.rise(scores)
