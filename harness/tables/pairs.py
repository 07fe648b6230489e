"""Losses two by two on a dataset, and by their ranks over datasets: what is apart, and how surely.

Records in, lines of numbers and text out; scores of one category and metric, of the first search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from harness.measure import intervals
from harness.measure.bootstrap import Bootstrap, probability_of_improvement, repeats_needed
from harness.measure.ranks import Ranks
from harness.schema import UNTRAINED, Record, Study
from harness.seeds import seed_from
from harness.tables import markup
from harness.tables.table import ALPHA, METRICS, values_of

POWER = 0.8
MOST = 10_000  # repeats beyond which "more than that" is the answer
HEAD = ("a", "b", "a - b, paired", "p Holm", "a - b, Welch", "P(a > b)", "sd of pairs",
        "repeats for this", "repeats for D", "n")  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two losses: a minus b as shares of 1 over the repeats that both have, and what follows.

    `p_holm` is corrected over the pairs of the dataset. `sd` is that of the paired differences;
    `repeats_for_this` and `repeats_for` say how many repeats per loss show the difference found, or
    the one asked for, with 80 % power; None where no number does (no difference, no spread).
    """

    a: str
    b: str
    paired: intervals.Difference
    p_holm: float
    welch: intervals.Difference
    improvement: Bootstrap
    sd: float
    repeats_for_this: int | None
    repeats_for: int | None


@dataclass(frozen=True)
class Comparison:
    """The pairs of a dataset, of one category and metric; `difference` in shares of 1."""

    study: str
    dataset: str
    category: str
    metric: str
    difference: float
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]  # losses with fewer than 2 repeats in common with the others


def values(
    study: Study, records: Mapping[str, Sequence[Record]], category: str, metric: str
) -> dict[str, dict[int, float]]:
    """Loss -> repeat -> score of the category, where there is one; the untrained trunk left out."""
    told = {
        loss: values_of(study, loss, lines, (metric,))[category, metric]
        for loss, lines in records.items()
        if loss != UNTRAINED
    }
    return {loss: scores for loss, scores in told.items() if scores}


def compared(
    study: Study,
    dataset: str,
    records: Mapping[str, Sequence[Record]],
    *,
    category: str,
    metric: str,
    difference: float,
) -> Comparison:
    """Every pair of losses, best mean first; draws are seeded by names."""
    told = values(study, records, category, metric)
    names = sorted(told, key=lambda loss: (-float(np.mean(list(told[loss].values()))), loss))
    found = {(a, b): intervals.paired_repeats(told[a], told[b]) for a, b in combinations(names, 2)}
    tests = {pair: test for pair, test in found.items() if test is not None}
    used = {name for pair in tests for name in pair}
    adjusted = intervals.holm([test.p_value for test in tests.values()])
    pairs = []
    for ((a, b), paired), p_holm in zip(tests.items(), adjusted, strict=True):
        left, right = list(told[a].values()), list(told[b].values())
        rng = np.random.default_rng(seed_from(study.name, dataset, "improvement", a, b))
        sd = paired.half_width / intervals.t_quantile(paired.level, paired.df) * math.sqrt(paired.n)
        pairs.append(
            Pair(
                *(a, b, paired, p_holm, intervals.welch(left, right)),
                probability_of_improvement([left], [right], rng=rng),
                *(sd, _needed(paired.mean, sd), _needed(difference, sd)),
            )
        )
    out = tuple(name for name in sorted(records) if name not in used and name != UNTRAINED)
    return Comparison(study.name, dataset, category, metric, difference, tuple(pairs), out)


def _needed(difference: float, sd: float) -> int | None:
    if sd == 0 or difference == 0 or abs(difference) / sd < 2.9 / math.sqrt(MOST):
        return None
    return repeats_needed(abs(difference), sd, power=POWER)


