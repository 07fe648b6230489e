"""Claims against themselves: order of metrics, printed runs, suspicious spreads, collapsed runs."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean, median, stdev

from harness.audit.claims import Claim
from harness.audit.findings import Finding, Verdict

FAR = 4.0  # a spread is odd from FAR times its neighbours' median on, or at 1 / FAR of it and less
NEIGHBOURS = 3  # a number is compared with others only if there are at least this many
ROUNDING = 1e-9
ORDER = (("MAP@R", "RP"), ("RP", "P@1"), ("MAP@R", "R@1"))  # the first is never the larger
Reasons = dict[str, list[str]]  # claim_id -> reasons for doubt


def on_paper(claims: Sequence[Claim]) -> list[Finding]:
    """One finding per claim, from the printed numbers of its own document alone."""
    errors: Reasons = defaultdict(list)  # what cannot be: the claim is contradicted
    oddities: Reasons = defaultdict(list)  # what is unlikely: the claim is suspicious
    rows: dict[tuple[object, ...], dict[str, Claim]] = defaultdict(dict)
    columns: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        rows[_row_key(claim)][claim.metric] = claim
        columns[claim.paper, claim.table, *claim.cell].append(claim)
    for row in rows.values():
        _check_order_of_metrics(row, errors, oddities)
    for column in columns.values():
        _check_spreads(column, oddities)
    _check_repeated_numbers(claims, oddities)
    _check_collapses(claims, oddities)
    for claim in claims:
        _check_printed_runs(claim, errors)
    return [_finding(claim, errors[claim.claim_id], oddities[claim.claim_id]) for claim in claims]


def _row_key(claim: Claim) -> tuple[object, ...]:
    """What the numbers of one printed row on one dataset share."""
    return (claim.paper, claim.table, *_method_settings(claim))


def _method_settings(claim: Claim) -> tuple[object, ...]:
    return (
        claim.method,
        claim.dataset,
        claim.category,
        claim.trunk,
        claim.dim,
        claim.crop,
        claim.tuned_on,
        claim.extra_components,
        claim.reported_by,
    )


def _finding(claim: Claim, errors: list[str], oddities: list[str]) -> Finding:
    verdict: Verdict = "contradicted" if errors else "suspicious" if oddities else "consistent"
    no_doubt = "no check of its row, its column or its runs speaks against it"
    return Finding(
        check="on paper",
        about="claim",
        subject=claim.claim_id,
        paper=claim.paper,
        verdict=verdict,
        reason=f"{claim.printed}: " + ("; ".join([*errors, *oddities]) or no_doubt),
        numbers={"value": claim.value, "spread": claim.spread, "n_runs": claim.n_runs},
    )


def _check_order_of_metrics(row: Mapping[str, Claim], errors: Reasons, oddities: Reasons) -> None:
    recalls = sorted((int(m[2:]), c) for m, c in row.items() if re.fullmatch(r"R@\d+", m))
    pairs = [(low, high) for (_, low), (_, high) in pairwise(recalls)]
    pairs += [(row[low], row[high]) for low, high in ORDER if low in row and high in row]
    for low, high in pairs:
        if low.value > high.value:
            reason = f"{low.metric} = {low.value:g} exceeds {high.metric} = {high.value:g}"
            # RP <= P@1 holds of every known method, but it is no theorem
            reasons = oddities if low.metric == "RP" else errors
            for claim in (low, high):
                reasons[claim.claim_id].append(reason)
    if "P@1" in row and "R@1" in row and row["P@1"].value != row["R@1"].value:
        reason = f"P@1 = {row['P@1'].value:g} and R@1 = {row['R@1'].value:g} are the same metric"
        errors[row["P@1"].claim_id].append(reason)


def _check_printed_runs(claim: Claim, errors: Reasons) -> None:
    """The mean and the std of the runs that a source prints, against the printed ones."""
    if len(claim.runs) < 2:
        return
    average = mean(claim.runs)
    if abs(average - claim.value) > _half_digit(claim.value):
        reason = f"the {len(claim.runs)} printed runs average {average:.3f}, not {claim.value:g}"
        repeated = sorted({run for run in claim.runs if claim.runs.count(run) > 1}, reverse=True)
        reason += f" ({', '.join(f'{r:g}' for r in repeated)} printed twice)" if repeated else ""
        errors[claim.claim_id].append(reason)
    if claim.spread_kind == "std" and claim.spread is not None:
        sample = stdev(claim.runs)
        population = sample * math.sqrt(1 - 1 / len(claim.runs))
        error = min(abs(sample - claim.spread), abs(population - claim.spread))
        if error > _half_digit(claim.spread):
            errors[claim.claim_id].append(
                f"the printed runs' std is {sample:.3f} (ddof 1) or {population:.3f} (ddof 0), "
                f"not {claim.spread:g}"
            )


def _half_digit(value: float) -> float:
    """Half a unit of a printed number's last decimal; of its first if it shows none."""
    decimals = len(f"{value:g}".partition(".")[2])
    return 0.5 * 10.0 ** -max(decimals, 1) + ROUNDING


