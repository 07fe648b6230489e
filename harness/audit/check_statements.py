"""Statements against printed numbers: do the counts hold, and are the differences significant."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.audit.cells import (
    ALPHA,
    Cell,
    cells_after_holm,
    judge,
    outcome_of,
    statement_finding,
)
from harness.audit.claims import ROUNDING, Claim
from harness.audit.findings import Finding
from harness.audit.statements import Pair, Statement, selected
from harness.measure.intervals import Difference, Interval, welch

NAMED = 8  # a reason names at most this many cells


def on_paper(statement: Statement, pairs: Sequence[Pair], claims: Sequence[Claim] = ()) -> Finding:
    """Whether the statement holds of the printed numbers, whatever their spread.

    claims: all that the statement selects from, to say which of its filters none of them passes.
    """
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
        reason += _nothing_selected(statement, claims)
    else:
        reason = _counted(statement, cells, "ahead")
        if statement.n not in (None, len(cells)):
            reason += f"; the text says of {statement.n}, the table has {len(cells)}"
    return statement_finding(statement, cells, check="on paper", verdict=verdict, reason=reason)


def _nothing_selected(statement: Statement, claims: Sequence[Claim]) -> str:
    """In words: the first part of the statement that no claim fits."""
    document = {"arxiv": (statement.arxiv,)} if statement.arxiv else {"paper": (statement.paper,)}
    of_document = selected(claims, document)
    if not claims or not of_document:
        return f"; no claim is of {statement.arxiv or repr(statement.paper)}" if claims else ""
    for name in ("where", "a", "b"):
        for column, allowed in getattr(statement, name).items():
            if not selected(of_document, {column: allowed}):
                return f"; {name}: no claim of this document has {column} {' or '.join(allowed)}"
    return ""


def separable(statement: Statement, pairs: Sequence[Pair]) -> Finding:
    """Whether it holds by the significant differences alone.

    Welch's test from the printed means and spreads; Holm over the statement's cells. Where a spread
    or n is missing there is no test, but a gap within the spread of either number counts as noise.
    """
    tests = [_welch(a.claim, b.claim, statement.by) for a, b in pairs]
    cells = [
        _within_spread(cell, statement.by) if cell.outcome is None else cell
        for cell in cells_after_holm(pairs, tests, statement.by)
    ]
    verdict = judge(statement, cells)
    tested = [cell for cell in cells if cell.p_value is not None]
    untested = [cell for cell in cells if cell.p_value is None]
    within = [cell for cell in untested if cell.outcome == 0]
    parts = []
    if tested:
        raw = [outcome_of(cell.p_value, (cell.gap or 0) - statement.by) for cell in tested]
        parts.append(
            f"{_counted(statement, cells, 'separably ahead')} after Holm over {len(tested)} cells "
            f"at {ALPHA:g} (before: {raw.count(1)} ahead, {raw.count(-1)} behind; Welch from the "
            f"printed means and spreads, {_run_counts(tested)} runs each, given the params chosen "
            "and the test classes)"
        )
        if untested:
            parts.append(f"{len(untested)} cells without printed spread or runs")
    if within:
        parts.append(
            f"in {len(within)} of these the gap lies within a printed spread: {_listed(within)}"
            if tested
            else f"in {len(within)} of {len(cells)} cells the gap lies within a printed spread "
            f"(no test: a spread or n is missing): {_listed(within)}"
        )
    elif not tested:
        parts.append("no spread, or no number of runs, is printed for these numbers")
    reason = "; ".join(parts)
    return statement_finding(statement, cells, check="separable", verdict=verdict, reason=reason)


def _within_spread(cell: Cell, by: float) -> Cell:
    """The cell with outcome 0 if the gap is not larger than the spread of A's or B's number."""
    if cell.a.claim is None or cell.b.claim is None:
        return cell
    spreads = [_half_width(claim) for claim in (cell.a.claim, cell.b.claim)]
    gap = cell.a.claim.value - cell.b.claim.value
    if abs(gap - by) > max(spreads) + ROUNDING:
        return cell
    return dataclasses.replace(cell, gap=gap, outcome=0, half_width=max(spreads))


def _half_width(claim: Claim) -> float:
    """The 95 % half-width of a printed number; its spread where n is missing; -1 without one."""
    if claim.interval:
        return claim.interval.half_width
    of_runs = claim.spread is not None and claim.spread_kind != "other" and claim.n_runs is None
    return claim.spread or 0.0 if of_runs else -1.0


def _run_counts(cells: Sequence[Cell]) -> str:
    claims = [side.claim for cell in cells for side in (cell.a, cell.b)]
    counts = {claim.n_runs for claim in claims if claim and claim.n_runs}
    return " or ".join(str(n) for n in sorted(counts))


def _welch(a: Claim | None, b: Claim | None, by: float) -> Difference | None:
    left, right = a and a.interval, b and b.interval
    if not left or not right:
        return None
    return welch(Interval(left.mean - by, left.half_width, left.n, left.level), right)


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
