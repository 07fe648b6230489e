"""The single runs that a source prints against the number, the spread and the n beside them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import mean, stdev

from harness.audit.claims import Claim, half_digit
from harness.audit.doubts import Doubt
from harness.measure.intervals import t_quantile

NORMAL = 1.959964  # what some take for Student's quantile; such an interval is accepted as ci95
KIND_IN_WORDS = {"std": "a standard deviation", "ci95": "a 95 % interval"}


def of_claim(claim: Claim) -> Iterator[Doubt]:
    """A claim whose listed runs do not give its value, its n or its spread."""
    if not claim.runs:
        return
    if claim.n_runs is not None and claim.n_runs != len(claim.runs):
        reason = f"n = {claim.n_runs} is printed, but {_counted(claim.runs)} listed"
        yield Doubt(claim.claim_id, "runs_count", reason, certain=True)
    average = mean(claim.runs)
    if abs(average - claim.value) > _tolerance(claim):
        reason = _unequal_mean(claim, average)
        yield Doubt(claim.claim_id, "runs_mean", reason, certain=True)
    if len(claim.runs) < 2:
        if claim.spread is not None and claim.n_runs is None:
            reason = f"± {claim.spread:g} is printed with a single run, which has no spread"
            yield Doubt(claim.claim_id, "one_run", reason, certain=True)
        return
    if claim.spread is not None:
        yield from _unequal_spread(claim, claim.spread)
    if len(claim.runs) > 2 and len(set(claim.runs)) == 1:
        reason = f"all {len(claim.runs)} printed runs are {claim.runs[0]:g}"
        yield Doubt(claim.claim_id, "equal_runs", reason)


def _counted(runs: Sequence[float]) -> str:
    return "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"


def _rounding(runs: Sequence[float]) -> float:
    """By how much rounding each printed run may move their mean."""
    return min(half_digit(run) for run in runs)


def _tolerance(claim: Claim) -> float:
    """By how much the mean of the printed runs may miss the printed value, by rounding."""
    return half_digit(claim.value) + _rounding(claim.runs)


def _unequal_mean(claim: Claim, average: float) -> str:
    runs = claim.runs
    reason = f"the {len(runs)} printed runs average {average:.3f}, not {claim.value:g}"
    if len(runs) == 1:
        reason = f"the printed run is {runs[0]:g}, not {claim.value:g}"
    elif claim.value == max(runs):
        reason += ", which is the best of them"
    elif not min(runs) <= claim.value <= max(runs):
        reason += f", which lies outside of them ({min(runs):g} to {max(runs):g})"
    repeated = sorted({run for run in runs if runs.count(run) > 1}, reverse=True)
    if repeated:
        reason += f" ({', '.join(f'{run:g}' for run in repeated)} printed twice)"
    return reason


def _unequal_spread(claim: Claim, spread: float) -> Iterator[Doubt]:
    n = len(claim.runs)
    sample = stdev(claim.runs)
    population = sample * math.sqrt(1 - 1 / n)
    interval = t_quantile(0.95, n - 1) * sample / math.sqrt(n)
    values = {
        "std": (sample, population),
        "ci95": (interval, NORMAL * sample / math.sqrt(n)),
    }
    # three standard deviations of what rounding each run does to their standard deviation
    rounding = 3 * _rounding(claim.runs) / math.sqrt(3 * (n - 1))
    tolerance = half_digit(spread) + rounding

    def fits(value: float) -> bool:
        return abs(value - spread) <= tolerance

    if claim.spread_kind not in values or any(map(fits, values[claim.spread_kind])):
        return
    by_runs = (
        f"the {n} printed runs have the std {sample:.3f} (ddof 1) or {population:.3f} (ddof 0) and "
        f"the 95 % interval ± {interval:.3f}"
    )
    # runs that miss their mean hold a misprint: what kind of spread they have shows nothing
    kinds = values if abs(mean(claim.runs) - claim.value) <= _tolerance(claim) else {}
    for kind, of_kind in kinds.items():
        if any(map(fits, of_kind)):
            reason = f"± {spread:g} is called {claim.spread_kind} but is {KIND_IN_WORDS[kind]}: "
            yield Doubt(claim.claim_id, "spread_kind", reason + by_runs, certain=True)
            return
    if fits(sample / math.sqrt(n)):
        by_runs += "; it is their standard error"
    elif fits((max(claim.runs) - min(claim.runs)) / 2):
        by_runs += "; it is half their range"
    reason = f"± {spread:g} ({claim.spread_kind}) does not fit: {by_runs}"
    yield Doubt(claim.claim_id, "runs_spread", reason, certain=True)


def twins(claims: Sequence[Claim]) -> Iterator[Doubt]:
    """A number that is printed with its std and again with its interval, which do not agree."""
    groups: dict[tuple[object, ...], dict[str, Claim]] = defaultdict(dict)
    for claim in claims:
        if claim.spread is not None and claim.n_runs is not None and claim.n_runs > 1:
            groups[*claim.row, claim.metric, claim.n_runs][claim.spread_kind] = claim
    for (*_, n), kinds in groups.items():
        if "std" not in kinds or "ci95" not in kinds or not isinstance(n, int):
            continue
        std, printed = kinds["std"].spread or 0.0, kinds["ci95"].spread or 0.0
        factors = [t_quantile(0.95, n - 1) / math.sqrt(n), NORMAL / math.sqrt(n)]
        tolerance = half_digit(printed) + max(factors) * half_digit(std)
        if all(abs(factor * std - printed) > tolerance for factor in factors):
            reason = f"the std ± {std:g} of {n} runs gives a 95 % interval of "
            reason += f"± {factors[0] * std:.3f}, but ± {printed:g} is printed"
            for claim in (kinds["std"], kinds["ci95"]):
                yield Doubt(claim.claim_id, "spread_kind", reason, certain=True)
