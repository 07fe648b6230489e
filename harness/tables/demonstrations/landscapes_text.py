"""The study `landscapes` as text and data: a row a landscape, the claims as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.measure.landscape_claims import OffLine
from harness.measure.landscapes import CLOSE, Landscape, Minima, Valley
from harness.tables import markup, statement
from harness.tables.demonstrations.landscapes import (
    DIMS,
    FURTHEST,
    Case,
    Numbers,
    along_diagonal,
)
from harness.tables.statement import Statement, Verdict

HEAD = (
    "landscape",
    "f1",
    "f2",
    "minimum in the paper",
    "by the order of derivatives",
    "by searches",
    "agrees",
)


def text(numbers: Numbers, made_by: str, form: str) -> str:
    """The page in one of markup.FORMATS; `made_by` names the code."""
    return markup.FORMATS[form](HEAD, _body(numbers), caption(numbers, made_by))


def caption(numbers: Numbers, made_by: str) -> str:
    """What the columns are, the sentences with their rules, and what the paper does not say."""
    lines = [
        "landscapes: where the loss of one image is lowest while the proxies stand still. Nothing "
        "is trained. t: distance outward from the image's proxy, away from the other one. Minima "
        "by the order of the derivatives are where f1'(t) - f2'(D + t) turns from negative to "
        f"positive, for t up to {FURTHEST:g}; minima by search are the ends of {numbers.starts} "
        "Nelder-Mead searches of the plane, which know no derivative. fled: went further out than "
        "that. warp(alpha, k1, k2): slope k1 below alpha, k2 from there on.",
        *statement.lines(statements(numbers)),
        _off_line(numbers.off_line),
        "Behind the other proxy: for t^0.5 the height falls outward there too, towards 0, so that "
        "searches which begin there flee. That is no minimum, but no way to the proxy either.",
        _many_classes(numbers),
        f"Seed {numbers.seed}. {made_by}",
    ]
    return "\n".join(lines)


def _off_line(example: OffLine | None) -> str:
    """The minimum off the line, by its numbers."""
    if example is None:
        return "No minimum off the line was found."
    x, y = example.place
    return (
        f"A minimum off the line: f(t) = t + {example.amplitude:.4f} "
        f"sin({example.frequency:.4f} t), the image's proxy at ({example.distance:.4f}, 0), the "
        f"other at (0, 0): height {example.height:.4f} at ({x:.4f}, {y:.4f}), where the slope is "
        f"0 and the smallest curvature {example.curvature:.3f}; found by random search "
        f"{example.tries}."
    )


def _many_classes(numbers: Numbers) -> str:
    """What becomes of the warp's minimum with more than two classes."""
    slopes = ", ".join(f"{slope:.3f} for {n}" for n, slope in numbers.slopes.items())
    four = "; ".join(
        f"{name}: {_four_places(landscape, minima, numbers.starts)}"
        for name, landscape, minima in numbers.four
    )
    checked = "as steps from the proxy show" if numbers.slopes_hold else "WHICH STEPS CONTRADICT"
    return (
        "More than two classes, which the paper only draws: other proxies push in unlike "
        "directions, so that together they push less than the image's own proxy pulls. With C "
        "proxies all equally far from each other and f2(t) = t, the proxy itself stays a minimum "
        f"unless k1 is below sqrt(C / (2 (C - 1))), {checked}: {slopes} classes. The authors' "
        "first k1 are 0.93, 0.86 and 0.80 (losses/warped.py). Ends of searches among four proxies "
        f"on a square: {four}."
    )


def as_data(numbers: Numbers, made_by: str) -> dict[str, Any]:
    """The page for --json."""
    return {
        "study": "landscapes",
        "rows": [dict(zip(HEAD, row, strict=True)) for row in _body(numbers)],
        "statements": statement.as_data(statements(numbers)),
        "caption": caption(numbers, made_by),
    }


