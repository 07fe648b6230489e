"""Agreement of the literature: one method, dataset and metric, as several documents report it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median, stdev
from typing import Any, NamedTuple

from harness.audit.claims import Claim, decimals
from harness.audit.doubts import numbers_of
from harness.audit.findings import Finding, Verdict

FAR = 1.0  # an outlier is more than this many points off the median of the other reports
MADS = 3.0  # and more than this many scaled median absolute deviations of theirs
SCALE = 1.4826  # a normal distribution's standard deviation in median absolute deviations
Group = tuple[Any, ...]  # method, dataset, category, metric, trunk, dim


class Outlier(NamedTuple):
    """A report that stands alone, and why it is that one which is in doubt."""

    claim: Claim
    reason: str


def agreement(claims: Sequence[Claim]) -> list[Finding]:
    """A finding per method, dataset, category, metric, trunk and dim that two documents report.

    It is followed by one per outlier: a report that differs from others which agree. Where reports
    disagree and none stands alone, the group is disputed, and no claim is in doubt. A quoted number
    is no second measurement if another report equals it, rounded to the quote's decimals.
    """
    groups: dict[Group, list[Claim]] = defaultdict(list)
    for claim in claims:
        trunk = claim.trunk.removesuffix("(as grouped)")
        groups[claim.method, *claim.cell, trunk, claim.dim].append(claim)
    findings = []
    for key, group in groups.items():
        if len({claim.paper for claim in group}) > 1:
            measured = _independent(group)
            outliers = _outliers(measured) if _settings_known(key) else []
            findings.append(_of_group(key, group, measured, outliers=outliers))
            findings += [_of_outlier(outlier) for outlier in outliers]
    return findings


def _settings_known(key: Group) -> bool:
    *_, trunk, dim = key
    return dim is not None and not str(trunk).startswith(("unknown", "unspecified"))


def _of_group(
    key: Group, group: Sequence[Claim], measured: Sequence[Claim], *, outliers: Sequence[Outlier]
) -> Finding:
    method, dataset, category, metric, trunk, dim = key
    values = [claim.value for claim in measured]
    alone = [outlier.claim for outlier in outliers]
    agreeing = [claim.value for claim in measured if claim not in alone]
    parts = [
        f"{len(group)} reports in {len({c.paper for c in group})} documents, {len(measured)} of "
        f"them distinct: {min(values):g} to {max(values):g}"
    ]
    if len(values) > 2:
        parts.append(f"std {stdev(values):.2f} over the {len(values)} reports")
    parts += _re_runs_in_words(measured)
    if alone:
        parts.append("outliers: " + _listed(alone))
    tuned = sorted({claim.tuned_on for claim in measured})
    if len(tuned) > 1:
        parts.append(f"tuned on {', '.join(tuned)}")
    verdict: Verdict = "consistent"
    if max(agreeing) - min(agreeing) > 2 * FAR:
        verdict = "disputed" if _settings_known(key) else "not comparable"
        parts.append(
            f"more than {2 * FAR:g} points apart, and nothing tells which of them is wrong"
            if verdict == "disputed"
            else "trunk or dim is not stated, so the numbers need not agree"
        )
    return Finding(
        check="literature",
        about="group",
        subject=f"{method} {dataset} {category} {metric} {trunk} {dim or 'dim unknown'}",
        paper="; ".join(dict.fromkeys(claim.paper for claim in group)),
        verdict=verdict,
        reason="; ".join(parts),
        numbers={
            "reports": [_report(claim) for claim in group],
            "spread": max(values) - min(values),
            "outliers": [claim.claim_id for claim in alone],
        },
    )


def _report(claim: Claim) -> dict[str, str | float]:
    return {
        "claim": claim.claim_id,
        "paper": claim.paper,
        "value": claim.value,
        "by": claim.reported_by,
        "tuned_on": claim.tuned_on,
        "evidence": claim.evidence,
    }


def _re_runs_in_words(measured: Sequence[Claim]) -> list[str]:
    by_authors = [claim for claim in measured if claim.reported_by == "own"]
    re_runs = [claim for claim in measured if claim.reported_by == "re-run"]
    parts = ["re-run by " + (_listed(re_runs) if re_runs else "nobody")]
    if by_authors and re_runs:
        gap = median(c.value for c in re_runs) - median(c.value for c in by_authors)
        parts.append(f"the re-runs' median lies {gap:+.2f} from the own reports' median")
    return parts


def _of_outlier(outlier: Outlier) -> Finding:
    claim = outlier.claim
    return Finding(
        check="literature",
        about="claim",
        subject=claim.claim_id,
        paper=claim.paper,
        verdict="suspicious",
        reason=f"{claim.printed}: {outlier.reason}",
        numbers=numbers_of(claim, ["outlier"]),
    )


def _listed(claims: Sequence[Claim]) -> str:
    return ", ".join(
        f"{c.paper.split(':')[0]} {c.table}".rstrip() + f" ({c.value:g})" for c in claims
    )


def _independent(group: Sequence[Claim]) -> list[Claim]:
    """The group without the quotes that repeat another number, to the quote's decimals."""
    measured = [claim for claim in group if claim.reported_by != "quoted"]
    for claim in group:
        if claim.reported_by == "quoted":
            shown = max(decimals(claim.value), 1)
            if all(round(other.value, shown) != claim.value for other in measured):
                measured.append(claim)
    return measured


def _outliers(measured: Sequence[Claim]) -> list[Outlier]:
    """The reports that differ from others which agree, and quotes that no report gives."""
    center = median(claim.value for claim in measured)
    deviation = SCALE * median(abs(claim.value - center) for claim in measured)
    outliers = []
    for claim in measured:
        others = [other for other in measured if other is not claim]
        gap = claim.value - median(other.value for other in others) if others else 0.0
        reason = f"{gap:+.2f} points from {_listed(others)}"
        if _transposed(claim.value, [other.value for other in others]):
            reason += "; it has the same digits, two of them changed over"
        if len(others) > 1 and abs(claim.value - center) > max(FAR, MADS * deviation):
            outliers.append(Outlier(claim, reason))
        elif claim.reported_by == "quoted" and _is_source(others) and abs(gap) > FAR:
            outliers.append(Outlier(claim, f"quoted, but {reason}, where it was printed first"))
    return outliers


def _is_source(others: Sequence[Claim]) -> bool:
    """Whether the one other report is its authors', which a quote must repeat."""
    return len(others) == 1 and others[0].reported_by == "own"


def _transposed(value: float, others: Sequence[float]) -> bool:
    """Whether two neighbouring digits of `value`, changed over, give one of the others."""
    digits = f"{value:g}"
    for i in range(len(digits) - 1):
        first, second = digits[i], digits[i + 1]
        if "." not in (first, second) and first != second:
            changed = digits[:i] + second + first + digits[i + 2 :]
            if any(changed == f"{other:g}" for other in others):
                return True
    return False