def _check_repeated_numbers(claims: Sequence[Claim], oddities: Reasons) -> None:
    """Own numbers that a document prints in two places, under the same settings, unequally."""
    groups: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.reported_by == "own" and claim.tuned_on != "unknown":
            groups[claim.metric, claim.paper, *_method_settings(claim)].append(claim)
    for group in groups.values():
        for claim in group:
            for other in group:
                if other.table != claim.table and other.value != claim.value:
                    reason = f"{other.table} prints {other.value:g} for the same"
                    oddities[claim.claim_id].append(reason)


def _check_spreads(column: Sequence[Claim], oddities: Reasons) -> None:
    """Spreads far from the others of the same kind in their column."""
    with_spread = [claim for claim in column if claim.spread]
    for claim in with_spread:
        neighbours = [
            other.spread or 0.0
            for other in with_spread
            if other is not claim and other.spread_kind == claim.spread_kind
        ]
        if len(neighbours) < NEIGHBOURS:
            continue
        typical = median(neighbours)
        ratio = (claim.spread or 0.0) / typical
        if ratio >= FAR or ratio <= 1 / FAR:
            size = f"{ratio:.0f} times" if ratio > 1 else f"1/{1 / ratio:.0f} of"
            oddities[claim.claim_id].append(
                f"± {claim.spread:g} is {size} the median ± {typical:g} of its {len(neighbours)} "
                f"neighbours in the column (flagged from {FAR:g} times on)"
            )


def _check_collapses(claims: Sequence[Claim], oddities: Reasons) -> None:
    """Complete results below the same loss's Aggregate while the rest of the table gains."""
    tables: dict[tuple[str, ...], dict[str, dict[str, Claim]]] = defaultdict(dict)
    for claim in claims:
        if claim.category in ("complete", "aggregate"):
            table = tables[claim.paper, claim.table, claim.dataset, claim.metric]
            table.setdefault(claim.method, {})[claim.category] = claim
    for table in tables.values():
        rows = {method: row for method, row in table.items() if len(row) == 2}
        gains = {m: row["complete"].value / row["aggregate"].value for m, row in rows.items()}
        for method, row in rows.items():
            others = [gain for other, gain in gains.items() if other != method]
            if gains[method] < 1 and len(others) >= NEIGHBOURS and median(others) > 1:
                complete = row["complete"]
                reason = _collapse(complete, row["aggregate"], others)
                oddities[complete.claim_id].append(reason)


def _collapse(complete: Claim, aggregate: Claim, other_gains: Sequence[float]) -> str:
    """The reason in words.

    A spread much wider than the Aggregate's is read as two levels of runs (`two_levels`), any other
    as a training that fails every time.
    """
    gaining = sum(gain > 1 for gain in other_gains)
    reason = (
        f"Complete {complete.value:g} lies below its own Aggregate {aggregate.value:g}, while "
        f"{gaining} of {len(other_gains)} other losses gain (median x{median(other_gains):.2f})"
    )
    interval = complete.interval
    if interval is None:
        return reason
    if interval.half_width <= FAR * (aggregate.spread or math.inf):
        return reason + f"; ± {interval.half_width:g} is no wider than usual: every run collapsed"
    healthy = aggregate.value * median(other_gains)
    m, high, low = two_levels(complete.value, interval.std, n=interval.n, healthy=healthy)
    return reason + (
        f"; with std {interval.std:.1f} over {interval.n} runs it reads as a mean over some "
        f"failed runs, such as {m} of {interval.n} near {low:.0f} and the rest near {high:.0f}"
    )


def two_levels(mean: float, std: float, *, n: int, healthy: float) -> tuple[int, float, float]:
    """(m, high, low): m of n runs at `low` and the rest at `high` with this mean and std (ddof 1).

    Every m from 1 to n - 1 has one such pair. Returned is the one whose `high` is nearest to
    `healthy`, among those with low >= 0 if there are any.
    """
    fits = []
    for m in range(1, n):
        distance = std * math.sqrt(n * (n - 1) / (m * (n - m)))
        high = mean + distance * m / n
        low = high - distance
        fits.append((low < -ROUNDING, abs(high - healthy), m, high, low))
    _, _, m, high, low = min(fits)
    return m, high, low