def caption(told: Comparison) -> str:
    """What each number is, of how many, given what."""
    said = (
        f"{told.dataset}, study {told.study}: {told.category} {METRICS[told.metric]} on the test "
        "classes, differences in points, a the better of the two means. paired: ± half-width of "
        "the 95 % t interval of the mean difference over n repeats with equal seeds, given the "
        "configurations chosen and this test set; p Holm: its paired t test, corrected over the "
        f"{len(told.pairs)} pairs here (*: below {ALPHA:g}). Welch: the same without pairing. "
        "P(a > b): share of pairs of runs in which a is ahead, a tie half, with the 95 % "
        "percentile bootstrap interval over repeats (narrow for few repeats). sd of pairs: of the "
        f"paired differences. repeats: per loss, to find with {100 * POWER:g} % power at 5 % "
        "(paired, two-sided, not corrected) a true difference of the size found, and of "
        f"D = {100 * told.difference:g} points, if the sd is as here; -: no spread, or more than "
        f"{MOST:,}. None of it holds the noise of the search."
    )
    if told.left_out:
        said += f"\nLEFT OUT, fewer than 2 repeats in common: {', '.join(told.left_out)}."
    return said


def markdown(told: Comparison) -> str:
    """The pairs as a GitHub table, the caption below."""
    body = []
    for pair in told.pairs:
        found, chance = pair.paired, pair.improvement
        body.append(
            [
                *(pair.a, pair.b, _points(found)),
                f"{pair.p_holm:.3g}" + " *" * (pair.p_holm < ALPHA),
                _points(pair.welch),
                f"{chance.mean:.2f} [{chance.low:.2f}, {chance.high:.2f}]",
                *(f"{100 * pair.sd:.2f}", pair.repeats_for_this or "-", pair.repeats_for or "-"),
                found.n,
            ]
        )
    return markup.markdown(HEAD, body, caption(told))


def _points(found: intervals.Difference) -> str:
    return f"{100 * found.mean:+.2f} ± {100 * found.half_width:.2f}"


def rows(told: Comparison) -> list[dict[str, Any]]:
    """The pairs for machines, as shares of 1."""
    return [
        {
            "study": told.study,
            "dataset": told.dataset,
            "category": told.category,
            "metric": told.metric,
            "a": pair.a,
            "b": pair.b,
            "difference": pair.paired.mean,
            "paired_ci95": pair.paired.half_width,
            "n": pair.paired.n,
            "p": pair.paired.p_value,
            "p_holm": pair.p_holm,
            "welch_ci95": pair.welch.half_width,
            "welch_p": pair.welch.p_value,
            "probability_a_ahead": pair.improvement.mean,
            "probability_low": pair.improvement.low,
            "probability_high": pair.improvement.high,
            "sd_paired": pair.sd,
            "repeats_for_this": pair.repeats_for_this,
            "repeats_for_asked": pair.repeats_for,
            "asked": told.difference,
        }
        for pair in told.pairs
    ]


def comma_separated(found: Sequence[Comparison], ranks: str) -> str:
    """One line per pair of every dataset, shares of 1; captions and ranks as comments."""
    lines = [line for told in found for line in rows(told)]
    body = [["" if v is None else v for v in line.values()] for line in lines]
    said = "\n".join([*(caption(told) for told in found if told.pairs), ranks])
    return markup.comma_separated(list(lines[0]), body, said)


def rank_rows(found: Ranks) -> list[dict[str, Any]]:
    """Average ranks for machines."""
    return [
        {"loss": loss, "average_rank": rank, "datasets": found.n_datasets}
        for loss, rank in found.ranks.items()
    ]


def ranks_caption(found: Ranks, study: str, category: str, metric: str) -> str:
    """What the ranks are of, and which groups they do not tell apart."""
    groups = [" = ".join(group) for group in found.groups if len(group) > 1]
    return (
        f"Study {study}: average rank of the mean {category} {METRICS[metric]} over "
        f"{found.n_datasets} datasets (1 is best, ties averaged). Friedman's test of no difference "
        f"at all: p = {found.p_value:.3g}. Nemenyi's critical difference at {found.alpha:g}: "
        f"{found.critical_difference:.2f}; not told apart: {'; '.join(groups) or 'none'}. The "
        "datasets are what the ranks vary over; the repeats' noise only enters through the means."
    )
