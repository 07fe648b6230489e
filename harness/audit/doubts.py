"""Doubts: what a check holds against one printed number, and the kinds of faults there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.audit.claims import Claim
from harness.audit.findings import Check, Finding, Verdict

# Name of a fault -> what is wrong. The names stand in the findings' `numbers`, under `faults`.
FAULTS: Mapping[str, str] = {
    # the row of one method on one dataset
    "metric_order": "a metric exceeds one that it cannot, or that it hardly ever does",
    "unequal_twins": "two names of one metric have two values",
    "granularity": "no whole number of queries gives the percentage",
    # the runs that are printed
    "runs_count": "n differs from the number of runs that are listed",
    "runs_mean": "the value is not the mean of the runs",
    "runs_spread": "the spread fits neither the standard deviation nor the interval of the runs",
    "spread_kind": "the spread is of another kind than it is called",
    "equal_runs": "all runs are equal",
    "copied_runs": "two numbers have the same list of runs",
    # the spread
    "one_run": "a spread of a single run",
    "zero_spread": "a spread of exactly zero",
    "impossible_spread": "no runs between 0 and 100 % have this mean and this spread",
    "unusual_spread": "a spread far from those of its column",
    # the rows of one document
    "collapse": "Complete below Aggregate",
    "ensemble_below_members": "an ensemble below each of its members",
    "printed_twice": "two places of a document print unequal numbers for the same",
    "copied_row": "two rows have the same numbers",
    # other documents
    "differs_from_published": "results/published holds another number for the same claim",
    "beyond_range": "far above everything that is printed for the dataset",
    "slipped_point": "far below everything printed, but ten times the value would fit",
    "unusual_step": "two metrics of a row stand in a relation that no other row shows",
    "swapped_datasets": "the numbers fit another dataset far better",
    "outlier": "the other reports agree with one another, and this one differs",
}


@dataclass(frozen=True)
class Doubt:
    """A fault of one claim, and the reason in words.

    certain: it cannot be as printed, so the claim is contradicted; otherwise it is suspicious.
    """

    claim_id: str
    fault: str  # a key of FAULTS
    reason: str
    certain: bool = False

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"no fault {self.fault!r}: known are {', '.join(FAULTS)}")


def findings_of_doubts(
    claims: Sequence[Claim], doubts: Iterable[Doubt], *, check: Check, no_doubt: str
) -> list[Finding]:
    """One finding per claim: contradicted or suspicious by its doubts, or else consistent."""
    by_claim: dict[str, list[Doubt]] = defaultdict(list)
    for doubt in doubts:
        by_claim[doubt.claim_id].append(doubt)
    return [_finding(claim, by_claim[claim.claim_id], check, no_doubt) for claim in claims]


def _finding(claim: Claim, doubts: Sequence[Doubt], check: Check, no_doubt: str) -> Finding:
    errors = [doubt.reason for doubt in doubts if doubt.certain]
    oddities = [doubt.reason for doubt in doubts if not doubt.certain]
    reasons = list(dict.fromkeys(errors + oddities))
    verdict: Verdict = "contradicted" if errors else "suspicious" if oddities else "consistent"
    return Finding(
        check=check,
        about="claim",
        subject=claim.claim_id,
        paper=claim.paper,
        verdict=verdict,
        reason=f"{claim.printed}: " + ("; ".join(reasons) or no_doubt),
        numbers=numbers_of(claim, list(dict.fromkeys(doubt.fault for doubt in doubts))),
    )


def numbers_of(claim: Claim, faults: Sequence[str]) -> dict[str, Any]:
    """The claim as data, with the names of its faults."""
    return {
        "value": claim.value,
        "spread": claim.spread,
        "n_runs": claim.n_runs,
        "faults": list(faults),
        "method": claim.method,
        "dataset": claim.dataset,
        "category": claim.category,
        "metric": claim.metric,
        "table": claim.table,
        "line": claim.line,
    }
