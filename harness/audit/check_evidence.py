"""Claims and statements against our own records, where there are some for that loss and dataset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from harness.audit.check_statements import ALPHA, Cell, decided, finding, judge
from harness.audit.claims import Claim, score_name
from harness.audit.findings import Finding, Verdict
from harness.audit.settings import Unequal, settings, unequal
from harness.audit.statements import STEPS, Pair, Side, Statement
from harness.measure import convergence
from harness.measure.intervals import Difference, Interval, paired_difference, t_interval, welch
from harness.schema import Study

NAMED = 8
SINGLE = "complete"  # our category for what papers train: one model on the whole trainval half
INTENDED = {"n_runs", "test_epoch"}  # ours are never picked on test; n enters the interval


class Evidence(NamedTuple):
    """Our measurement of one loss, dataset, category and metric.

    `values`: one per repeat, in percent, as the claims; `records`: ids of the records behind them;
    `conditions`: see `conditions_of`; `repeats`: the repeats' numbers, by which two losses pair up
    (without them differences are unpaired).
    """

    values: Sequence[float]
    records: Sequence[str]
    conditions: Mapping[str, str]
    repeats: Sequence[int] | None = None
    curves: convergence.Repeats | None = None  # of steps_to_threshold, whose values a pair settles


Key = tuple[str, str, str, str]  # loss, dataset, category, score name (map_at_r, recall_at_1, ...)
Measured = Mapping[Key, Evidence]


def conditions_of(study: Study, category: str) -> dict[str, str]:
    """The settings of a study's numbers in the claims' words; `study` as it is for the dataset."""
    extras = ["layer_norm"] * study.layer_norm + ["two_phase_training"] * study.followup
    crops = {224: "224 or 227", 227: "224 or 227"}
    return {
        "trunk": study.trunk,
        "dim": str(study.dim if category == "aggregate" else study.complete_dim),
        "crop": crops.get(study.crop, str(study.crop)),
        "pretrained": study.weights,
        "tuned_on": f"cv{study.folds}",
        "bn_frozen": "yes" if study.freeze_batch_norm else "no",
        "pooling": study.pooling,
        "extra_components": ";".join(extras),
    }


def of_claim(claim: Claim, measured: Measured) -> Finding:
    """The claim beside our interval; a claim of one model is held against our Complete runs.

    supported: not told apart from ours (Welch, or ours against the bare number with room for one
    more run's noise); contradicted: told apart under settings all known equal; not supported: told
    apart, some setting of the claim being unknown.
    """
    category = SINGLE if claim.category == "single" else claim.category
    evidence = measured.get((claim.method, claim.dataset, category, claim.score))
    if evidence is None or len(evidence.values) < 2:
        what = "no records" if evidence is None else "only one repeat"
        reason = f"{what} of {claim.method} on {claim.dataset}, {category}, {claim.metric}"
        return _claim_finding(claim, "no evidence", reason, evidence)
    ours = t_interval(evidence.values)
    told = {k: v for k, v in settings(claim).items() if k not in INTENDED}
    apart = unequal(told, evidence.conditions)
    beside = (
        f"claimed {claim.printed}, ours {ours.mean:.2f} ± {ours.half_width:.2f} ({ours.describe()})"
    )
    if apart:
        reason = f"{beside}; unequal: {_words(apart)}"
        return _claim_finding(claim, "not comparable", reason, evidence, ours)
    if claim.interval:
        test = welch(claim.interval, ours)
        p, gap = test.p_value, test.mean
    else:
        gap = claim.value - ours.mean
        # a number of unknown spread is taken for one run of ours: prediction, not confidence
        p = _prediction_p(gap, ours)
    silent = sorted(set(evidence.conditions) - set(told) - {"extra_components"})
    verdict: Verdict = "supported" if p > ALPHA else "not supported" if silent else "contradicted"
    reason = f"{beside}; claimed minus measured {gap:+.2f}, p = {p:.3g}"
    reason += f"; the claim does not state {', '.join(silent)}" if silent else ""
    return _claim_finding(claim, verdict, reason, evidence, ours)


def _prediction_p(gap: float, ours: Interval) -> float:
    error = ours.std * math.sqrt(1 + 1 / ours.n)
    if error == 0:
        return float(gap == 0)
    from scipy.special import stdtr

    return float(2 * stdtr(ours.n - 1, -abs(gap) / error))


def _claim_finding(
    claim: Claim,
    verdict: Verdict,
    reason: str,
    evidence: Evidence | None,
    ours: Interval | None = None,
) -> Finding:
    numbers = {"claimed": claim.value}
    if ours:
        numbers |= {"measured": ours.mean, "half_width": ours.half_width, "n": ours.n}
    return Finding(
        check="our evidence", about="claim", subject=claim.claim_id, paper=claim.paper,
        verdict=verdict, reason=reason, numbers=numbers,
        records=tuple(evidence.records) if evidence else (),
    )  # fmt: skip


def of_statement(statement: Statement, pairs: Sequence[Pair], measured: Measured) -> Finding:
    """The statement judged by our repeats: paired where they share seeds, Holm over its cells.

    For converges_faster the values are steps to a threshold, compared on the log scale.
    """
    unique = [p for p in dict.fromkeys((_ours(a), _ours(b)) for a, b in pairs) if p[0] != p[1]]
    sides = [(a, b, *_stepped(measured.get(_key(a)), measured.get(_key(b)))) for a, b in unique]
    purpose = {"dim", "tuned_on"} if "category" not in statement.pair_by else set()
    mismatched: Unequal = {}
    tests: list[Difference | None] = []
    by = math.log(statement.factor) if statement.factor else statement.by
    for _, _, left, right in sides:
        apart: Unequal = {}
        if left and right:
            apart = unequal(left.conditions, right.conditions)
            apart = {name: pair for name, pair in apart.items() if name not in purpose}
            mismatched |= apart
        tests.append(None if apart else _difference(statement, left, right, by))
    cells = decided([(a, b) for a, b, _, _ in sides], tests, by)
    used = [sides[i][2:] for i, test in enumerate(tests) if test]
    both = chain.from_iterable(evidence.records for pair in used for evidence in pair if evidence)
    records = tuple(dict.fromkeys(both))
    verdict = judge(statement, cells)
    if verdict == "no evidence":
        if mismatched:
            verdict, reason = "not comparable", f"our records differ in {_words(mismatched)}"
        else:
            names = sorted({side.method for pair in unique for side in pair})
            reason = f"no records of both sides; needed are repeats of {', '.join(names[:NAMED])}"
        return finding("our evidence", statement, verdict, reason, cells)
    reason = _said(statement, pairs, cells, tests)
    if any(evidence.curves for pair in used for evidence in pair if evidence):
        reason += f"; {convergence.caption()}"
    return finding("our evidence", statement, verdict, reason, cells, records)


def _stepped(
    left: Evidence | None, right: Evidence | None
) -> tuple[Evidence | None, Evidence | None]:
    """Both sides with their steps to the threshold that they share, where curves are there."""
    if not left or not right or not left.curves or not right.curves:
        return left, right
    a, b = convergence.compared(left.curves, right.curves)
    return left._replace(values=a), right._replace(values=b)


def _ours(side: Side) -> Side:
    category = SINGLE if side.category == "single" else side.category
    return Side(side.method, side.dataset, category, side.metric)


def _key(side: Side) -> Key:
    metric = side.metric if side.metric == STEPS else score_name(side.metric)
    return side.method, side.dataset, side.category, metric


def _difference(
    statement: Statement, left: Evidence | None, right: Evidence | None, by: float
) -> Difference | None:
    """A - B - `by`; of minus logarithms where fewer steps are better."""
    if not left or not right or min(len(left.values), len(right.values)) < 2:
        return None

    def scaled(values: Sequence[float]) -> list[float]:
        return [-math.log(v) for v in values] if statement.factor else list(values)

    a, b = [value - by for value in scaled(left.values)], scaled(right.values)
    if left.repeats is not None and right.repeats is not None:
        shared = sorted(set(left.repeats) & set(right.repeats))
        if len(shared) > 1:
            at_a, at_b = list(left.repeats), list(right.repeats)
            return paired_difference(
                [a[at_a.index(r)] for r in shared], [b[at_b.index(r)] for r in shared]
            )
    return welch(a, b)


def _said(
    statement: Statement,
    pairs: Sequence[Pair],
    cells: Sequence[Cell],
    tests: Sequence[Difference | None],
) -> str:
    claimed: dict[tuple[Side, Side], float] = {}
    for a, b in pairs:
        if a.claim and b.claim:
            claimed.setdefault((_ours(a), _ours(b)), a.claim.value - b.claim.value)
    known = [cell for cell in cells if cell.outcome is not None]
    counts = [sum(cell.outcome == o for cell in known) for o in (1, 0, -1)]
    words = []
    for cell in known[:NAMED]:
        gap, half = cell.gap or 0.0, cell.half_width or 0.0
        if statement.factor:
            ratio = f"{math.exp(gap):.2f} times as fast ({math.exp(gap - half):.2f} to "
            words.append(f"{cell.a.dataset} {cell.a.method}: {ratio}{math.exp(gap + half):.2f})")
            continue
        was = claimed.get((cell.a, cell.b))
        beside = "" if was is None else f", claimed {was:+.2f}"
        words.append(f"{cell.name} ± {half:.2f}{beside}")
    designs = " and ".join(sorted({t.describe() for t in tests if t}))
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return (
        f"measured in {len(known)} of {len(cells)} cells: ahead in {counts[0]}, not told apart in "
        f"{counts[1]}, behind in {counts[2]} after Holm at {ALPHA:g}; measured gaps ({designs}, "
        f"given the params found and the test classes): {'; '.join(words)}{more}"
    )


def _words(apart: Unequal) -> str:
    return ", ".join(f"{name} {x} against {y}" for name, (x, y) in apart.items())
