"""Claims and statements against our own records of the same losses and datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.audit.by_records import (
    Evidence,
    EvidenceKey,
    in_words,
    judge_by_records,
    our_category,
    our_side,
)
from harness.audit.cells import ALPHA, statement_finding
from harness.audit.claims import Claim
from harness.audit.doubts import numbers_of
from harness.audit.findings import Finding, Verdict
from harness.audit.settings import claim_settings, unequal_settings
from harness.audit.statements import Pair, Statement
from harness.measure.intervals import Interval, prediction_p_value, t_interval, welch

# Our runs are never picked on the test classes, and the number of runs enters the interval.
NOT_COMPARED = {"n_runs", "test_epoch"}


def of_claim(claim: Claim, measured: Mapping[EvidenceKey, Evidence]) -> Finding:
    """The claim beside our interval; a claim of one model is compared with our Complete runs.

    supported: not significantly different from ours; contradicted: significantly different although
    all settings are known and equal; not supported: different, but the claim leaves some setting
    open. The test is Welch's, or a prediction interval of ours if the claim has no spread.
    """
    category = our_category(claim.category)
    evidence = measured.get((claim.method, claim.dataset, category, claim.score))
    if evidence is None or len(evidence.values) < 2:
        what = "no records" if evidence is None else "only one repeat"
        reason = f"{what} of {claim.method} on {claim.dataset}, {category}, {claim.metric}"
        return _claim_finding(claim, evidence, verdict="no evidence", reason=reason)
    ours = t_interval(evidence.values)
    stated = {k: v for k, v in claim_settings(claim).items() if k not in NOT_COMPARED}
    unequal = unequal_settings(stated, evidence.settings)
    reason = (
        f"claimed {claim.printed}, ours {ours.mean:.2f} ± {ours.half_width:.2f} ({ours.describe()})"
    )
    if unequal:
        reason += f"; unequal: {in_words(unequal)}"
        return _claim_finding(claim, evidence, ours, verdict="not comparable", reason=reason)
    if claim.interval:
        test = welch(claim.interval, ours)
        p_value, gap = test.p_value, test.mean
    else:
        gap = claim.value - ours.mean
        p_value = prediction_p_value(claim.value, ours)
    unstated = sorted(set(evidence.settings) - set(stated) - {"extra_components"})
    if p_value is None:
        reason += f"; claimed minus measured {gap:+.2f}, without any spread: no test"
        return _claim_finding(claim, evidence, ours, verdict="no evidence", reason=reason)
    reason += f"; claimed minus measured {gap:+.2f}, p = {p_value:.3g}"
    reason += f"; the claim does not state {', '.join(unstated)}" if unstated else ""
    verdict: Verdict = "not supported" if unstated else "contradicted"
    if p_value > ALPHA:
        verdict = "supported"
    return _claim_finding(claim, evidence, ours, verdict=verdict, reason=reason)


def _claim_finding(
    claim: Claim,
    evidence: Evidence | None,
    ours: Interval | None = None,
    *,
    verdict: Verdict,
    reason: str,
) -> Finding:
    numbers = {**numbers_of(claim, []), "claimed": claim.value}
    if ours:
        numbers |= {"measured": ours.mean, "half_width": ours.half_width, "n": ours.n}
    return Finding(
        check="our evidence",
        about="claim",
        subject=claim.claim_id,
        paper=claim.paper,
        verdict=verdict,
        reason=reason,
        numbers=numbers,
        records=tuple(evidence.records) if evidence else (),
    )


def of_statement(
    statement: Statement, pairs: Sequence[Pair], measured: Mapping[EvidenceKey, Evidence]
) -> Finding:
    """The statement judged by our repeats: paired where they share seeds, Holm over its cells.

    For converges_faster the values are steps to a threshold, compared on the log scale.
    """
    # several printed pairs of the same losses are one pair of ours
    our_pairs = list(dict.fromkeys((our_side(a), our_side(b)) for a, b in pairs))
    claimed: dict[Pair, float] = {}
    for a, b in pairs:
        if a.claim and b.claim:
            claimed.setdefault((our_side(a), our_side(b)), a.claim.value - b.claim.value)
    judged = judge_by_records(statement, our_pairs, measured, claimed)
    return statement_finding(
        statement,
        judged.cells,
        check="our evidence",
        verdict=judged.verdict,
        reason=judged.reason,
        records=judged.records,
    )
