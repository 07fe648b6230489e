"""What DeMoor and Prevost 2024 (arXiv 2408.15656) claim of landscapes, as checks that can fail.

The paper's equations are lost in the text that we have, so this is the form that we take. p is the
image's proxy, q the other one, D = ||p - q|| > 0, in two dimensions or more, and f(a) - f(b) with
a = ||x - p||, b = ||x - q|| is to be minimised (Eq. 13).

Lemma III.1. On a sphere of radius r around q, b is r everywhere and a takes every value from
|D - r|, at NEAR = q + r (p - q) / D, to D + r, at FAR on the other side. Then f never decreases iff
on every such sphere, for all proxies, NEAR is a minimum and FAR a maximum. They are the only ones
iff f increases strictly.
Forward: a is smallest at NEAR alone, and f keeps the order. Back: if f(s) > f(t) for some s < t,
take D = (s + t) / 2 and r = (t - s) / 2. Then a is s at NEAR and t at FAR, and NEAR is no minimum.
It follows that no minimum lies off the line through the proxies if f increases strictly: along the
sphere there is a way down to NEAR.

Proposition III.2. With f1 on a and f2 on b, both increasing and differentiable, a place on the ray
from p away from q, t > 0 from p, is an isolated minimum of the whole space iff the order
f1'(t) - f2'(D + t) is negative just before it and positive just after it.
On the ray this is calculus. Off it, f2 increases, so that on the sphere around p through that place
no other point is as low (the lemma on spheres around p, where the furthest from q is lowest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.measure.distance_functions import DistanceFunction, Floats, sine
from harness.measure.landscapes import Landscape, Valley, distances, valleys

POINTS = 100  # drawn on a sphere
ROUNDING = 1e-9  # of heights that are compared
BESIDE = 1e-6  # of the proxies' distance: how far from a reversal it is looked around


def random_proxies(
    rng: np.random.Generator, dim: int, distance: float
) -> tuple[Floats, Floats, Floats]:
    """Two proxies [dim] at the given distance in a random direction, and that direction to p."""
    direction = _directions(rng, 1, dim)[0]
    q = rng.normal(size=dim)
    return q + distance * direction, q, direction


def keeps_the_lemma(
    f: DistanceFunction, p: Floats, q: Floats, radius: float, rng: np.random.Generator
) -> bool:
    """Whether NEAR is the lowest and FAR the highest of POINTS drawn on the sphere around q."""
    towards = (p - q) / distances(p, q)
    sphere = q + radius * np.vstack([towards, -towards, _directions(rng, POINTS, len(p))])
    heights = Landscape(p, q[None], f, f).height(sphere)
    room = ROUNDING * (1 + np.abs(heights).max())
    return bool(heights.min() >= heights[0] - room and heights.max() <= heights[1] + room)


@dataclass(frozen=True)
class Breach:
    """Proxies at `distance`, and a sphere around q on which FAR is lower than NEAR."""

    distance: float
    radius: float
    near: float  # heights
    far: float


def breach_of_the_lemma(
    f: DistanceFunction, *, furthest: float, steps: int = 4000
) -> Breach | None:
    """The proxies and the sphere that break the lemma for a function that decreases somewhere.

    From the pair of distances on a grid up to `furthest` between which f falls most; None where it
    falls nowhere on the grid.
    """
    grid = np.linspace(furthest / steps, furthest, steps)
    values = f.value(grid)
    highest = np.maximum.accumulate(values)
    end = int(np.argmax(highest - values))
    start = int(np.argmax(values[: end + 1]))
    if values[start] <= values[end]:
        return None
    s, t = float(grid[start]), float(grid[end])
    distance, radius = (s + t) / 2, (t - s) / 2
    q, p = np.zeros(2), np.array([distance, 0.0])
    ends = np.array([[radius, 0.0], [-radius, 0.0]])
    near, far = Landscape(p, q[None], f, f).height(ends).tolist()
    return Breach(distance, radius, near, far)


@dataclass(frozen=True)
class OffLine:
    """A minimum off the line through the proxies (0, 0) and (distance, 0), for f = t + A sin(w t).

    `place` has its height and the smallest curvature there; `proxy` is the image's.
    """

    amplitude: float
    frequency: float
    distance: float
    place: tuple[float, float]
    height: float
    curvature: float
    tries: int


def off_line_minimum(rng: np.random.Generator, *, most: int = 1000) -> OffLine | None:
    """A minimum off the line for a function that is not monotone, found from random starts.

    Only a place counts that is a hundredth of the proxies' distance off the line at least, with no
    slope left and curved upward in all directions. None after `most` tries.
    """
    from scipy.optimize import minimize

    for tries in range(1, most + 1):
        amplitude, frequency, distance = rng.uniform([0.5, 1.5, 1.0], [2.0, 4.0, 4.0]).tolist()
        if amplitude * frequency <= 1:
            continue  # increases everywhere
        f = sine(amplitude, frequency)
        landscape = Landscape(np.array([distance, 0.0]), np.zeros((1, 2)), f, f)
        start = rng.normal(0, distance, 2)
        end = minimize(landscape.height, start, jac=landscape.gradient, options={"gtol": 1e-10})
        place = end.x
        slope = float(np.abs(landscape.gradient(place)).max())
        curvature = float(np.linalg.eigvalsh(_curvatures(landscape, place)).min())
        if abs(place[1]) > 0.01 * distance and slope < 1e-6 and curvature > 1e-3:
            x, y = place.tolist()
            return OffLine(
                amplitude=amplitude,
                frequency=frequency,
                distance=distance,
                place=(x, y),
                height=float(end.fun),
                curvature=curvature,
                tries=tries,
            )
    return None


def _curvatures(landscape: Landscape, place: Floats, step: float = 1e-5) -> Floats:
    """The second derivatives [D, D] of the height, by differences of its gradient."""
    steps = step * np.eye(len(place))
    rows = landscape.gradient(place + steps) - landscape.gradient(place - steps)
    return np.asarray((rows + rows.T) / (4 * step))


@dataclass(frozen=True)
class Reversals:
    """What is found at the reversals of the order, and by searches in the whole space.

    Around `lowest` of the `reversals` it is uphill in every direction that was tried. Of the
    `ended` searches from random starts `predicted` did so in a valley of the order; `fled` more
    went further than was looked.
    """

    reversals: int = 0
    lowest: int = 0
    ended: int = 0
    predicted: int = 0
    fled: int = 0

    def __add__(self, other: Reversals) -> Reversals:
        return Reversals(
            **{name: count + getattr(other, name) for name, count in vars(self).items()}
        )


def reversals(
    landscape: Landscape, rng: np.random.Generator, *, furthest: float, starts: int = 1
) -> Reversals:
    """The landscape of two proxies against the order on the ray, as far as `furthest` from p."""
    from scipy.optimize import minimize

    p, q = landscape.proxy, landscape.others[0]
    distance = float(distances(p, q))
    outward = (p - q) / distance
    predicted = valleys(landscape.f1, landscape.f2, distance, furthest=furthest)
    turns = [valley.end for valley in predicted if 0 < valley.end < math.inf]
    lowest = sum(is_lowest(landscape, p + turn * outward, BESIDE * distance, rng) for turn in turns)
    ended = in_valley = 0
    for start in p + 3 * distance * _directions(rng, starts, len(p)):
        result = minimize(
            landscape.height, start, jac=landscape.gradient, method="BFGS", options={"gtol": 1e-9}
        )
        if float(distances(result.x, p)) < furthest:
            ended += 1
            in_valley += any(_lies_in(valley, result.x - p, outward) for valley in predicted)
    return Reversals(len(turns), lowest, ended, in_valley, starts - ended)


def is_lowest(landscape: Landscape, place: Floats, radius: float, rng: np.random.Generator) -> bool:
    """Whether it is uphill from a place on the ray in POINTS directions, by the gradient there.

    A random one for each angle to the ray. Heights would differ by less than their rounding.
    """
    outward = landscape.proxy - landscape.others[0]
    outward /= np.linalg.norm(outward)
    across = _directions(rng, POINTS, len(place))
    across -= (across @ outward)[:, None] * outward
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    angle = np.linspace(0, math.pi, POINTS)[:, None]
    directions = np.cos(angle) * outward + np.sin(angle) * across
    slopes = (landscape.gradient(place + radius * directions) * directions).sum(1)
    return bool(np.all(slopes > 0))


def _lies_in(valley: Valley, place: Floats, outward: Floats) -> bool:
    """Whether a place, from p, is on the ray and in the valley, to a hundredth."""
    t = float(place @ outward)
    off_line = float(np.linalg.norm(place - t * outward))
    return off_line < 0.01 and valley.start - 0.01 <= t <= valley.end + 0.01


def _directions(rng: np.random.Generator, n: int, dim: int) -> Floats:
    """Random unit vectors [n, dim], all directions alike."""
    vectors = rng.normal(size=(n, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
