"""When a warp draws an embedding away from its proxy where there are more than two classes.

Two proxies push and pull along one line. More of them push in unlike directions, so that together
they push less than the image's own proxy pulls. The case that can be computed by hand: all proxies
equally far from each other. The paper (DeMoor and Prevost 2024, arXiv 2408.15656) has it not.
"""

from __future__ import annotations

import math

import numpy as np

from harness.measure.distance_functions import DistanceFunction, Floats, power
from harness.measure.landscapes import Landscape


def leaving_slope(n_classes: int) -> float:
    """The slope that f1 must be below for the proxy to be no minimum, with all classes alike.

    The proxies are the corners of a regular simplex and f2(t) = t. The others push an embedding at
    its proxy outward with the length of the mean of their unit vectors. Any two of these stand at
    60 degrees, so that it is sqrt(C / (2 (C - 1))) for C classes: 1 for two, 0.87 for three, 0.71
    for many.
    """
    if n_classes < 2:
        raise ValueError(f"n_classes = {n_classes}: two at least")
    return math.sqrt(n_classes / (2 * (n_classes - 1)))


def simplex(n_classes: int) -> Floats:
    """The corners [C, C] of a regular simplex with sides of length 1."""
    return np.eye(n_classes) / math.sqrt(2)


def is_drawn_out(n_classes: int, slope: float, *, step: float = 1e-6) -> bool:
    """Whether an embedding at its proxy of a regular simplex can go down, away from the others."""
    corners = simplex(n_classes)
    outward = corners[0] - corners[1:].mean(0)
    outward /= np.linalg.norm(outward)
    f1 = DistanceFunction("slope", lambda t: slope * t, lambda t: np.full_like(t, slope))
    landscape = Landscape(corners[0], corners[1:], f1, power(1))
    return bool(landscape.height(corners[0] + step * outward) < landscape.height(corners[0]))
