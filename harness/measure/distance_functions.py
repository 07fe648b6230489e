"""Functions of a distance that a loss puts in a distance's place: the paper's, and random ones.

Source of the warp: DeMoor and Prevost 2024, arXiv 2408.15656, Eq. 7. Arrays in, arrays out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
KNOTS = 8  # of a random function's slope


@dataclass(frozen=True)
class DistanceFunction:
    """A function f(t) of a distance t >= 0, and its derivative; both take and give arrays."""

    name: str
    value: Callable[[Floats], Floats]
    derivative: Callable[[Floats], Floats]


def power(exponent: float) -> DistanceFunction:
    """t to a power above 0: convex above 1, concave below."""
    if not 0 < exponent < math.inf:
        raise ValueError(f"exponent = {exponent}: a number above 0 is needed")
    return DistanceFunction(
        "t" if exponent == 1 else f"t^{exponent:g}",
        lambda t: np.asarray(t, float) ** exponent,
        # at 0 the derivative of a concave power is infinite: a tiny distance stands for none
        lambda t: exponent * np.maximum(np.asarray(t, float), 1e-300) ** (exponent - 1),
    )


def warp(alpha: float, k1: float, k2: float) -> DistanceFunction:
    """The paper's warp, Eq. 7, without its stopped term: slope k1 below alpha, k2 from there on.

    The stopped term has no gradient, so it changes the loss's value and not where the embedding is
    drawn to. alpha may be 0 (k2 everywhere) or infinite (k1 everywhere).
    """
    if not (alpha >= 0 and 0 < k1 < math.inf and 0 < k2 < math.inf):
        raise ValueError(f"alpha = {alpha}, k1 = {k1}, k2 = {k2}: alpha >= 0, the slopes above 0")

    def value(t: Floats) -> Floats:
        near = np.minimum(t, alpha)
        return k1 * near + k2 * (np.asarray(t, float) - near)

    return DistanceFunction(
        f"warp({alpha:g}, {k1:g}, {k2:g})", value, lambda t: np.where(np.less(t, alpha), k1, k2)
    )


def sine(amplitude: float, frequency: float) -> DistanceFunction:
    """t + A sin(w t), which decreases somewhere iff A w > 1."""
    return DistanceFunction(
        f"t + {amplitude:.3g} sin({frequency:.3g} t)",
        lambda t: t + amplitude * np.sin(frequency * t),
        lambda t: 1 + amplitude * frequency * np.cos(frequency * t),
    )


def random_function(
    rng: np.random.Generator, *, furthest: float, monotone: bool = True
) -> DistanceFunction:
    """A random function of t with f(0) = 0, its slope linear between KNOTS and constant behind.

    Its slopes are all above 0 or, unless `monotone`, below 0 at one knot at least.
    """
    knots = np.concatenate([[0.0], np.sort(rng.uniform(0, furthest, KNOTS - 1))])
    slopes = np.exp(rng.normal(0, 1, KNOTS))
    if not monotone:
        slopes[rng.permutation(KNOTS)[: int(rng.integers(1, KNOTS))]] *= -1
    return from_slopes("random", knots, slopes)


def from_slopes(name: str, knots: Floats, slopes: Floats) -> DistanceFunction:
    """The function with f(0) = 0 whose slope is linear between knots, the first of them 0."""
    widths = np.diff(knots)
    heights = np.concatenate([[0.0], np.cumsum(widths * (slopes[1:] + slopes[:-1]) / 2)])

    def value(t: Floats) -> Floats:
        piece = np.clip(np.searchsorted(knots, t, side="right") - 1, 0, len(knots) - 1)
        slope = np.interp(t, knots, slopes)
        return np.asarray(heights[piece] + (t - knots[piece]) * (slopes[piece] + slope) / 2)

    return DistanceFunction(name, value, lambda t: np.interp(t, knots, slopes))
