"""Agreement of the literature: one method, dataset and metric, as several documents report it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median, stdev
from typing import Any

from harness.audit.claims import Claim
from harness.audit.findings import Finding, Verdict

FAR = 1.0  # points off the median from which a report can be an outlier
MADS = 3.0  # scaled median absolute deviations that it must be off besides


def agreement(claims: Sequence[Claim]) -> list[Finding]:
    """One finding per method, dataset, category, metric, trunk and dim that two documents report.

    A quoted number equal to one reported by its own authors (to the quote's decimals) is no second
    measurement and is left out of the spread.
    """
    groups: dict[tuple[Any, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        trunk = claim.trunk.removesuffix("(as grouped)")
        groups[(claim.method, *claim.cell, trunk, claim.dim)].append(claim)
    return [
        _finding(key, group)
        for key, group in groups.items()
        if len({claim.paper for claim in group}) > 1
    ]


def _finding(key: tuple[Any, ...], group: Sequence[Claim]) -> Finding:
    method, dataset, category, metric, trunk, dim = key
    measured = _independent(group)
    values = [claim.value for claim in measured]
    outliers = _outliers(measured)
    own = [claim for claim in measured if claim.reported_by == "own"]
    again = [claim for claim in measured if claim.reported_by == "re-run"]
    spread = max(values) - min(values)
    parts = [
        f"{len(group)} reports in {len({c.paper for c in group})} documents, {len(measured)} of "
        f"them distinct: {min(values):g} to {max(values):g}"
    ]
    if len(values) > 2:
        parts.append(f"std {stdev(values):.2f} over the {len(values)} reports")
    parts.append("re-run by " + (_named(again) if again else "nobody"))
    if own and again:
        gap = median(c.value for c in again) - median(c.value for c in own)
        parts.append(f"the re-runs' median lies {gap:+.2f} from the own reports' median")
    if outliers:
        parts.append("outliers: " + _named(outliers))
    tuned = sorted({claim.tuned_on for claim in measured})
    if len(tuned) > 1:
        parts.append(f"tuned on {', '.join(tuned)}")
    verdict: Verdict = "suspicious" if outliers or spread > 2 * FAR else "consistent"
    place = f"{method} {dataset} {category} {metric} {trunk} {dim or 'dim unknown'}"
    return Finding(
        check="literature", about="group", subject=place,
        paper="; ".join(dict.fromkeys(claim.paper for claim in group)),
        verdict=verdict, reason="; ".join(parts),
        numbers={
            "reports": [
                {"claim": c.claim_id, "paper": c.paper, "value": c.value, "by": c.reported_by,
                 "tuned_on": c.tuned_on, "evidence": c.evidence}
                for c in group
            ],
            "spread": spread, "outliers": [c.claim_id for c in outliers],
        },
    )  # fmt: skip


def _named(claims: Sequence[Claim]) -> str:
    return ", ".join(f"{c.paper.split(':')[0]} {c.table} ({c.value:g})" for c in claims)


def _independent(group: Sequence[Claim]) -> list[Claim]:
    """The group without quotes that repeat another number to their own decimals."""
    kept: list[Claim] = [c for c in group if c.reported_by != "quoted"]
    for claim in group:
        if claim.reported_by == "quoted":
            decimals = len(f"{claim.value:g}".partition(".")[2])
            if all(round(other.value, decimals) != claim.value for other in kept):
                kept.append(claim)
    return kept


def _outliers(claims: Sequence[Claim]) -> list[Claim]:
    if len(claims) < 3:
        return []
    values = [claim.value for claim in claims]
    middle = median(values)
    scale = 1.4826 * median(abs(value - middle) for value in values)
    bound = max(FAR, MADS * scale)
    return [claim for claim in claims if abs(claim.value - middle) > bound]
