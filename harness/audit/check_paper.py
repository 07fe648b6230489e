"""Claims against their own document: every check that needs the printed numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from harness.audit import (
    check_categories,
    check_copies,
    check_metrics,
    check_runs,
    check_spreads,
)
from harness.audit.claims import Claim, rows_of
from harness.audit.doubts import Doubt, findings_of_doubts
from harness.audit.findings import Finding

NO_DOUBT = "no check of its row, its column or its runs speaks against it"


def on_paper(claims: Sequence[Claim]) -> list[Finding]:
    """One finding per claim, from the printed numbers of its own document alone."""
    doubts: list[Doubt] = []
    for row in rows_of(claims).values():
        doubts += check_metrics.order(row)
    for claim in claims:
        doubts += check_metrics.granularity(claim)
        doubts += check_runs.of_claim(claim)
        doubts += check_spreads.of_claim(claim)
    doubts += check_runs.twins(claims)
    doubts += check_spreads.of_columns(claims)
    doubts += check_categories.collapses(claims)
    doubts += check_categories.ensembles(claims)
    doubts += check_copies.printed_twice(claims)
    doubts += check_copies.runs(claims)
    doubts += check_copies.rows(claims)
    return findings_of_doubts(claims, doubts, check="on paper", no_doubt=NO_DOUBT)
