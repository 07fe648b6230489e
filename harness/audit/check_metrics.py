"""The metrics of one printed row against one another, and against the number of test queries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from harness.audit.claims import Claim, decimals
from harness.audit.doubts import Doubt

# Test queries of the published splits; a recall of one model is a whole number of them.
QUERIES = {"cub": 5_924, "cars": 8_131, "sop": 60_502, "inshop": 14_218}
# Per query MAP@R <= RP, because every precision is at most 1. The other orders are no theorems: a
# query may miss its nearest neighbour and find the next ones. They hold of all known methods.
THEOREMS = (("MAP@R", "RP"),)
HABITS = (("MAP@R", "P@1"), ("MAP@R", "R@1"), ("RP", "P@1"), ("RP", "R@1"))
FIRST_NEIGHBOUR = ("P@1", "R@1")  # two names of one metric


def order(row: Mapping[str, Claim]) -> Iterator[Doubt]:
    """Metrics of a row (metric -> claim) that exceed one which they cannot, or hardly ever do."""
    recalls = [(int(metric[2:]), metric) for metric in row if re.fullmatch(r"R@\d+", metric)]
    if "P@1" in row:
        recalls.append((1, "P@1"))
    recalls.sort()
    rising = [(a, b) for (k, a), (larger_k, b) in pairwise(recalls) if k < larger_k]
    rising += [("P@1", b) for k, b in recalls[2:3] if "P@1" in row and "R@1" in row]
    for low, high in dict.fromkeys((*rising, *THEOREMS)):
        yield from _exceeds(row, low, high, certain=True)
    for low, high in HABITS:
        yield from _exceeds(row, low, high, certain=False)
    if all(metric in row for metric in FIRST_NEIGHBOUR):
        twins = [row[metric] for metric in FIRST_NEIGHBOUR]
        if twins[0].value != twins[1].value:
            values = " and ".join(f"{claim.metric} = {claim.value:g}" for claim in twins)
            for claim in twins:
                reason = f"{values} are the same metric"
                yield Doubt(claim.claim_id, "unequal_twins", reason, certain=True)


def _exceeds(row: Mapping[str, Claim], low: str, high: str, *, certain: bool) -> Iterator[Doubt]:
    if low in row and high in row and row[low].value > row[high].value:
        reason = f"{low} = {row[low].value:g} exceeds {high} = {row[high].value:g}"
        if not certain:
            reason += ", as in no known method"
        for claim in (row[low], row[high]):
            yield Doubt(claim.claim_id, "metric_order", reason, certain=certain)


def granularity(claim: Claim) -> Iterator[Doubt]:
    """A recall of one model that no whole number of the dataset's test queries gives.

    It may be rounded or cut off after its last decimal. Means over runs or folds have finer steps
    and are left out, as are numbers that do not say of how many runs they are.
    """
    queries = QUERIES.get(claim.dataset)
    is_recall = claim.metric == "P@1" or claim.metric.startswith("R@")
    if queries is None or not is_recall or claim.category == "aggregate":
        return
    single = list(claim.runs) or ([claim.value] if claim.n_runs == 1 else [])
    impossible = [value for value in single if not _possible(value, queries)]
    if impossible:
        values = ", ".join(f"{value:g}" for value in impossible)
        reason = f"no whole number of the {queries:,} test queries of {claim.dataset} gives "
        reason += f"{values} %: a mean, or another test set"
        yield Doubt(claim.claim_id, "granularity", reason)


def _possible(value: float, queries: int) -> bool:
    unit = 10.0 ** -decimals(value)
    nearest = round(value * queries / 100)
    shares = (100 * count / queries for count in (nearest - 1, nearest, nearest + 1))
    return any(abs(share - value) < unit for share in shares)
