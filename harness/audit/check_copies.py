"""Numbers that stand in two places: unequal where they should be equal, or equal by no chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from harness.audit.claims import Claim, decimals
from harness.audit.doubts import Doubt

COPIED_VALUES = 2  # a copied row has at least this many equal values
COPIED_DECIMALS = 3  # and its equal values and spreads show at least this many decimals together
COPIED_RUNS = 3
NO_YEAR = "9999"  # of a document without a year, which is taken for the newest
Row = Mapping[object, Claim]  # metric, or dataset and metric -> claim


def printed_twice(claims: Sequence[Claim]) -> Iterator[Doubt]:
    """Own numbers that a document prints in two places, under the same settings, unequally."""
    groups: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.reported_by == "own" and claim.tuned_on != "unknown":
            key = (claim.metric, claim.dataset, claim.paper, *claim.method_settings)
            groups[key].append(claim)
    for group in groups.values():
        for claim in group:
            for other in group:
                if other.table != claim.table and other.value != claim.value:
                    reason = f"{other.table} prints {other.value:g} for the same"
                    yield Doubt(claim.claim_id, "printed_twice", reason)


def runs(claims: Sequence[Claim]) -> Iterator[Doubt]:
    """Two numbers whose lists of runs are the same."""
    lists: dict[tuple[float, ...], list[Claim]] = defaultdict(list)
    for claim in claims:
        if len(set(claim.runs)) >= COPIED_RUNS:
            lists[claim.runs].append(claim)
    for group in lists.values():
        for claim, other in ((a, b) for a in group for b in group if a is not b):
            if claim.cell != other.cell or claim.method != other.method:
                reason = f"its {len(claim.runs)} runs are those of {other.method} on "
                reason += f"{other.dataset} ({other.category}, {other.metric})"
                yield Doubt(claim.claim_id, "copied_runs", reason)


def rows(claims: Sequence[Claim]) -> Iterator[Doubt]:
    """Rows of one document that hold the same numbers; either may be the copy."""
    by_paper: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(claims):
        by_paper[_first(row).paper].append(row)
    for of_paper in by_paper.values():
        for a, b in combinations(of_paper, 2):
            for key in _copied(a, b):
                yield _copy(a[key], b[key])
                yield _copy(b[key], a[key])


def rows_of_others(claims: Sequence[Claim], published: Sequence[Claim]) -> Iterator[Doubt]:
    """Rows that hold the numbers of an older document's row, of another method or dataset."""
    by_number: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in _rows(published):
        for key, claim in row.items():
            by_number[key, claim.value].append(row)
    for row in _rows(claims):
        paper, year = _first(row).paper, _first(row).paper_year or NO_YEAR
        candidates = [other for key, claim in row.items() for other in by_number[key, claim.value]]
        for other in {id(other): other for other in candidates}.values():
            if _first(other).paper != paper and _first(other).paper_year <= year:
                for key in _copied(row, other):
                    yield _copy(row[key], other[key])


def _rows(claims: Sequence[Claim]) -> list[Row]:
    """The rows of one dataset by metric; those of several by dataset and metric."""
    of_one: dict[tuple[object, ...], dict[object, Claim]] = defaultdict(dict)
    of_all: dict[tuple[object, ...], dict[object, Claim]] = defaultdict(dict)
    for claim in claims:
        of_one[claim.row][claim.metric] = claim
        of_all[claim.row_of_all_datasets][claim.dataset, claim.metric] = claim
    return [*of_one.values(), *(row for row in of_all.values() if len(_datasets(row)) > 1)]


def _first(row: Row) -> Claim:
    return next(iter(row.values()))


def _datasets(row: Row) -> set[str]:
    return {claim.dataset for claim in row.values()}


def _copied(a: Row, b: Row) -> list[object]:
    """The keys that both rows have, if all their values are equal and that is no chance."""
    shared = [key for key in a if key in b]
    if len(shared) < max(COPIED_VALUES, min(len(a), len(b))):
        return []
    if any(a[key].value != b[key].value for key in shared):
        return []
    if all(_one_measurement(a[key], b[key]) for key in shared):
        return []
    digits = sum(decimals(a[key].value) for key in shared)
    digits += sum(
        decimals(a[key].spread or 0.0) for key in shared if a[key].spread == b[key].spread
    )
    return shared if digits >= COPIED_DECIMALS else []


def _one_measurement(a: Claim, b: Claim) -> bool:
    """Whether two numbers are one method's on one dataset, and so may well be equal.

    One may quote the other, under a name such as cbml for cbml_log. Two trunks or dims in one
    document are two measurements.
    """
    if a.paper == b.paper and a.method == b.method and (a.trunk, a.dim) != (b.trunk, b.dim):
        return False
    related = a.method in b.method or b.method in a.method
    return related and (a.dataset, a.category) == (b.dataset, b.category)


def _copy(claim: Claim, original: Claim) -> Doubt:
    table = f", table {original.table}" if original.table else ""
    place = (
        f"{original.method} on {original.dataset} ({original.category}; {original.paper}{table})"
    )
    return Doubt(claim.claim_id, "copied_row", f"its row has the numbers of {place}: a copy?")
