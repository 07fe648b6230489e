"""More than two proxies: when the warp draws an embedding away from its own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.measure import simplex
from harness.measure.distance_functions import power, warp
from harness.measure.landscapes import Landscape


@pytest.mark.parametrize("n_classes", [2, 3, 4, 7, 30])
def test_a_proxy_of_a_simplex_stays_a_minimum_unless_k1_is_below_the_leaving_slope(n_classes):
    """By small steps down the gradient, which know nothing of unit vectors."""
    slope = simplex.leaving_slope(n_classes)
    corners = simplex.simplex(n_classes)
    assert np.linalg.norm(corners[0] - corners[1]) == pytest.approx(1)
    rng = np.random.default_rng(0)
    for k1, stays in ((slope - 0.02, False), (min(slope + 0.02, 1.01), True)):
        landscape = Landscape(corners[0], corners[1:], warp(5, k1, 2), power(1))
        place = corners[0] + 1e-4 * rng.normal(size=n_classes) / math.sqrt(n_classes)
        for _ in range(1000):
            gradient = landscape.gradient(place)
            place = place - 1e-4 * gradient / np.linalg.norm(gradient)
        assert (np.linalg.norm(place - corners[0]) < 1e-3) == stays
        assert simplex.is_drawn_out(n_classes, k1) != stays
