"""The cells of a statement: each compares two numbers, and together they decide the verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.audit.findings import Check, Finding, Verdict
from harness.audit.statements import Pair, Side, Statement
from harness.measure.intervals import Difference
from harness.measure.multiple_comparisons import holm

ALPHA = 0.05


@dataclass(frozen=True)
class Cell:
    """One comparison of a statement: its gap is A minus B, its outcome +1, 0, -1 or None.

    +1: A is ahead (by the points claimed); 0: neither is ahead; -1: A is behind; None: no numbers,
    or numbers without any spread, which no test can judge.
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
                outcome=None if p_holm is None else outcome_of(p_holm, test.mean),
                half_width=test.half_width,
                p_value=test.p_value,
                adjusted=p_holm,
            )
        )
    return cells


def outcome_of(p_value: float | None, excess: float) -> int:
    """+1 or -1 if the difference is significant, by the sign of `excess`; 0 if it is not."""
    if p_value is None or p_value > ALPHA:
        return 0
    return 1 if excess > 0 else -1


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
            "printed": [side.claim.printed for side in (cell.a, cell.b) if side.claim],
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
