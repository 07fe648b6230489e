"""Claims against the numbers of other documents in results/published, one finding per claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.audit import check_copies, check_ranges
from harness.audit.claims import COLUMNS, Claim
from harness.audit.doubts import Doubt, findings_of_doubts
from harness.audit.findings import Finding

NO_DOUBT = "no number of another document speaks against it"
NOT_COMPARED = {"claim_id", "source", "evidence", "quoted_from"}  # they do not change the claim


def of_claims(
    claims: Sequence[Claim], published: Sequence[Claim], replaced: Mapping[str, Claim]
) -> list[Finding]:
    """One finding per claim, from what other documents print for the same datasets.

    replaced: the id of a claim -> the published claim of the same number, in whose place it stands.
    """
    numbers = check_ranges.Published(published)
    doubts = list(_differences(claims, replaced))
    for claim in claims:
        doubts += check_ranges.in_range(claim, numbers)
    doubts += check_ranges.steps(claims, numbers)
    doubts += check_ranges.swapped_rows(claims, numbers)
    doubts += check_copies.rows_of_others(claims, published)
    return findings_of_doubts(claims, doubts, check="other documents", no_doubt=NO_DOUBT)


def _differences(claims: Sequence[Claim], replaced: Mapping[str, Claim]) -> Iterator[Doubt]:
    for claim in claims:
        known = replaced.get(claim.claim_id)
        if known is None:
            continue
        differences = [
            f"{column} {getattr(known, column)}"
            for column in COLUMNS
            if column not in NOT_COMPARED and getattr(known, column) != getattr(claim, column)
        ]
        if differences:
            reason = f"results/published holds {', '.join(differences)} for it"
            reason += f" ({known.claim_id})"
            yield Doubt(claim.claim_id, "differs_from_published", reason)
