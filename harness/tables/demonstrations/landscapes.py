"""The study `landscapes`: where the loss of one image is lowest, and the paper's two claims on it.

Figures 1 to 5, 11 and 12, Lemma III.1 and Proposition III.2 of DeMoor and Prevost 2024, arXiv
2408.15656. Nothing is trained. The mathematics and the form of the claims are in
harness/measure/landscapes.py and landscape_claims.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.measure import landscape_claims as claims
from harness.measure import landscapes, simplex
from harness.measure.distance_functions import (
    DistanceFunction,
    Floats,
    power,
    random_function,
    warp,
)
from harness.measure.landscape_claims import OffLine, Reversals
from harness.measure.landscapes import CLOSE, Landscape, Minima, Valley
from harness.schema import Problem
from harness.seeds import seed_from

FURTHEST = 40.0  # in units of which nothing is special: how far out minima are looked for
DIMS = (2, 64)  # between which the dimension of a random check is drawn
IDENTITY = power(1)
CLASSES = (2, 3, 4, 10, 100)


class Bend(NamedTuple):
    """A warp: where it bends, its slope before and from there on."""

    alpha: float
    k1: float
    k2: float


@dataclass(frozen=True)
class Case:
    """A landscape of two proxies: its name, what the paper says of its minimum, what came of it."""

    name: str
    landscape: Landscape
    paper: str
    expected: Valley
    valleys: tuple[Valley, ...]  # by the order of the derivatives
    minima: Minima  # by search
    starts: int  # of the searches

    @property
    def agrees(self) -> bool:
        """Whether order and search both give the minimum that the paper gives, and no other."""
        if not _same(self.valleys, self.expected):
            return False
        along = self.minima.places[:, 0] - self.landscape.proxy[0]
        off_line = np.abs(self.minima.places[:, 1])
        inside = (along >= self.expected.start - CLOSE) & (along <= self.expected.end + CLOSE)
        if math.isinf(self.expected.start):
            return not len(along) and self.minima.fled == self.starts
        return bool(len(along) and np.all(inside & (off_line < CLOSE)))


@dataclass(frozen=True)
class Numbers:
    """All that the page says."""

    cases: tuple[Case, ...]
    four: tuple[tuple[str, Landscape, Minima], ...]  # of four proxies, with the name of each
    functions: int
    keep_lemma: int
    break_lemma: int
    off_line: OffLine | None
    reversals: Reversals
    slopes: dict[int, float]  # classes -> simplex.leaving_slope
    slopes_hold: bool
    alpha: float
    starts: int
    seed: int


def compute(
    *,
    distance: float,
    alpha: float,
    k1: float,
    k2: float,
    starts: int,
    functions: int,
    pairs: int,
    seed: int,
) -> Numbers:
    """All numbers of the page: proxies at `distance`, the warp's alpha and slopes, and the checks.

    `starts` searches are made of each landscape. `functions` are drawn of either kind for the
    lemma, `pairs` of functions for the proposition.
    """
    if not (0 < k1 < 1 < k2 and 0 < alpha < FURTHEST and 0 < distance < FURTHEST):
        raise Problem(
            f"landscapes: distance = {distance}, alpha = {alpha}, k1 = {k1}, k2 = {k2}; needed are "
            f"0 < k1 < 1 < k2, and distance and alpha between 0 and {FURTHEST:g}"
        )
    rng = np.random.default_rng(seed_from("landscapes", seed))
    keep, broken = _lemma(functions, rng)
    slopes = {n: simplex.leaving_slope(n) for n in CLASSES}
    bend = Bend(alpha, k1, k2)
    return Numbers(
        cases=_cases(distance, bend, rng.normal(0, 2 * distance, (starts, 2))),
        four=_four(distance, bend, rng.normal(0, 2 * distance, (starts, 2))),
        functions=functions,
        keep_lemma=keep,
        break_lemma=broken,
        off_line=claims.off_line_minimum(rng),
        reversals=_proposition(pairs, rng),
        slopes=slopes,
        slopes_hold=all(
            simplex.is_drawn_out(n, slope - 0.01) and not simplex.is_drawn_out(n, slope + 0.01)
            for n, slope in slopes.items()
        ),
        alpha=alpha,
        starts=starts,
        seed=seed,
    )


def _cases(distance: float, bend: Bend, starts: Floats) -> tuple[Case, ...]:
    """The landscapes of two proxies, each with the minimum that the paper describes."""
    alpha, k1, k2 = bend
    level, away, at_proxy = Valley(0.0, math.inf), Valley(math.inf, math.inf), Valley(0.0, 0.0)
    square, root = power(2), power(0.5)
    rows: list[tuple[str, DistanceFunction, DistanceFunction, str, Valley]] = [
        ("plain (Fig. 3a)", IDENTITY, IDENTITY, "at the proxy, then a plateau outward", level),
        ("convex (Fig. 3b)", square, square, "at infinity", away),
        ("concave (Fig. 3c)", root, root, "at the proxy", at_proxy),
        ("warp (Fig. 3d)", warp(alpha, k1, k2), IDENTITY, "at alpha", Valley(alpha, alpha)),
        ("outward to alpha", warp(alpha, k1, 1), IDENTITY, "(none)", Valley(alpha, math.inf)),
        ("outward everywhere", warp(math.inf, k1, k2), IDENTITY, "outward forces everywhere", away),
        ("inward from alpha", warp(alpha, 1, k2), IDENTITY, "(none)", Valley(0.0, alpha)),
        ("inward everywhere", warp(0, k1, k2), IDENTITY, "inward forces everywhere", at_proxy),
    ]
    proxy, other = np.array([distance / 2, 0.0]), np.array([[-distance / 2, 0.0]])
    cases = []
    for name, f1, f2, paper, expected in rows:
        landscape = Landscape(proxy, other, f1, f2)
        cases.append(
            Case(
                name=name,
                landscape=landscape,
                paper=paper,
                expected=expected,
                valleys=landscapes.valleys(f1, f2, distance, furthest=FURTHEST),
                minima=landscapes.minima(landscape, starts, within=FURTHEST),
                starts=len(starts),
            )
        )
    return tuple(cases)


def _four(distance: float, bend: Bend, starts: Floats) -> tuple[tuple[str, Landscape, Minima], ...]:
    """Four proxies at the corners of a square (Fig. 5): plain, warped, and with the paper's k1."""
    corners = distance / 2 * np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    result = []
    for name, f1 in (
        ("plain", IDENTITY),
        (f"warp, k1 = {bend.k1:g}", warp(*bend)),
        ("warp, k1 = 0.93, k2 = 1.15", warp(bend.alpha, 0.93, 1.15)),
    ):
        landscape = Landscape(corners[0], corners[1:], f1, IDENTITY)
        result.append((name, landscape, landscapes.minima(landscape, starts, within=FURTHEST)))
    return tuple(result)


