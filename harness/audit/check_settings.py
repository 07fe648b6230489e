"""Comparability: settings of each number against those of the numbers that it is compared with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from harness.audit.check_statements import Cell, finding
from harness.audit.claims import Claim
from harness.audit.findings import Finding
from harness.audit.settings import SETTINGS, Effect, Fact, known_of, settings, unequal, worth
from harness.audit.statements import Pair, Statement

NAMED = 6  # comparisons that a reason names at most


def of_claims(
    claims: Sequence[Claim], found: Mapping[str, Effect], facts: Sequence[Fact] = ()
) -> list[Finding]:
    """A finding per claim that stands in a table beside its authors' own, and one per table.

    A claim is compared with every own number of another method in its column (dataset, category,
    metric), or with the best of the column where a document has no own numbers.
    """
    columns: dict[tuple[str, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        columns[(claim.paper, claim.table, *claim.cell)].append(claim)
    findings = []
    cells: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for column in columns.values():
        own = [c for c in column if c.reported_by == "own"]
        own = own or [max(column, key=lambda c: c.value)]
        for claim in column:
            beside = [c for c in own if c.method != claim.method]
            if beside:
                findings.append(_compared(claim, beside, found, facts, cells))
    for (paper, table), told in cells.items():
        findings += [_of_table(paper, table, what, listed) for what, listed in told.items()]
    return findings


def _compared(
    claim: Claim,
    beside: Sequence[Claim],
    found: Mapping[str, Effect],
    facts: Sequence[Fact],
    cells: dict[tuple[str, str], dict[str, list[str]]],
) -> Finding:
    mine, said, data, differ = settings(claim, facts), [], [], 0
    for other in beside:
        apart = unequal(mine, settings(other, facts))
        differ += bool(apart)
        gap = other.value - claim.value
        words = [f"{n}: {x} to {y}, {worth(found, n, x, y, claim)}" for n, (x, y) in apart.items()]
        said.append(
            f"{other.method} {other.value:g} (gap {gap:+.2f}) "
            + ("; ".join(words) if words else "no known setting differs")
        )
        data.append({"with": other.claim_id, "gap": gap, "unequal": apart})
        for name, (x, y) in apart.items():
            cell = f"{claim.dataset} {claim.metric} {claim.method} to {other.method}"
            what = f"{name}: {' with '.join(sorted((x, y)))}"
            # an own number meets another own number twice, once from either side
            back = f"{claim.dataset} {claim.metric} {other.method} to {claim.method}"
            met = cells[(claim.paper, claim.table)][what]
            if back not in met and cell not in met:
                met.append(cell)
    silent = [name for name in SETTINGS if name not in mine]
    reason = f"{claim.method} {claim.value:g} stands beside " + " | ".join(said)
    reason += f"; not stated for it: {', '.join(silent)}" if silent else ""
    listed = [f"{fact.fact} ({fact.source})" for fact in known_of(claim, facts)]
    reason += f"; known of its paper: {', '.join(listed)}" if listed else ""
    return Finding(
        check="comparability", about="claim", subject=claim.claim_id, paper=claim.paper,
        verdict="not comparable" if differ == len(beside) else "comparable", reason=reason,
        numbers={"value": claim.value, "compared": data, "not_stated": silent,
                 "facts": listed},
    )  # fmt: skip


def _of_table(paper: str, table: str, what: str, listed: Sequence[str]) -> Finding:
    counted = Counter(cell.split(" ", 2)[2] for cell in listed)
    rows = ", ".join(f"{pair} ({n} cells)" for pair, n in counted.items())
    return Finding(
        check="comparability", about="table", subject=f"{paper}, table {table}: {what}",
        paper=paper, verdict="not comparable",
        reason=f"{len(listed)} cells compare {what.replace(': ', ' ')}: {rows}",
        numbers={"table": table, "unequal": what, "cells": list(listed)},
    )  # fmt: skip


def of_statement(
    statement: Statement,
    pairs: Sequence[Pair],
    found: Mapping[str, Effect],
    facts: Sequence[Fact] = (),
) -> Finding:
    """Which of a statement's gaps are between numbers obtained under unequal settings."""
    printed = [(a.claim, b.claim) for a, b in pairs if a.claim and b.claim]
    cells = [Cell(a, b, a.claim.value - b.claim.value) for a, b in pairs if a.claim and b.claim]
    counted: Counter[str] = Counter()
    said = []
    for (a, b), cell in zip(printed, cells, strict=True):
        apart = unequal(settings(b, facts), settings(a, facts))
        counted.update(f"{name} {x} against {y}" for name, (y, x) in apart.items())
        if apart:
            effect = "; ".join(f"{n} {worth(found, n, x, y, a)}" for n, (x, y) in apart.items())
            said.append(f"{cell.name}: {effect}")
    if not printed:
        reason = "the claims hold no printed numbers of these comparisons"
        return finding("comparability", statement, "no evidence", reason, cells)
    if not counted:
        reason = f"no known setting differs in {len(printed)} comparisons"
        return finding("comparability", statement, "comparable", reason, cells)
    reason = f"unequal in {len(said)} of {len(printed)} comparisons: "
    reason += ", ".join(f"{what} ({n})" for what, n in counted.items())
    more = f" and {len(said) - NAMED} more" if len(said) > NAMED else ""
    reason += f". The gaps beside the known effects: {' | '.join(said[:NAMED])}{more}"
    reason += f" ({statement.note})" if statement.note else ""
    return finding("comparability", statement, "not comparable", reason, cells)
