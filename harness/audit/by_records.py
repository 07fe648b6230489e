"""What our repeats say of the pairs that a statement compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from harness.audit.cells import ALPHA, Cell, cells_after_holm, judge
from harness.audit.claims import score_name
from harness.audit.findings import Verdict
from harness.audit.settings import UnequalSettings, unequal_settings
from harness.audit.statements import STEPS, Pair, Side, Statement
from harness.measure import convergence
from harness.measure.intervals import Difference, paired_difference, welch

NAMED = 8  # a reason names at most this many cells or methods
CATEGORY_OF_SINGLE = "complete"  # papers train a single model on the whole trainval half


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


class Judged(NamedTuple):
    """What records say of a statement: its cells, the verdict, the reason, the records' ids."""

    cells: Sequence[Cell]
    verdict: Verdict
    reason: str
    records: tuple[str, ...]


def judge_by_records(
    statement: Statement,
    pairs: Sequence[Pair],
    measured: Mapping[EvidenceKey, Evidence],
    claimed: Mapping[Pair, float] = MappingProxyType({}),
) -> Judged:
    """What our repeats say of the pairs that a statement compares.

    pairs: of sides in our categories, without claims. claimed: the printed gap of some of them.
    """
    compared = [(a, b) for a, b in pairs if a != b]
    evidence = [_with_steps(measured.get(key_of(a)), measured.get(key_of(b))) for a, b in compared]
    tests: list[Difference | None] = []
    mismatched: UnequalSettings = {}
    by = math.log(statement.factor) if statement.factor else statement.by
    for left, right in evidence:
        unequal = _unintended(statement, left, right)
        mismatched |= unequal
        tests.append(None if unequal else _difference(statement, left, right, by=by))
    cells = cells_after_holm(compared, tests, by)
    used = [pair for pair, test in zip(evidence, tests, strict=True) if test]
    used_evidence = [side for pair in used for side in pair if side]
    verdict = judge(statement, cells)
    records: tuple[str, ...] = ()
    if verdict != "no evidence":
        reason = _reason(statement, cells, tests=tests, claimed=claimed)
        if any(side.curves for side in used_evidence):
            reason += f"; {convergence.caption()}"
        ids = [record for side in used_evidence for record in side.records]
        records = tuple(dict.fromkeys(ids))
    elif any(tests):
        reason = "our repeats differ by the same amount each time: without any spread, no test"
    elif mismatched:
        verdict, reason = "not comparable", f"our records differ in {in_words(mismatched)}"
    else:
        names = sorted({side.method for pair in compared for side in pair})
        reason = f"no records of both sides; needed are repeats of {', '.join(names[:NAMED])}"
    return Judged(cells, verdict, reason, records)


def our_category(category: str) -> str:
    """Ours that a claim's category is compared with; papers mostly print a single model."""
    return CATEGORY_OF_SINGLE if category == "single" else category


def our_side(side: Side) -> Side:
    """The side among our categories, without a claim."""
    return Side(side.method, side.dataset, our_category(side.category), side.metric)


def key_of(side: Side) -> EvidenceKey:
    """The key of a side's evidence."""
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
    cells: Sequence[Cell],
    *,
    tests: Sequence[Difference | None],
    claimed: Mapping[Pair, float],
) -> str:
    known = [cell for cell in cells if cell.outcome is not None]
    won, undecided, lost = (sum(cell.outcome == o for cell in known) for o in (1, 0, -1))
    gaps = [_gap_in_words(statement, cell, claimed.get((cell.a, cell.b))) for cell in known[:NAMED]]
    designs = " and ".join(sorted({test.describe() for test in tests if test}))
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    lacking = dict.fromkeys(
        cell.a.method if cell.a.method == cell.b.method else f"{cell.a.method} to {cell.b.method}"
        for cell in cells
        if cell.outcome is None
    )
    without = f" (no test of {', '.join([*lacking][:NAMED])})" if lacking else ""
    ahead, behind = _from(statement)
    return (
        f"measured in {len(known)} of {len(cells)} cells{without}: {ahead} in {won}, not told "
        f"apart in {undecided}, {behind} in {lost} after Holm at {ALPHA:g}; measured "
        f"gaps ({designs}, given the params found and the test classes): {'; '.join(gaps)}{more}"
    )


def _from(statement: Statement) -> tuple[str, str]:
    """In words: what A is where it counts as ahead, and where it counts as behind."""
    if statement.factor is not None and statement.factor != 1:
        times = f"{statement.factor:g} times as fast"
        return f"more than {times}", f"less than {times}"
    if statement.factor is not None:
        return "faster", "slower"
    points = f"{abs(statement.by):g} points"
    if statement.by > 0:
        return f"ahead by more than {points}", f"ahead by less than {points}, or behind,"
    if statement.by < 0:
        return f"ahead or less than {points} behind", f"more than {points} behind"
    return "ahead", "behind"


def _gap_in_words(statement: Statement, cell: Cell, claimed: float | None) -> str:
    gap, half = cell.gap or 0.0, cell.half_width or 0.0
    if statement.factor:
        ratio, low, high = (f"{math.exp(log):.2f}" for log in (gap, gap - half, gap + half))
        pair = f"{cell.a.dataset} {cell.a.method} to {cell.b.method}"
        return f"{pair}: {ratio} times as fast ({low} to {high})"
    return f"{cell.name} ± {half:.2f}" + ("" if claimed is None else f", claimed {claimed:+.2f}")


def in_words(unequal: UnequalSettings) -> str:
    """Each setting with both its values."""
    return ", ".join(f"{name} {a} against {b}" for name, (a, b) in unequal.items())
