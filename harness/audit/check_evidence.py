"""Claims and statements against our own records of the same losses and datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.audit.cells import (
    ALPHA,
    Cell,
    cells_after_holm,
    judge,
    statement_finding,
)
from harness.audit.claims import Claim, score_name
from harness.audit.doubts import numbers_of
from harness.audit.findings import Finding, Verdict
from harness.audit.settings import UnequalSettings, claim_settings, unequal_settings
from harness.audit.statements import STEPS, Pair, Side, Statement
from harness.measure import convergence
from harness.measure.intervals import (
    Difference,
    Interval,
    paired_difference,
    prediction_p_value,
    t_interval,
    welch,
)

NAMED = 8  # a reason names at most this many cells or methods
CATEGORY_OF_SINGLE = "complete"  # papers train a single model on the whole trainval half
# Our runs are never picked on the test classes, and the number of runs enters the interval.
NOT_COMPARED = {"n_runs", "test_epoch"}


class Evidence(NamedTuple):
    """Our measurement of one loss, dataset, category and metric.

    values: one per repeat, in percent, as the claims. records: ids of the records behind them.
    settings: see `settings.study_settings`. repeats: the numbers of the repeats, by which two
    losses pair up; without them differences are unpaired. curves: those of the repeats, for
    `steps_to_threshold`, whose values depend on both losses of a pair.
    """

    values: Sequence[float]
    records: Sequence[str]
    settings: Mapping[str, str]
    repeats: Sequence[int] | None = None
    curves: convergence.Repeats | None = None


EvidenceKey = tuple[
    str, str, str, str
]  # loss, dataset, category, score name (map_at_r, recall_at_1, ...)
EvidencePair = tuple[Evidence | None, Evidence | None]  # A's, B's


def of_claim(claim: Claim, measured: Mapping[EvidenceKey, Evidence]) -> Finding:
    """The claim beside our interval; a claim of one model is compared with our Complete runs.

    supported: not significantly different from ours; contradicted: significantly different although
    all settings are known and equal; not supported: different, but the claim leaves some setting
    open. The test is Welch's, or a prediction interval of ours if the claim has no spread.
    """
    category = _our_category(claim.category)
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
        reason += f"; unequal: {_in_words(unequal)}"
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


def _our_category(category: str) -> str:
    return CATEGORY_OF_SINGLE if category == "single" else category


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
    our_pairs = list(dict.fromkeys((_our_side(a), _our_side(b)) for a, b in pairs))
    our_pairs = [(a, b) for a, b in our_pairs if a != b]
    evidence = [_with_steps(measured.get(_key(a)), measured.get(_key(b))) for a, b in our_pairs]
    tests: list[Difference | None] = []
    mismatched: UnequalSettings = {}
    by = math.log(statement.factor) if statement.factor else statement.by
    for left, right in evidence:
        unequal = _unintended(statement, left, right)
        mismatched |= unequal
        tests.append(None if unequal else _difference(statement, left, right, by=by))
    cells = cells_after_holm(our_pairs, tests, by)
    used = [pair for pair, test in zip(evidence, tests, strict=True) if test]
    used_evidence = [side for pair in used for side in pair if side]
    verdict = judge(statement, cells)
    records: tuple[str, ...] = ()
    if verdict != "no evidence":
        reason = _reason(statement, pairs, cells, tests=tests)
        if any(side.curves for side in used_evidence):
            reason += f"; {convergence.caption()}"
        ids = [record for side in used_evidence for record in side.records]
        records = tuple(dict.fromkeys(ids))
    elif any(tests):
        reason = "our repeats differ by the same amount each time: without any spread, no test"
    elif mismatched:
        verdict, reason = "not comparable", f"our records differ in {_in_words(mismatched)}"
    else:
        names = sorted({side.method for pair in our_pairs for side in pair})
        reason = f"no records of both sides; needed are repeats of {', '.join(names[:NAMED])}"
    return statement_finding(
        statement, cells, check="our evidence", verdict=verdict, reason=reason, records=records
    )


def _our_side(side: Side) -> Side:
    return Side(side.method, side.dataset, _our_category(side.category), side.metric)


def _key(side: Side) -> EvidenceKey:
    metric = side.metric if side.metric == STEPS else score_name(side.metric)
    return side.method, side.dataset, side.category, metric


def _with_steps(left: Evidence | None, right: Evidence | None) -> EvidencePair:
    """Both sides, with the steps to the threshold that they share if both have curves."""
    if not left or not right or not left.curves or not right.curves:
        return left, right
    a, b = convergence.steps_to_shared_threshold(left.curves, right.curves)
    return left._replace(values=a), right._replace(values=b)


def _unintended(
    statement: Statement, left: Evidence | None, right: Evidence | None
) -> UnequalSettings:
    """The unequal settings of two sides that the statement does not compare on purpose."""
    if not left or not right:
        return {}
    intended = {"dim", "tuned_on"} if "category" not in statement.pair_by else set()
    unequal = unequal_settings(left.settings, right.settings)
    return {name: values for name, values in unequal.items() if name not in intended}


def _difference(
    statement: Statement, left: Evidence | None, right: Evidence | None, *, by: float
) -> Difference | None:
    """A - B - `by`; of minus logarithms where fewer steps are better."""
    if not left or not right or min(len(left.values), len(right.values)) < 2:
        return None

    def scaled(values: Sequence[float]) -> list[float]:
        return [-math.log(v) for v in values] if statement.factor else list(values)

    a, b = [value - by for value in scaled(left.values)], scaled(right.values)
    if left.repeats is not None and right.repeats is not None:
        of_a = dict(zip(left.repeats, a, strict=True))
        of_b = dict(zip(right.repeats, b, strict=True))
        shared = sorted(of_a.keys() & of_b.keys())
        if len(shared) > 1:
            return paired_difference([of_a[r] for r in shared], [of_b[r] for r in shared])
    return welch(a, b)


def _reason(
    statement: Statement,
    pairs: Sequence[Pair],
    cells: Sequence[Cell],
    *,
    tests: Sequence[Difference | None],
) -> str:
    claimed: dict[Pair, float] = {}
    for a, b in pairs:
        if a.claim and b.claim:
            claimed.setdefault((_our_side(a), _our_side(b)), a.claim.value - b.claim.value)
    known = [cell for cell in cells if cell.outcome is not None]
    won, undecided, lost = (sum(cell.outcome == o for cell in known) for o in (1, 0, -1))
    gaps = [_gap_in_words(statement, cell, claimed.get((cell.a, cell.b))) for cell in known[:NAMED]]
    designs = " and ".join(sorted({test.describe() for test in tests if test}))
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return (
        f"measured in {len(known)} of {len(cells)} cells: ahead in {won}, not told apart in "
        f"{undecided}, behind in {lost} after Holm at {ALPHA:g}; measured gaps ({designs}, "
        f"given the params found and the test classes): {'; '.join(gaps)}{more}"
    )


def _gap_in_words(statement: Statement, cell: Cell, claimed: float | None) -> str:
    gap, half = cell.gap or 0.0, cell.half_width or 0.0
    if statement.factor:
        ratio, low, high = (f"{math.exp(log):.2f}" for log in (gap, gap - half, gap + half))
        return f"{cell.a.dataset} {cell.a.method}: {ratio} times as fast ({low} to {high})"
    return f"{cell.name} ± {half:.2f}" + ("" if claimed is None else f", claimed {claimed:+.2f}")


def _in_words(unequal: UnequalSettings) -> str:
    return ", ".join(f"{name} {a} against {b}" for name, (a, b) in unequal.items())
