"""Statements against printed numbers: do the counts hold, and are the cells told apart at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from harness.audit.claims import Claim
from harness.audit.findings import Check, Finding, Verdict
from harness.audit.statements import Pair, Side, Statement
from harness.measure.intervals import Difference, Interval, holm, welch

ALPHA = 0.05
NAMED = 8  # cells that a reason names at most
EXACT = 1e-9


@dataclass(frozen=True)
class Cell:
    """One comparison of a statement: the gap, A minus B, and +1, 0, -1 or None for its outcome.

    +1: A is ahead (by the points demanded); 0: not told apart; -1: A is behind; None: no numbers.
    `p_value` is as it came, `adjusted` after Holm over the statement's cells.
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
        place = " ".join(w for w in (a.dataset, category, a.metric) if w != "single")
        losses = a.method if a.method == b.method else f"{a.method} to {b.method}"
        return f"{place} {losses}" + ("" if self.gap is None else f" ({self.gap:+.2f})")


def judge(statement: Statement, cells: Sequence[Cell]) -> Verdict:
    """What the outcomes of the cells make of the statement, by its kind.

    beats_in holds with at least k cells won; best_among with exactly rank - 1 rivals ahead in each
    cell; every other kind with all cells won. Cells without numbers leave a statement undecided.
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
        return _ranked(statement, cells)
    if lost:
        return "contradicted"
    return "supported" if won == len(cells) else "not supported"


def _ranked(statement: Statement, cells: Sequence[Cell]) -> Verdict:
    rivals: dict[tuple[object, ...], list[int | None]] = defaultdict(list)
    for cell in cells:
        a = cell.a
        claim = a.claim.claim_id if a.claim else ""
        rivals[(a.method, a.dataset, a.category, a.metric, claim)].append(cell.outcome)
    ahead = [outcomes.count(-1) for outcomes in rivals.values()]
    open_ = [outcomes.count(0) + outcomes.count(None) for outcomes in rivals.values()]
    wanted = statement.rank - 1
    if any(n > wanted or n + o < wanted for n, o in zip(ahead, open_, strict=True)):
        return "contradicted"
    return "not supported" if any(open_) else "supported"


def on_paper(statement: Statement, pairs: Sequence[Pair]) -> Finding:
    """Whether the printed numbers, taken at their word, say what the statement says."""
    cells = []
    for a, b in pairs:
        if a.claim and b.claim:
            gap = a.claim.value - b.claim.value
            beyond = gap - statement.by
            # a lead "by 6 points" holds at 6; a mere lead needs more than nothing
            ahead = beyond > EXACT or (statement.by != 0 and beyond > -EXACT)
            outcome = 1 if ahead else 0 if abs(beyond) <= EXACT else -1
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
    return finding("on paper", statement, verdict, reason, cells)


def separable(statement: Statement, pairs: Sequence[Pair]) -> Finding:
    """Whether it holds in cells that are told apart: Welch from summaries, Holm over the cells."""
    tests: list[Difference | None] = [_tested(a.claim, b.claim, statement.by) for a, b in pairs]
    cells = decided(pairs, tests, statement.by)
    verdict = judge(statement, cells)
    known = [cell for cell in cells if cell.p_value is not None]
    if not known:
        reason = "no spread, or no number of runs, is printed for these numbers"
        return finding("separable", statement, "no evidence", reason, cells)
    raw = [_outcome(c.p_value, (c.gap or 0) - statement.by) for c in known]
    counted = _counted(statement, cells, "separably ahead")
    reason = (
        f"{counted} after Holm over {len(known)} cells at {ALPHA:g} (before: {raw.count(1)} ahead, "
        f"{raw.count(-1)} behind; Welch from the printed means and spreads, {_runs(known)} runs "
        "each, given the params chosen and the test classes)"
    )
    if len(known) < len(cells):
        reason += f"; {len(cells) - len(known)} cells without printed spread or runs"
    return finding("separable", statement, verdict, reason, cells)


def _runs(cells: Sequence[Cell]) -> str:
    counts = {s.claim.n_runs for c in cells for s in (c.a, c.b) if s.claim and s.claim.n_runs}
    return " or ".join(str(n) for n in sorted(counts))


def _tested(a: Claim | None, b: Claim | None, by: float) -> Difference | None:
    left, right = a and a.interval, b and b.interval
    if not left or not right:
        return None
    return welch(Interval(left.mean - by, left.half_width, left.n, left.level), right)


def decided(
    pairs: Sequence[Pair], tests: Sequence[Difference | None], by: float = 0.0
) -> list[Cell]:
    """Cells whose outcomes are Holm's over all the tests given; a test is of A - B - `by`."""
    adjusted = iter(holm([test.p_value for test in tests if test]))
    cells = []
    for (a, b), test in zip(pairs, tests, strict=True):
        if test is None:
            cells.append(Cell(a, b))
            continue
        p = next(adjusted)
        outcome = _outcome(p, test.mean)
        cells.append(Cell(a, b, test.mean + by, outcome, test.half_width, test.p_value, p))
    return cells


def _outcome(p: float | None, beyond: float) -> int:
    if p is None or p > ALPHA:
        return 0
    return 1 if beyond > 0 else -1


def _counted(statement: Statement, cells: Sequence[Cell], word: str) -> str:
    known = [cell for cell in cells if cell.outcome is not None]
    won = [cell for cell in known if cell.outcome == 1]
    lost = [cell for cell in known if cell.outcome == -1]
    open_ = [cell for cell in known if cell.outcome == 0]
    said = f"{word} in {len(won)} of {len(known)} cells"
    if statement.by:
        said += f" by {statement.by:g} points or better"
    if statement.k is not None:
        said += f", where {statement.k} are claimed"
    if statement.kind == "best_among" and statement.rank > 1:
        said += f", where place {statement.rank} is claimed in each"
    if lost:
        said += f"; behind in {len(lost)}: {_listed(lost)}"
    if open_:
        said += f"; not told apart in {len(open_)}: {_listed(open_)}"
    return said


def _listed(cells: Sequence[Cell]) -> str:
    more = f" and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
    return ", ".join(cell.name for cell in cells[:NAMED]) + more


def finding(
    check: Check,
    statement: Statement,
    verdict: Verdict,
    reason: str,
    cells: Sequence[Cell],
    records: tuple[str, ...] = (),
) -> Finding:
    """The finding of one check of a statement, its cells as data beside the reason."""
    told = [
        {
            "a": cell.a.method, "b": cell.b.method, "dataset": cell.a.dataset,
            "category": cell.a.category, "metric": cell.a.metric, "gap": cell.gap,
            "half_width": cell.half_width, "p_value": cell.p_value, "p_holm": cell.adjusted,
            "outcome": cell.outcome,
            "claims": [side.claim.claim_id for side in (cell.a, cell.b) if side.claim],
        }
        for cell in cells
    ]  # fmt: skip
    numbers = {
        "said": statement.said, "where_said": statement.where_said, "note": statement.note,
        "cells": told,
    }  # fmt: skip
    return Finding(
        check=check, about="statement", subject=statement.statement_id, paper=statement.paper,  
        verdict=verdict, reason=reason, numbers=numbers, records=records,
    )  # fmt: skip
