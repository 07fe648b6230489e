"""Claims against everything that other documents print for the same datasets.

Values are compared as log-odds, log(p / (100 - p)), in which a step means the same at 30 and at
90 %. Nothing here is a theorem: a new method may be better than all others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations, pairwise
from statistics import median

from harness.audit.claims import UNBOUNDED, UNTRAINED, Claim, half_digit, rows_of
from harness.audit.doubts import Doubt

NUMBERS = 10  # a claim is compared with at least this many numbers
ROWS = 8  # and a relation within a row with at least this many rows
DOCUMENTS = 2  # of at least this many other documents
MARGIN = 1.0  # points above the highest printed number that are never called far
REVERSED = 4.0  # two datasets look swapped if their gap is this many deviations off the usual one
USUAL = 2.0  # while the reversed gap is within this many
LEAST_DEVIATION = 0.15  # of gaps, in log-odds
LEAST_MARGIN = 0.15  # of steps, in log-odds
STEPS = (("MAP@R", "RP"), ("RP", "P@1"), ("RP", "R@1"), ("MAP@R", "P@1"), ("MAP@R", "R@1"))
Numbers = Sequence[tuple[str, float]]  # whose, number


class Published:
    """The printed numbers of trained methods, by dataset, for comparison with other documents'."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims = [c for c in claims if c.metric not in UNBOUNDED and c.method not in UNTRAINED]

    @cached_property
    def values(self) -> Mapping[tuple[str, str], Numbers]:
        """(dataset, metric) -> the values."""
        values: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
        for claim in self.claims:
            values[claim.dataset, claim.metric].append((_whose(claim), claim.value))
        return values

    @cached_property
    def steps(self) -> Mapping[tuple[str, str, str], Numbers]:
        """(dataset, metric, other metric) -> how much further the other's log-odds are, by row."""
        steps: dict[tuple[str, str, str], list[tuple[str, float]]] = defaultdict(list)
        for row in rows_of(self.claims).values():
            for low, high in _steps_of(row):
                step = log_odds(high.value) - log_odds(low.value)
                steps[low.dataset, low.metric, high.metric].append((_whose(low), step))
        return steps

    @cached_property
    def gaps(self) -> Mapping[tuple[str, str, str], Numbers]:
        """(dataset, other dataset, metric) -> how much further the other's log-odds are."""
        gaps: dict[tuple[str, str, str], list[tuple[str, float]]] = defaultdict(list)
        for a, b in _gaps_of(self.claims):
            gap = log_odds(b.value) - log_odds(a.value)
            gaps[a.dataset, b.dataset, a.metric].append((_whose(a), gap))
        return gaps


def log_odds(value: float) -> float:
    """log(p / (100 - p)) of a percentage, which is kept off 0 and 100."""
    p = min(99.95, max(0.05, value))
    return math.log(p / (100 - p))


def _whose(claim: Claim) -> str:
    """The document that a number comes from; what one quotes is not its own."""
    return f"quoted in {claim.paper}" if claim.reported_by == "quoted" else claim.paper


def _of_others(numbers: Numbers, claim: Claim, least: int) -> list[float]:
    """The numbers that are not of the claim's document; none if they are too few."""
    others = [(whose, value) for whose, value in numbers if whose != _whose(claim)]
    if len(others) < least or len({whose for whose, _ in others}) < DOCUMENTS:
        return []
    return [value for _, value in others]


def in_range(claim: Claim, published: Published) -> Iterator[Doubt]:
    """A value far above everything printed for its dataset, or a tenth of what is printed."""
    numbers = published.values.get((claim.dataset, claim.metric), ())
    values = _of_others(numbers, claim, NUMBERS)
    if not values or claim.method in UNTRAINED or claim.metric in UNBOUNDED:
        return
    lowest, typical, highest = min(values), median(values), max(values)
    printed = f"the {len(values)} numbers that other documents print for {claim.dataset} "
    printed += f"{claim.metric} ({lowest:g} to {highest:g}, median {typical:g})"
    lead = log_odds(claim.value) - log_odds(highest)
    usual = log_odds(highest) - log_odds(typical)
    if claim.value > highest + MARGIN and lead > usual:
        reason = f"{claim.value:g} lies far above {printed}"
        fitting = _fitting(claim, published)
        if fitting:
            reason += f"; it would fit {', '.join(fitting)}"
            yield Doubt(claim.claim_id, "swapped_datasets", reason)
        yield Doubt(claim.claim_id, "beyond_range", reason)
    tenfold = 10 * claim.value
    if claim.value < lowest and _quantile(values, 0.1) <= tenfold <= highest:
        reason = f"{claim.value:g} lies below {printed}, and ten times it would fit"
        yield Doubt(claim.claim_id, "slipped_point", reason)


