"""The loss of one image over the places where its embedding can lie, while the proxies stand still.

With p the proxy of the image's class, q_j the other proxies, a = ||x - p||, b_j = ||x - q_j|| and
the temperature tau,

    loss(x) = log(1 + sum_j exp(tau (f1(a) - f2(b_j))))

This is Eq. 8 of DeMoor and Prevost 2024, arXiv 2408.15656; Eq. 6 with one other proxy, Eq. 5 with
f1 = f2 too, Eq. 4 with both the identity. The loss is an increasing function of

    height(x) = log sum_j exp(tau (f1(a) - f2(b_j))),

so both have their minima at the same places (the paper's Eq. 12 and 13). Minima are looked for on
the height, because the loss cannot be told from 0 where it is small.

With one other proxy q at the distance D, and f1, f2 increasing, every minimum lies on the ray
p + t (p - q) / D, t >= 0 (Lemma III.1, see landscape_claims.py). There the height is
tau (f1(t) - f2(D + t)): its slope has the sign of f1'(t) - f2'(D + t), the ORDER of the
derivatives, and a minimum is where the order turns from negative to positive (Proposition III.2).
Arrays in, arrays out, in float64; bad input is a ValueError.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.measure.distance_functions import DistanceFunction, Floats

LEVEL = 1e-12  # two derivatives are equal whose difference is below this share of their sum
TINY = 1e-300  # a distance that is divided by in place of 0
CLOSE = 1e-3  # of two minima that the optimiser ends at, to be one


@dataclass(frozen=True)
class Landscape:
    """Proxies that stand still: the image's proxy [D], the others [n, D], f1, f2, temperature."""

    proxy: Floats
    others: Floats
    f1: DistanceFunction
    f2: DistanceFunction
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.others.ndim != 2 or self.others.shape[1:] != self.proxy.shape:
            raise ValueError(f"proxy {self.proxy.shape}, others {self.others.shape}: [D], [n, D]")
        if not len(self.others) or np.any(distances(self.others, self.proxy) == 0):
            raise ValueError("at least one other proxy is needed, and none may lie on the image's")

    def _terms(self, points: Floats) -> Floats:
        near = self.f1.value(distances(points, self.proxy))[..., None]
        far = self.f2.value(distances(points[..., None, :], self.others))
        return np.asarray(self.temperature * (near - far))

    def height(self, points: Floats) -> Floats:
        """What the loss increases with, at points [..., D]."""
        return np.asarray(np.logaddexp.reduce(self._terms(points), axis=-1))

    def loss(self, points: Floats) -> Floats:
        """The loss at points [..., D]."""
        return np.asarray(np.logaddexp(0.0, self.height(points)))

    def gradient(self, points: Floats) -> Floats:
        """The gradient of the height at points [..., D]; a proxy at a point adds nothing there."""
        terms = self._terms(points)
        weights = np.exp(terms - np.logaddexp.reduce(terms, axis=-1, keepdims=True))
        to_proxy, to_others = points - self.proxy, points[..., None, :] - self.others
        a = np.maximum(np.linalg.norm(to_proxy, axis=-1), TINY)
        b = np.maximum(np.linalg.norm(to_others, axis=-1), TINY)
        pull = (self.f1.derivative(a) / a)[..., None] * to_proxy
        push = (weights * self.f2.derivative(b) / b)[..., None] * to_others
        return np.asarray(self.temperature * (pull - push.sum(-2)))


def distances(points: Floats, others: Floats) -> Floats:
    """Euclidean distances of points and others [..., D], broadcast against each other."""
    return np.asarray(np.linalg.norm(points - others, axis=-1))


@dataclass(frozen=True)
class Valley:
    """A minimum on the ray, for t from `start` to `end`: a point where both are equal.

    `end` is infinite where the height stays level, `start` too where it falls, as far as was
    looked.
    """

    start: float
    end: float


