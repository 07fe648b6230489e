"""Comparability: the settings of each number against those of the numbers it is compared with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.audit.cells import Cell, statement_finding
from harness.audit.claims import Claim
from harness.audit.findings import Finding, Verdict
from harness.audit.settings import (
    SETTINGS,
    Effect,
    EffectKey,
    MethodFact,
    UnequalSettings,
    claim_settings,
    effect_in_words,
    facts_of,
    unequal_settings,
)
from harness.audit.statements import Pair, Statement

NAMED = 6  # a reason names at most this many comparisons


class Comparison(NamedTuple):
    """A claim, a number of the same column beside it, and the settings that differ."""

    claim: Claim
    reference: Claim
    unequal: UnequalSettings  # setting -> (the claim's, the reference's)


def of_claims(
    claims: Sequence[Claim],
    effects: Mapping[EffectKey, Effect],
    facts: Sequence[MethodFact] = (),
) -> list[Finding]:
    """A finding per claim that stands in a table beside its authors' own, and one per table.

    A claim is compared with every own number of another method in its column (dataset, category,
    metric), or with the best of the column where a document has no own numbers.
    """
    findings, comparisons = [], []
    for claim, references in _with_references(claims):
        settings = claim_settings(claim, facts)
        compared = [
            Comparison(claim, other, unequal_settings(settings, claim_settings(other, facts)))
            for other in references
        ]
        comparisons += compared
        findings.append(_of_claim(claim, compared, effects, facts=facts))
    return findings + _of_tables(comparisons)


def _with_references(claims: Sequence[Claim]) -> Iterator[tuple[Claim, list[Claim]]]:
    """Every claim with the numbers of its column that it is compared with, if there are any."""
    columns: dict[tuple[str, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        columns[(claim.paper, claim.table, *claim.cell)].append(claim)
    for column in columns.values():
        by_authors = [claim for claim in column if claim.reported_by == "own"]
        candidates = by_authors or [max(column, key=lambda claim: claim.value)]
        for claim in column:
            references = [other for other in candidates if other.method != claim.method]
            if references:
                yield claim, references


def _of_claim(
    claim: Claim,
    comparisons: Sequence[Comparison],
    effects: Mapping[EffectKey, Effect],
    *,
    facts: Sequence[MethodFact],
) -> Finding:
    parts, data = [], []
    for _, reference, unequal in comparisons:
        gap = reference.value - claim.value
        differences = [
            f"{name}: {before} to {after}, "
            + effect_in_words(effects, claim, name, before=before, after=after)
            for name, (before, after) in unequal.items()
        ]
        settings = "; ".join(differences) or "no known setting differs"
        parts.append(f"{reference.method} {reference.value:g} (gap {gap:+.2f}) {settings}")
        data.append({"with": reference.claim_id, "gap": gap, "unequal": unequal})
    known = claim_settings(claim, facts)
    unstated = [name for name in SETTINGS if name not in known]
    sources = [f"{fact.fact} ({fact.source})" for fact in facts_of(claim, facts)]
    reason = f"{claim.method} {claim.value:g} stands beside " + " | ".join(parts)
    reason += f"; not stated for it: {', '.join(unstated)}" if unstated else ""
    reason += f"; known of its paper: {', '.join(sources)}" if sources else ""
    all_differ = all(comparison.unequal for comparison in comparisons)
    return Finding(
        check="comparability",
        about="claim",
        subject=claim.claim_id,
        paper=claim.paper,
        verdict="not comparable" if all_differ else "comparable",
        reason=reason,
        numbers={
            "value": claim.value,
            "compared": data,
            "not_stated": unstated,
            "facts": sources,
        },
    )


def _of_tables(comparisons: Sequence[Comparison]) -> list[Finding]:
    """One finding per table and pair of unequal values, with the cells that compare them."""
    cells: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for claim, reference, unequal in comparisons:
        place = f"{claim.dataset} {claim.metric}"
        cell = f"{place} {claim.method} to {reference.method}"
        # an own number meets another own number twice, once from either side
        reverse = f"{place} {reference.method} to {claim.method}"
        for name, values in unequal.items():
            listed = cells[claim.paper, claim.table][f"{name}: {' with '.join(sorted(values))}"]
            if cell not in listed and reverse not in listed:
                listed.append(cell)
    return [
        _of_table(paper, table, difference, cells=listed)
        for (paper, table), differences in cells.items()
        for difference, listed in differences.items()
    ]


def _of_table(paper: str, table: str, difference: str, *, cells: Sequence[str]) -> Finding:
    counted = Counter(cell.split(" ", 2)[2] for cell in cells)
    pairs = ", ".join(f"{pair} ({n} cells)" for pair, n in counted.items())
    return Finding(
        check="comparability",
        about="table",
        subject=f"{paper}, table {table}: {difference}",
        paper=paper,
        verdict="not comparable",
        reason=f"{len(cells)} cells compare {difference.replace(': ', ' ')}: {pairs}",
        numbers={"table": table, "unequal": difference, "cells": list(cells)},
    )


def of_statement(
    statement: Statement,
    pairs: Sequence[Pair],
    effects: Mapping[EffectKey, Effect],
    *,
    facts: Sequence[MethodFact] = (),
) -> Finding:
    """Which of a statement's gaps are between numbers obtained under unequal settings."""
    cells = []
    counted: Counter[str] = Counter()
    gaps = []
    for a, b in pairs:
        if not a.claim or not b.claim:
            continue
        cell = Cell(a, b, a.claim.value - b.claim.value)
        cells.append(cell)
        unequal = unequal_settings(claim_settings(b.claim, facts), claim_settings(a.claim, facts))
        counted.update(f"{name} {of_a} against {of_b}" for name, (of_b, of_a) in unequal.items())
        if unequal:
            known = "; ".join(
                f"{name} {effect_in_words(effects, a.claim, name, before=of_b, after=of_a)}"
                for name, (of_b, of_a) in unequal.items()
            )
            gaps.append(f"{cell.name}: {known}")
    verdict: Verdict
    if not cells:
        verdict = "no evidence"
        reason = "the claims hold no printed numbers of these comparisons"
    elif not counted:
        verdict = "comparable"
        reason = f"no known setting differs in {len(cells)} comparisons"
    else:
        verdict = "not comparable"
        reason = f"unequal in {len(gaps)} of {len(cells)} comparisons: "
        reason += ", ".join(f"{values} ({n})" for values, n in counted.items())
        more = f" and {len(gaps) - NAMED} more" if len(gaps) > NAMED else ""
        reason += f". The gaps beside the known effects: {' | '.join(gaps[:NAMED])}{more}"
        reason += f" ({statement.note})" if statement.note else ""
    return statement_finding(
        statement, cells, check="comparability", verdict=verdict, reason=reason
    )