def _lemma(functions: int, rng: np.random.Generator) -> tuple[int, int]:
    """Of random increasing functions, how many keep the lemma on a sphere; of others, break it."""
    keep = broken = 0
    for _ in range(functions):
        f = random_function(rng, furthest=20)
        dim, distance, radius = _drawn_sizes(rng)
        p, q, _ = claims.random_proxies(rng, dim, distance)
        keep += claims.keeps_the_lemma(f, p, q, radius, rng)
        falling = random_function(rng, furthest=20, monotone=False)
        breach = claims.breach_of_the_lemma(falling, furthest=FURTHEST)
        broken += breach is not None and breach.far < breach.near
    return keep, broken


def _proposition(pairs: int, rng: np.random.Generator) -> Reversals:
    """What is found in the landscapes of random pairs of increasing functions."""
    total = Reversals()
    for _ in range(pairs):
        f1, f2 = (random_function(rng, furthest=20) for _ in range(2))
        dim, distance, _ = _drawn_sizes(rng)
        p, q, _ = claims.random_proxies(rng, dim, distance)
        landscape = Landscape(p, q[None], f1, f2)
        total += claims.reversals(landscape, rng, furthest=FURTHEST)
    return total


def _drawn_sizes(rng: np.random.Generator) -> tuple[int, float, float]:
    """A dimension, a distance of the proxies and a radius."""
    dim = int(rng.integers(DIMS[0], DIMS[1] + 1))
    return dim, float(rng.uniform(0.2, 8)), float(rng.uniform(0.1, 10))


def _same(valleys: Sequence[Valley], expected: Valley) -> bool:
    """Whether there is one valley, which is the expected one."""
    if len(valleys) != 1:
        return False
    ends = [(valleys[0].start, expected.start), (valleys[0].end, expected.end)]
    return all(a == b or abs(a - b) < CLOSE for a, b in ends)


def along_diagonal(landscape: Landscape, places: Floats) -> Floats:
    """How far places [m, 2] lie from the image's proxy, outward; NaN where not straight outward."""
    outward = landscape.proxy / np.linalg.norm(landscape.proxy)
    steps = places - landscape.proxy
    along = steps @ outward
    straight = np.linalg.norm(steps - along[:, None] * outward, axis=1) < CLOSE
    return np.where(straight, along, math.nan)