def statements(numbers: Numbers) -> list[Statement]:
    """The paper's findings beside ours."""
    n, turns = numbers.functions, numbers.reversals
    warped = [case for case in numbers.cases if case.name.startswith("warp")]
    return [
        Statement(
            "Lemma III.1: if and only if f never decreases, the points of a circle around the "
            "other proxy that are nearest to and furthest from the image's are its minimum and "
            "maximum",
            f"{numbers.keep_lemma} of {n} random increasing functions keep it on a random sphere "
            f"in {DIMS[0]} to {DIMS[1]} dimensions, {numbers.break_lemma} of {n} that decrease "
            "somewhere break it on a sphere made from where they do",
            _all(numbers.keep_lemma == n, numbers.break_lemma == n, numbers.off_line is not None),
            "agrees if all do and a minimum off the line is found for a function that decreases",
        ),
        Statement(
            "Proposition III.2: a minimum is where the order of the derivatives is reversed",
            f"around {turns.lowest} of {turns.reversals} reversals in landscapes of random "
            "increasing functions it is uphill in every direction, and "
            f"{turns.predicted} of the {turns.ended} searches from random places that ended did "
            f"so where the order says ({turns.fled} fled)",
            _all(turns.lowest == turns.reversals > 0, turns.predicted == turns.ended > 0),
            "agrees if all do",
        ),
        Statement(
            "Fig. 3: the plain softmax has a plateau outward from the proxy, a convex function its "
            "minimum at infinity, a concave one at the proxy; half-warps push everywhere one way",
            f"{_count(numbers.cases)} of {len(numbers.cases)} landscapes have the minimum of the "
            "table by order and by search",
            _all(*(case.agrees for case in numbers.cases)),
            "agrees if all have",
        ),
        Statement(
            "the warp puts one minimum at alpha",
            f"by order at {_places(warped[0].valleys)}, by search at "
            f"{_searched(warped[0])}, alpha = {numbers.alpha:g}",
            _all(*(case.agrees for case in warped)),
            "agrees if both give alpha and nothing else",
        ),
    ]


def _all(*facts: bool) -> Verdict:
    return "agrees" if all(facts) else "disagrees"


def _count(cases: Sequence[Case]) -> int:
    return sum(case.agrees for case in cases)


def _body(numbers: Numbers) -> list[list[str]]:
    return [
        [
            case.name,
            case.landscape.f1.name,
            case.landscape.f2.name,
            case.paper,
            _places(case.valleys),
            _searched(case),
            "yes" if case.agrees else "NO",
        ]
        for case in numbers.cases
    ]


def _places(valleys: Sequence[Valley]) -> str:
    return ", ".join(_place(valley) for valley in valleys) or "none"


def _place(valley: Valley) -> str:
    if math.isinf(valley.start):
        return "at infinity"
    if math.isinf(valley.end):
        return f"all t from {valley.start:.4g} on"
    same = valley.start == valley.end
    return f"t = {valley.end:.4g}" if same else f"all t from {valley.start:.4g} to {valley.end:.4g}"


def _searched(case: Case) -> str:
    """Where the searches of a landscape of two proxies ended, as t, or off the line."""
    places = case.minima.places
    along = np.sort(places[:, 0] - case.landscape.proxy[0])
    parts = []
    if len(along):
        low, high = along[0] + 0.0, along[-1] + 0.0
        parts.append(f"t = {low:.3f}" if high - low < CLOSE else f"t from {low:.3f} to {high:.3f}")
        if np.abs(places[:, 1]).max() > CLOSE:
            parts.append("OFF THE LINE")
    if case.minima.fled:
        parts.append(f"{case.minima.fled} fled")
    return ", ".join(parts).replace("-0.000", "0.000")


def _four_places(landscape: Landscape, minima: Minima, starts: int) -> str:
    """Where the searches among four proxies ended, as t outward on the diagonal."""
    parts = []
    along = along_diagonal(landscape, minima.places).tolist()
    for (x, y), t in zip(minima.places.tolist(), along, strict=True):
        if math.isnan(t):
            parts.append(f"({x:.3f}, {y:.3f})")
        else:
            parts.append("the proxy" if abs(t) < CLOSE else f"{t:.3f} outward from the proxy")
    if minima.fled:
        parts.append(f"{minima.fled} of {starts} fled")
    return ", ".join(parts)
