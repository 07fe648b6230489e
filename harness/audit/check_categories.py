"""Aggregate, Ensemble and Complete of one loss against one another."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from harness.audit.check_spreads import FAR, NEIGHBOURS
from harness.audit.claims import ROUNDING, UNTRAINED, Claim
from harness.audit.doubts import Doubt

MEMBERS = ("aggregate", "single")  # the categories whose numbers are those of an ensemble's members


def ensembles(claims: Sequence[Claim]) -> Iterator[Doubt]:
    """Ensembles below every number of their members: the fold models of Aggregate, or singles."""
    groups: dict[tuple[object, ...], dict[str, list[Claim]]] = defaultdict(dict)
    for claim in claims:
        if claim.method not in UNTRAINED:
            key = (claim.paper, claim.table, claim.method, claim.dataset, claim.metric, claim.trunk)
            groups[key].setdefault(claim.category, []).append(claim)
    for group in groups.values():
        members = [claim for category in MEMBERS for claim in group.get(category, [])]
        values = [value for claim in members for value in (claim.runs or (claim.value,))]
        for ensemble in group.get("ensemble", []):
            if values and ensemble.value < min(values) - ROUNDING:
                reason = f"Ensemble {ensemble.value:g} lies below "
                reason += _members(members, values)
                reason += ": an ensemble is hardly ever worse, so rows or columns may be permuted"
                yield Doubt(ensemble.claim_id, "ensemble_below_members", reason)


def _members(members: Sequence[Claim], values: Sequence[float]) -> str:
    if len(values) == 1:
        mean_of = (
            "the mean of its members " if members[0].category == "aggregate" else "its member "
        )
        return f"{mean_of}({members[0].category} {values[0]:g})"
    return f"each of its members ({min(values):g} to {max(values):g})"


def collapses(claims: Sequence[Claim]) -> Iterator[Doubt]:
    """Complete results below the same loss's Aggregate while the rest of the table gains."""
    tables: dict[tuple[str, ...], dict[str, dict[str, Claim]]] = defaultdict(dict)
    for claim in claims:
        if claim.category in ("complete", "aggregate"):
            table = tables[claim.paper, claim.table, claim.dataset, claim.metric]
            table.setdefault(claim.method, {})[claim.category] = claim
    for table in tables.values():
        rows = {method: row for method, row in table.items() if len(row) == 2}
        gains = {
            method: row["complete"].value / row["aggregate"].value
            for method, row in rows.items()
            if row["aggregate"].value > 0
        }
        all_lose = len(gains) > NEIGHBOURS and max(gains.values()) < 1
        for method, gain in gains.items():
            others = [other_gain for other, other_gain in gains.items() if other != method]
            complete, aggregate = rows[method]["complete"], rows[method]["aggregate"]
            if all_lose:
                reason = f"Complete {complete.value:g} lies below Aggregate {aggregate.value:g}, "
                reason += f"as for all {len(gains)} losses of the table: permuted columns?"
                yield Doubt(complete.claim_id, "collapse", reason)
            elif gain < 1 and len(others) >= NEIGHBOURS and median(others) > 1:
                yield Doubt(complete.claim_id, "collapse", _collapse(complete, aggregate, others))


def _collapse(complete: Claim, aggregate: Claim, other_gains: Sequence[float]) -> str:
    """The reason in words.

    A spread much wider than the Aggregate's is read as two levels of runs (`two_levels`), any other
    as a training that fails every time.
    """
    gaining = sum(gain > 1 for gain in other_gains)
    reason = (
        f"Complete {complete.value:g} lies below its own Aggregate {aggregate.value:g}, while "
        f"{gaining} of {len(other_gains)} other losses gain (median x{median(other_gains):.2f})"
    )
    interval = complete.interval
    if interval is None:
        return reason
    if interval.half_width <= FAR * (aggregate.spread or math.inf):
        return reason + f"; ± {interval.half_width:g} is no wider than usual: every run collapsed"
    healthy = aggregate.value * median(other_gains)
    m, high, low = two_levels(complete.value, interval.std, n=interval.n, healthy=healthy)
    return reason + (
        f"; with std {interval.std:.1f} over {interval.n} runs it reads as a mean over some "
        f"failed runs, such as {m} of {interval.n} near {low:.0f} and the rest near {high:.0f}"
    )


def two_levels(mean: float, std: float, *, n: int, healthy: float) -> tuple[int, float, float]:
    """(m, high, low): m of n runs at `low` and the rest at `high` with this mean and std (ddof 1).

    Every m from 1 to n - 1 has one such pair. Returned is the one whose `high` is nearest to
    `healthy`, among those with low >= 0 if there are any.
    """
    fits = []
    for m in range(1, n):
        distance = std * math.sqrt(n * (n - 1) / (m * (n - m)))
        high = mean + distance * m / n
        low = high - distance
        fits.append((low < -ROUNDING, abs(high - healthy), m, high, low))
    _, _, m, high, low = min(fits)
    return m, high, low