def order(f1: DistanceFunction, f2: DistanceFunction, distance: float, t: Floats) -> Floats:
    """The sign of f1'(t) - f2'(D + t): the sign of the height's slope on the ray."""
    inner, outer = f1.derivative(t), f2.derivative(distance + t)
    return np.where(
        np.abs(inner - outer) <= LEVEL * (np.abs(inner) + np.abs(outer)),
        0.0,
        np.sign(inner - outer),
    )


def valleys(
    f1: DistanceFunction,
    f2: DistanceFunction,
    distance: float,
    *,
    furthest: float,
    steps: int = 2000,
) -> tuple[Valley, ...]:
    """The minima on the ray by the order of the derivatives alone, for t from 0 to `furthest`.

    The order is looked at on `steps` equal steps, and where it changes within one the place is
    bisected. So two changes within one step are overlooked. t = 0 counts as reached downhill, which
    it is from between the proxies where f1 and f2 increase.
    """
    if not (distance > 0 and furthest > 0):
        raise ValueError(f"distance = {distance}, furthest = {furthest}: both must be above 0")
    grid = np.linspace(0.0, furthest, steps + 1)
    grid[0] = furthest * 1e-12
    signs = order(f1, f2, distance, grid)
    changes = np.flatnonzero(np.diff(signs)).tolist()
    places = [
        _bisected(lambda t: order(f1, f2, distance, t), float(grid[i]), float(grid[i + 1]))
        for i in changes
    ]
    kinds = [-1.0, *(float(signs[i]) for i in [0, *(i + 1 for i in changes)])]
    starts = [0.0, *places]  # where each of kinds[1:] begins
    return _valleys(kinds, starts)


def _valleys(kinds: Sequence[float], starts: Sequence[float]) -> tuple[Valley, ...]:
    """The valleys of stretches that go down (-1), level (0) or up (1); the first one ends at 0."""
    valleys: list[Valley] = []
    bottom: float | None = None  # where the ground that was reached downhill begins
    for (before, kind), start in zip(itertools.pairwise(kinds), starts, strict=True):
        if before < 0:
            bottom = start
        if kind > 0 and bottom is not None:
            valleys.append(Valley(bottom, start))
        if kind != 0:
            bottom = None
    if kinds[-1] < 0:
        valleys.append(Valley(math.inf, math.inf))
    elif bottom is not None:
        valleys.append(Valley(bottom, math.inf))
    return tuple(valleys)


def _bisected(sign: Callable[[Floats], Floats], low: float, high: float) -> float:
    """Where the sign at `low` ends, given that it is another at `high`."""
    first = float(sign(np.array(low)))
    while high - low > 1e-13 * (1 + high):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float(sign(np.array(middle))) == first else (low, middle)
    return high


@dataclass(frozen=True)
class Minima:
    """Where searches from many starts ended: places [m, D], the lowest first, and how many fled."""

    places: Floats
    fled: int


def minima(landscape: Landscape, starts: Floats, *, within: float) -> Minima:
    """The ends of a search that knows no gradient (Nelder and Mead 1965), from starts [s, D].

    Ends that lie closer together than CLOSE are one. A search has fled once it is further than
    `within` from the proxies' mean.
    """
    from scipy.optimize import minimize

    centre = np.vstack([landscape.proxy, landscape.others]).mean(0)

    def stop_outside(place: Floats) -> None:
        if float(distances(place, centre)) > within:
            raise StopIteration

    ends: list[tuple[float, Floats]] = []
    fled = 0
    for start in starts:
        place = start
        for _ in range(3):  # a new simplex each time, for one can collapse at a kink
            result = minimize(
                lambda x: float(landscape.height(x)),
                place,
                method="Nelder-Mead",
                callback=stop_outside,
                options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 2000},
            )
            place = result.x
        if float(distances(place, centre)) > within:
            fled += 1
        elif all(float(distances(place, other)) >= CLOSE for _, other in ends):
            ends.append((float(result.fun), place))
    places = [place for _, place in sorted(ends, key=lambda end: end[0])]
    return Minima(np.array(places).reshape(len(places), len(landscape.proxy)), fled)
