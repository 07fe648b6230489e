"""Claims against themselves: order of metrics, printed runs, suspicious spreads, collapsed runs."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median, stdev

from harness.audit.claims import Claim
from harness.audit.findings import Finding, Verdict

FAR = 4.0  # a spread this many times its neighbours' median, or less than 1/FAR of it, is far off
NEIGHBOURS = 3  # fewest neighbours that a spread is judged by
ROUNDED = 1e-9
ORDER = (("MAP@R", "RP"), ("RP", "P@1"), ("MAP@R", "R@1"))
Doubts = dict[str, list[str]]  # claim_id -> reasons


def row_of(claim: Claim) -> tuple[object, ...]:
    """What the numbers of one printed row on one dataset share."""
    return (
        claim.paper, claim.table, claim.method, claim.dataset, claim.category, claim.trunk,
        claim.dim, claim.crop, claim.tuned_on, claim.extra_components, claim.reported_by,
    )  # fmt: skip


def on_paper(claims: Sequence[Claim]) -> list[Finding]:
    """One finding per claim, from the printed numbers of its own document alone."""
    wrong: Doubts = defaultdict(list)
    odd: Doubts = defaultdict(list)
    rows: dict[tuple[object, ...], dict[str, Claim]] = defaultdict(dict)
    columns: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        rows[row_of(claim)][claim.metric] = claim
        columns[(claim.paper, claim.table, *claim.cell)].append(claim)
    for row in rows.values():
        _metrics_in_order(row, wrong, odd)
    for column in columns.values():
        _spreads(column, odd)
    _printed_twice(claims, odd)
    for collapse in collapses(claims):
        odd[collapse.claim_id].append(collapse.reason)
    for claim in claims:
        _printed_runs(claim, wrong)
    return [_finding(claim, wrong[claim.claim_id], odd[claim.claim_id]) for claim in claims]


def _finding(claim: Claim, wrong: list[str], odd: list[str]) -> Finding:
    verdict: Verdict = "contradicted" if wrong else "suspicious" if odd else "consistent"
    what = "no check of its row, its column or its runs speaks against it"
    reason = f"{claim.printed}: " + ("; ".join([*wrong, *odd]) or what)
    numbers = {"value": claim.value, "spread": claim.spread, "n_runs": claim.n_runs}
    return Finding(
        check="on paper", about="claim", subject=claim.claim_id, paper=claim.paper,
        verdict=verdict, reason=reason, numbers=numbers,
    )  # fmt: skip


def _metrics_in_order(row: Mapping[str, Claim], wrong: Doubts, odd: Doubts) -> None:
    recalls = sorted((int(m[2:]), c) for m, c in row.items() if re.fullmatch(r"R@\d+", m))
    pairs = [(low, high) for (_, low), (_, high) in pairwise(recalls)]
    pairs += [(row[low], row[high]) for low, high in ORDER if low in row and high in row]
    for low, high in pairs:
        if low.value > high.value:
            said = f"{low.metric} = {low.value:g} exceeds {high.metric} = {high.value:g}"
            # RP <= P@1 holds of every method known, but is no theorem
            told = odd if low.metric == "RP" else wrong
            for claim in (low, high):
                told[claim.claim_id].append(said)
    if "P@1" in row and "R@1" in row and row["P@1"].value != row["R@1"].value:
        said = f"P@1 = {row['P@1'].value:g} and R@1 = {row['R@1'].value:g} are the same metric"
        wrong[row["P@1"].claim_id].append(said)


def _printed_runs(claim: Claim, wrong: Doubts) -> None:
    if len(claim.runs) < 2:
        return
    unit = 0.5 * 10.0 ** -max(_decimals(claim.value), 1) + ROUNDED
    found = mean(claim.runs)
    if abs(found - claim.value) > unit:
        what = f"the {len(claim.runs)} printed runs average {found:.3f}, not {claim.value:g}"
        repeated = sorted({run for run in claim.runs if claim.runs.count(run) > 1}, reverse=True)
        what += f" ({', '.join(f'{r:g}' for r in repeated)} printed twice)" if repeated else ""
        wrong[claim.claim_id].append(what)
    if claim.spread_kind == "std" and claim.spread is not None:
        sample = stdev(claim.runs)
        population = sample * math.sqrt(1 - 1 / len(claim.runs))
        unit = 0.5 * 10.0 ** -max(_decimals(claim.spread), 1) + ROUNDED
        if min(abs(sample - claim.spread), abs(population - claim.spread)) > unit:
            wrong[claim.claim_id].append(
                f"the printed runs' std is {sample:.3f} (ddof 1) or {population:.3f} (ddof 0), "
                f"not {claim.spread:g}"
            )


def _printed_twice(claims: Sequence[Claim], odd: Doubts) -> None:
    """Own numbers that a document prints in two places, under the same settings, unequally."""
    groups: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.reported_by == "own" and claim.tuned_on != "unknown":
            groups[(claim.metric, claim.paper, *row_of(claim)[2:])].append(claim)
    for group in groups.values():
        for claim in group:
            others = [c for c in group if c.table != claim.table and c.value != claim.value]
            for other in others:
                odd[claim.claim_id].append(f"{other.table} prints {other.value:g} for the same")


def _decimals(value: float) -> int:
    return len(f"{value:g}".partition(".")[2])


def _spreads(column: Sequence[Claim], odd: Doubts) -> None:
    known = [c for c in column if c.spread]
    for claim in known:
        others = [c.spread for c in known if c is not claim and c.spread_kind == claim.spread_kind]
        if len(others) < NEIGHBOURS:
            continue
        typical = median([s for s in others if s])
        ratio = (claim.spread or 0.0) / typical
        if ratio >= FAR or ratio <= 1 / FAR:
            size = f"{ratio:.0f} times" if ratio > 1 else f"1/{1 / ratio:.0f} of"
            odd[claim.claim_id].append(
                f"± {claim.spread:g} is {size} the median ± {typical:g} of its {len(others)} "
                f"neighbours in the column (flagged from {FAR:g} times on)"
            )


@dataclass(frozen=True)
class Collapse:
    """A Complete number below its own Aggregate where the other losses gain."""

    claim_id: str
    reason: str


def collapses(claims: Sequence[Claim]) -> list[Collapse]:
    """Complete results that lie below the same loss's Aggregate while the rest of the table gains.

    A wide spread beside it is read as two levels of runs (`two_levels`), a usual one as a training
    that fails every time.
    """
    tables: dict[tuple[str, ...], dict[str, dict[str, Claim]]] = defaultdict(dict)
    for claim in claims:
        if claim.category in ("complete", "aggregate"):
            table = tables[(claim.paper, claim.table, claim.dataset, claim.metric)]
            table.setdefault(claim.method, {})[claim.category] = claim
    found = []
    for table in tables.values():
        both = {m: row for m, row in table.items() if len(row) == 2}
        gains = {m: r["complete"].value / r["aggregate"].value for m, r in both.items()}
        for method, row in both.items():
            others = [gain for other, gain in gains.items() if other != method]
            if gains[method] < 1 and len(others) >= NEIGHBOURS and median(others) > 1:
                found.append(_collapse(row, others))
    return found


def _collapse(row: Mapping[str, Claim], others: Sequence[float]) -> Collapse:
    complete, aggregate = row["complete"], row["aggregate"]
    ahead = sum(gain > 1 for gain in others)
    reason = (
        f"Complete {complete.value:g} lies below its own Aggregate {aggregate.value:g}, while "
        f"{ahead} of {len(others)} other losses gain (median x{median(others):.2f})"
    )
    interval, beside = complete.interval, aggregate.spread or math.inf
    if interval and interval.half_width > FAR * beside:
        level = aggregate.value * median(others)
        m, high, low = two_levels(complete.value, interval.std, interval.n, level)
        reason += (
            f"; with std {interval.std:.1f} over {interval.n} runs it reads as a mean over some "
            f"failed runs, such as {m} of {interval.n} near {low:.0f} and the rest near {high:.0f}"
        )
    elif interval:
        reason += f"; ± {interval.half_width:g} is no wider than usual: every run collapsed"
    return Collapse(complete.claim_id, reason)


def two_levels(mean: float, std: float, n: int, healthy: float) -> tuple[int, float, float]:
    """(m, high, low): m of n runs at `low` and the rest at `high` with this mean and std (ddof 1).

    Any m from 1 to n - 1 has one such pair; of those with low >= 0 (of all, if none has) the one
    with `high` nearest to `healthy` is returned.
    """
    fits = []
    for m in range(1, n):
        apart = std * math.sqrt(n * (n - 1) / (m * (n - m)))
        high = mean + apart * m / n
        fits.append((high - apart < -ROUNDED, abs(high - healthy), m, high, high - apart))
    _, _, m, high, low = min(fits)
    return m, high, low
