"""Statements against printed numbers: do the counts hold, and are the differences significant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.audit.claims import Claim
from harness.audit.findings import Check, Finding, Verdict
from harness.audit.statements import Pair, Side, Statement
from harness.measure.intervals import Difference, Interval, welch
from harness.measure.multiple_comparisons import holm

ALPHA = 0.05
NAMED = 8  # a reason names at most this many cells
ROUNDING = 1e-9  # differences of printed numbers up to this are floating-point noise


@dataclass(frozen=True)
class Cell:
    """One comparison of a statement: its gap is A minus B, its outcome +1, 0, -1 or None.

    +1: A is ahead (by the points claimed); 0: neither is ahead; -1: A is behind; None: no numbers.
    `p_value` is uncorrected, `adjusted` is corrected by Holm over the statement's cells.
    """

    a: Side
    b: Side
    gap: float | None = None
    outcome: int | None = None
    half_width: float | None = None
    p_value: float | None = None
    adjusted: float | None = None

    @property
    def name(self) -> str:
        """Dataset, category and metric of the cell, the losses, and the gap in points."""
        a, b = self.a, self.b
        category = a.category if a.category == b.category else f"{a.category} to {b.category}"
        place = " ".join(word for word in (a.dataset, category, a.metric) if word != "single")
        losses = a.method if a.method == b.method else f"{a.method} to {b.method}"
        return f"{place} {losses}" + ("" if self.gap is None else f" ({self.gap:+.2f})")


def judge(statement: Statement, cells: Sequence[Cell]) -> Verdict:
    """The verdict that follows from the outcomes of a statement's cells, by its kind.

    beats_in holds with at least k cells won, best_among with exactly rank - 1 rivals ahead of each
    A, every other kind with all cells won. A cell without numbers counts as neither won nor lost.
    """
    outcomes = [cell.outcome for cell in cells]
    if not cells or all(outcome is None for outcome in outcomes):
        return "no evidence"
    won, lost = outcomes.count(1), outcomes.count(-1)
    if statement.kind == "beats_in" and statement.k is not None:
        if won >= statement.k:
            return "supported"
        return "contradicted" if len(cells) - lost < statement.k else "not supported"
    if statement.kind == "best_among":
        return _judge_rank(statement, cells)
    if lost:
        return "contradicted"
    return "supported" if won == len(cells) else "not supported"


def _judge_rank(statement: Statement, cells: Sequence[Cell]) -> Verdict:
    outcomes_of: dict[tuple[object, ...], list[int | None]] = defaultdict(list)
    for cell in cells:
        a = cell.a
        claim = a.claim.claim_id if a.claim else ""
        outcomes_of[a.method, a.dataset, a.category, a.metric, claim].append(cell.outcome)
    claimed = statement.rank - 1
    all_decided = True
    for outcomes in outcomes_of.values():
        rivals_ahead = outcomes.count(-1)
        undecided = outcomes.count(0) + outcomes.count(None)
        if rivals_ahead > claimed or rivals_ahead + undecided < claimed:
            return "contradicted"
        all_decided = all_decided and not undecided
    return "supported" if all_decided else "not supported"


def on_paper(statement: Statement, pairs: Sequence[Pair]) -> Finding:
    """Whether the statement holds of the printed numbers, whatever their spread."""
    cells = []
    for a, b in pairs:
        if a.claim and b.claim:
            gap = a.claim.value - b.claim.value
            excess = gap - statement.by
            # a lead "by 6 points" holds at 6; a lead by no stated points needs more than a tie
            ahead = excess > ROUNDING or (statement.by != 0 and excess > -ROUNDING)
            outcome = 1 if ahead else 0 if abs(excess) <= ROUNDING else -1
            cells.append(Cell(a, b, gap, outcome))
        else:
            cells.append(Cell(a, b))
    verdict = judge(statement, cells)
    if verdict == "no evidence":
        reason = "the claims hold no printed numbers of these comparisons"
    else:
        reason = _counted(statement, cells, "ahead")
        if statement.n not in (None, len(cells)):
            reason += f"; the text says of {statement.n}, the table has {len(cells)}"
    return statement_finding(statement, cells, check="on paper", verdict=verdict, reason=reason)


def separable(statement: Statement, pairs: Sequence[Pair]) -> Finding:
    """Whether it holds by the significant differences alone.

    Welch's test from the printed means and spreads; Holm over the statement's cells.
    """
    tests = [_welch(a.claim, b.claim, statement.by) for a, b in pairs]
    cells = cells_after_holm(pairs, tests, statement.by)
    verdict = judge(statement, cells)
    tested = [cell for cell in cells if cell.p_value is not None]
    if tested:
        raw = [_outcome(cell.p_value, (cell.gap or 0) - statement.by) for cell in tested]
        reason = (
            f"{_counted(statement, cells, 'separably ahead')} after Holm over {len(tested)} cells "
            f"at {ALPHA:g} (before: {raw.count(1)} ahead, {raw.count(-1)} behind; Welch from the "
            f"printed means and spreads, {_run_counts(tested)} runs each, given the params chosen "
            "and the test classes)"
        )
        if len(tested) < len(cells):
            reason += f"; {len(cells) - len(tested)} cells without printed spread or runs"
    else:
        reason = "no spread, or no number of runs, is printed for these numbers"
    return statement_finding(statement, cells, check="separable", verdict=verdict, reason=reason)


def _run_counts(cells: Sequence[Cell]) -> str:
    claims = [side.claim for cell in cells for side in (cell.a, cell.b)]
    counts = {claim.n_runs for claim in claims if claim and claim.n_runs}
    return " or ".join(str(n) for n in sorted(counts))


def _welch(a: Claim | None, b: Claim | None, by: float) -> Difference | None:
    left, right = a and a.interval, b and b.interval
    if not left or not right:
        return None
    return welch(Interval(left.mean - by, left.half_width, left.n, left.level), right)


def cells_after_holm(
    pairs: Sequence[Pair], tests: Sequence[Difference | None], by: float = 0.0
) -> list[Cell]:
    """The pairs as cells, decided by p-values that Holm corrects over all the tests.

    A test is of A - B - `by`; a pair with None for its test has no outcome.
    """
    adjusted = iter(holm([test.p_value for test in tests if test]))
    cells = []
    for (a, b), test in zip(pairs, tests, strict=True):
        if test is None:
            cells.append(Cell(a, b))
            continue
        p_holm = next(adjusted)
        cells.append(
            Cell(
                a,
                b,
                gap=test.mean + by,
                outcome=_outcome(p_holm, test.mean),
                half_width=test.half_width,
                p_value=test.p_value,
                adjusted=p_holm,
            )
        )
    return cells


def _outcome(p_value: float | None, excess: float) -> int:
    if p_value is None or p_value > ALPHA:
        return 0
    return 1 if excess > 0 else -1


def _counted(statement: Statement, cells: Sequence[Cell], ahead: str) -> str:
    """The counts of the outcomes in words; `ahead` says what a cell won is called."""
    known = [cell for cell in cells if cell.outcome is not None]
    won = [cell for cell in known if cell.outcome == 1]
    lost = [cell for cell in known if cell.outcome == -1]
    undecided = [cell for cell in known if cell.outcome == 0]
    text = f"{ahead} in {len(won)} of {len(known)} cells"
    if statement.by:
        text += f" by {statement.by:g} points or better"
    if statement.k is not None:
        text += f", where {statement.k} are claimed"
    if statement.kind == "best_among" and statement.rank > 1:
        text += f", where place {statement.rank} is claimed in each"
    if lost:
        text += f"; behind in {len(lost)}: {_listed(lost)}"
    if undecided:
        text += f"; not told apart in {len(undecided)}: {_listed(undecided)}"
    return text


def _listed(cells: Sequence[Cell]) -> str:
    more = f" and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
    return ", ".join(cell.name for cell in cells[:NAMED]) + more


def statement_finding(
    statement: Statement,
    cells: Sequence[Cell],
    *,
    check: Check,
    verdict: Verdict,
    reason: str,
    records: tuple[str, ...] = (),
) -> Finding:
    """The finding of one check of a statement, with its cells as data beside the reason."""
    rows = [
        {
            "a": cell.a.method,
            "b": cell.b.method,
            "dataset": cell.a.dataset,
            "category": cell.a.category,
            "metric": cell.a.metric,
            "gap": cell.gap,
            "half_width": cell.half_width,
            "p_value": cell.p_value,
            "p_holm": cell.adjusted,
            "outcome": cell.outcome,
            "claims": [side.claim.claim_id for side in (cell.a, cell.b) if side.claim],
        }
        for cell in cells
    ]
    return Finding(
        check=check,
        about="statement",
        subject=statement.statement_id,
        paper=statement.paper,
        verdict=verdict,
        reason=reason,
        numbers={
            "said": statement.text,
            "where_said": statement.where_said,
            "note": statement.note,
            "cells": rows,
        },
        records=records,
    )
