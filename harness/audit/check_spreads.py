"""Printed spreads: which cannot be, and which are far from those beside them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from harness.audit.claims import ROUNDING, UNBOUNDED, Claim, half_digit
from harness.audit.doubts import Doubt

FAR = 4.0  # a spread is odd from FAR times its neighbours' median on, or at 1 / FAR of it and less
NEIGHBOURS = 3  # a number is compared with others only if there are at least this many
OF_RUNS = ("std", "ci95")  # the kinds of spread that are over runs


def of_claim(claim: Claim) -> Iterator[Doubt]:
    """A spread that one run, equal runs or runs between 0 and 100 % cannot have."""
    if claim.spread is None or claim.spread_kind not in OF_RUNS:
        return
    if claim.n_runs == 1:
        reason = f"± {claim.spread:g} is printed with n = 1, and one run has no spread"
        yield Doubt(claim.claim_id, "one_run", reason, certain=True)
    elif claim.spread == 0:
        reason = "± 0: trainings never agree exactly; a single run, or a spread rounded away"
        yield Doubt(claim.claim_id, "zero_spread", reason)
    elif claim.metric not in UNBOUNDED:
        yield from _impossible(claim, claim.spread)


def _impossible(claim: Claim, spread: float) -> Iterator[Doubt]:
    """Runs between 0 and 100 % vary most if each is 0 or 100 %."""
    n = claim.n_runs or 2  # two runs allow the largest std of a mean
    if claim.interval is not None:
        std = claim.interval.std * (1 - half_digit(spread) / spread)
    elif claim.spread_kind == "std":
        std = spread - half_digit(spread)
    else:
        return
    value = min(100.0, max(0.0, claim.value))
    rounded = half_digit(claim.value)
    nearest_half = min(max(50.0, value - rounded), value + rounded)
    largest = math.sqrt(nearest_half * (100 - nearest_half) * n / (n - 1))
    if std > largest + ROUNDING:
        reason = f"runs between 0 and 100 % with the mean {claim.value:g} have a std of at most "
        reason += f"{largest:.1f}, but ± {spread:g} means {std:.1f}"
        yield Doubt(claim.claim_id, "impossible_spread", reason, certain=True)


def of_columns(claims: Sequence[Claim]) -> Iterator[Doubt]:
    """Spreads far from the others of the same kind in their column."""
    columns: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.spread:
            columns[claim.paper, claim.table, *claim.cell, claim.spread_kind].append(claim)
    for column in columns.values():
        for claim in column:
            neighbours = [other.spread or 0.0 for other in column if other is not claim]
            if len(neighbours) < NEIGHBOURS:
                continue
            typical = median(neighbours)
            ratio = (claim.spread or 0.0) / typical
            if ratio >= FAR or ratio <= 1 / FAR:
                size = f"{ratio:.0f} times" if ratio > 1 else f"1/{1 / ratio:.0f} of"
                reason = (
                    f"± {claim.spread:g} is {size} the median ± {typical:g} of its "
                    f"{len(neighbours)} neighbours in the column (flagged from {FAR:g} times on)"
                )
                yield Doubt(claim.claim_id, "unusual_spread", reason)
