"""Agreement of the literature: one method, dataset and metric, as several documents report it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median, stdev
from typing import Any

from harness.audit.claims import Claim
from harness.audit.findings import Finding, Verdict

FAR = 1.0  # an outlier is more than this many points off the median
MADS = 3.0  # and more than this many scaled median absolute deviations


def agreement(claims: Sequence[Claim]) -> list[Finding]:
    """One finding per method, dataset, category, metric, trunk and dim that two documents report.

    A quoted number is no second measurement if another report equals it, rounded to the quote's
    decimals. It is then left out of the spread.
    """
    groups: dict[tuple[Any, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        trunk = claim.trunk.removesuffix("(as grouped)")
        groups[claim.method, *claim.cell, trunk, claim.dim].append(claim)
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
    by_authors = [claim for claim in measured if claim.reported_by == "own"]
    re_runs = [claim for claim in measured if claim.reported_by == "re-run"]
    spread = max(values) - min(values)
    parts = [
        f"{len(group)} reports in {len({c.paper for c in group})} documents, {len(measured)} of "
        f"them distinct: {min(values):g} to {max(values):g}"
    ]
    if len(values) > 2:
        parts.append(f"std {stdev(values):.2f} over the {len(values)} reports")
    parts.append("re-run by " + (_listed(re_runs) if re_runs else "nobody"))
    if by_authors and re_runs:
        gap = median(c.value for c in re_runs) - median(c.value for c in by_authors)
        parts.append(f"the re-runs' median lies {gap:+.2f} from the own reports' median")
    if outliers:
        parts.append("outliers: " + _listed(outliers))
    tuned = sorted({claim.tuned_on for claim in measured})
    if len(tuned) > 1:
        parts.append(f"tuned on {', '.join(tuned)}")
    verdict: Verdict = "suspicious" if outliers or spread > 2 * FAR else "consistent"
    reports = [
        {
            "claim": c.claim_id,
            "paper": c.paper,
            "value": c.value,
            "by": c.reported_by,
            "tuned_on": c.tuned_on,
            "evidence": c.evidence,
        }
        for c in group
    ]
    return Finding(
        check="literature",
        about="group",
        subject=f"{method} {dataset} {category} {metric} {trunk} {dim or 'dim unknown'}",
        paper="; ".join(dict.fromkeys(claim.paper for claim in group)),
        verdict=verdict,
        reason="; ".join(parts),
        numbers={
            "reports": reports,
            "spread": spread,
            "outliers": [claim.claim_id for claim in outliers],
        },
    )


def _listed(claims: Sequence[Claim]) -> str:
    return ", ".join(f"{c.paper.split(':')[0]} {c.table} ({c.value:g})" for c in claims)


def _independent(group: Sequence[Claim]) -> list[Claim]:
    """The group without the quotes that repeat another number, to the quote's decimals."""
    measured = [claim for claim in group if claim.reported_by != "quoted"]
    for claim in group:
        if claim.reported_by == "quoted":
            decimals = len(f"{claim.value:g}".partition(".")[2])
            if all(round(other.value, decimals) != claim.value for other in measured):
                measured.append(claim)
    return measured


def _outliers(claims: Sequence[Claim]) -> list[Claim]:
    if len(claims) < 3:
        return []
    values = [claim.value for claim in claims]
    center = median(values)
    # 1.4826: a normal distribution's standard deviation in median absolute deviations
    scale = 1.4826 * median(abs(value - center) for value in values)
    bound = max(FAR, MADS * scale)
    return [claim for claim in claims if abs(claim.value - center) > bound]