def _quantile(values: Sequence[float], share: float) -> float:
    """The value with this share of the others below it."""
    return sorted(values)[round(share * (len(values) - 1))]


def _fitting(claim: Claim, published: Published) -> list[str]:
    """The other datasets whose usual numbers (the middle 80 %) include the claim's."""
    names = []
    for (dataset, metric), numbers in published.values.items():
        values = _of_others(numbers, claim, NUMBERS)
        if values and metric == claim.metric and dataset != claim.dataset:
            low, high = _quantile(values, 0.1), _quantile(values, 0.9)
            if low <= claim.value <= high:
                names.append(f"{dataset} ({low:g} to {high:g})")
    return names


def steps(claims: Sequence[Claim], published: Published) -> Iterator[Doubt]:
    """Two metrics of a row whose relation lies far outside of what other rows show.

    Such as R@8 hardly above R@4, as with two digits of a number changed over. The range of the
    others, which is the middle 90 % of them, is widened by itself on either side.
    """
    for row in rows_of(c for c in claims if c.method not in UNTRAINED).values():
        for low, high in _steps_of(row):
            numbers = published.steps.get((low.dataset, low.metric, high.metric), ())
            others = _of_others(numbers, low, ROWS)
            step = log_odds(high.value) - log_odds(low.value)
            if not others or low.value > high.value:  # another check tells of a wrong order
                continue
            least, most = _quantile(others, 0.05), _quantile(others, 0.95)
            margin = max(LEAST_MARGIN, most - least) + _rounding(low) + _rounding(high)
            if not least - margin <= step <= most + margin:
                reason = (
                    f"the odds of {high.metric} = {high.value:g} are {math.exp(step):.2f} times "
                    f"those of {low.metric} = {low.value:g}; in {len(others)} rows of other "
                    f"documents on {low.dataset} they are mostly {math.exp(least):.2f} to "
                    f"{math.exp(most):.2f} times"
                )
                for claim in (low, high):
                    yield Doubt(claim.claim_id, "unusual_step", reason)


def _rounding(claim: Claim) -> float:
    """By how much rounding moves a claim's log-odds at most."""
    digit = half_digit(claim.value)
    return log_odds(claim.value + digit) - log_odds(claim.value - digit)


def _steps_of(row: Mapping[str, Claim]) -> Iterator[tuple[Claim, Claim]]:
    recalls = sorted(int(metric[2:]) for metric in row if metric.startswith("R@"))
    pairs = [(f"R@{k}", f"R@{larger}") for k, larger in pairwise(recalls)]
    for low, high in (*STEPS, *pairs):
        if low in row and high in row and row[low].metric not in UNBOUNDED:
            yield row[low], row[high]


def swapped_rows(claims: Sequence[Claim], published: Published) -> Iterator[Doubt]:
    """A method's numbers on two datasets that differ as usual, but the other way round."""
    for a, b in _gaps_of([c for c in claims if c.method not in UNTRAINED]):
        numbers = published.gaps.get((a.dataset, b.dataset, a.metric), ())
        others = _of_others(numbers, a, ROWS)
        if not others:
            continue
        usual = median(others)
        deviation = 1.4826 * median(abs(gap - usual) for gap in others)
        deviation = max(LEAST_DEVIATION, deviation)
        gap = log_odds(b.value) - log_odds(a.value)
        is_reversed = abs(-gap - usual) <= USUAL * deviation
        if abs(gap - usual) > REVERSED * deviation and is_reversed:
            higher, lower = (b, a) if usual > 0 else (a, b)
            reason = (
                f"{a.metric} is {a.value:g} on {a.dataset} and {b.value:g} on {b.dataset}; in "
                f"{len(others)} rows of other documents {higher.dataset} lies above "
                f"{lower.dataset}, by about as much: swapped?"
            )
            for claim in (a, b):
                yield Doubt(claim.claim_id, "swapped_datasets", reason)


def _gaps_of(claims: Sequence[Claim]) -> Iterator[tuple[Claim, Claim]]:
    """Pairs of one row's numbers on two datasets, by the datasets' names."""
    rows: dict[tuple[object, ...], dict[str, Claim]] = defaultdict(dict)
    for claim in claims:
        if claim.metric not in UNBOUNDED:
            rows[*claim.row_of_all_datasets, claim.metric][claim.dataset] = claim
    for row in rows.values():
        for a, b in combinations(sorted(row), 2):
            yield row[a], row[b]
