"""Losses two by two on a dataset, and ranked over datasets: how far apart, and how surely.

Records in, numbers and text out. Scores are of one category and metric, and of the first search.
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
from harness.measure.multiple_comparisons import holm
from harness.measure.ranks import Ranks
from harness.schema import UNTRAINED, Record, Study
from harness.seeds import seed_from
from harness.tables import markup
from harness.tables.table import ALPHA, METRICS, repeat_scores

POWER = 0.8
MAX_REPEATS = 10_000  # beyond about this many repeats no number is given
HEAD = [
    "a",
    "b",
    "a - b, paired",
    "p Holm",
    "a - b, Welch",
    "P(a > b)",
    "sd of pairs",
    "repeats for this",
    "repeats for D",
    "n",
]


@dataclass(frozen=True)
class Pair:
    """Two losses: a minus b as shares of 1 over the repeats that both have, and what follows.

    `p_holm` is corrected over the pairs of the dataset. `sd` is that of the paired differences.
    `repeats_for_this` and `repeats_for_difference` say how many repeats per loss show the observed
    difference, or the comparison's `difference`, with 80 % power; None where there is no such
    number (no difference, no spread, or more than about MAX_REPEATS).
    """

    a: str
    b: str
    paired: intervals.Difference
    p_holm: float
    welch: intervals.Difference
    improvement: Bootstrap
    sd: float
    repeats_for_this: int | None
    repeats_for_difference: int | None


@dataclass(frozen=True)
class Comparison:
    """The pairs of a dataset, of one category and metric.

    `difference` is the size that the user wants to be able to find, in shares of 1; `left_out` are
    the losses with fewer than 2 repeats in common with any other.
    """

    study: str
    dataset: str
    category: str
    metric: str
    difference: float
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]


def scores_by_loss(
    study: Study, records: Mapping[str, Sequence[Record]], *, category: str, metric: str
) -> dict[str, dict[int, float]]:
    """Loss -> repeat -> score, of the losses that have any; the untrained trunk left out."""
    scores = {
        loss: repeat_scores(study, loss, of_loss, metrics=[metric])[category, metric]
        for loss, of_loss in records.items()
        if loss != UNTRAINED
    }
    return {loss: by_repeat for loss, by_repeat in scores.items() if by_repeat}


def compare(
    study: Study,
    dataset: str,
    records: Mapping[str, Sequence[Record]],
    *,
    category: str,
    metric: str,
    difference: float,
) -> Comparison:
    """Every pair of losses, best mean first; draws are seeded by names."""
    by_loss = scores_by_loss(study, records, category=category, metric=metric)
    scores = {loss: list(by_repeat.values()) for loss, by_repeat in by_loss.items()}
    losses = sorted(scores, key=lambda loss: (-float(np.mean(scores[loss])), loss))
    tests = {
        (a, b): test
        for a, b in combinations(losses, 2)
        if (test := intervals.paired_repeats(by_loss[a], by_loss[b])) is not None
    }
    adjusted = holm([test.p_value for test in tests.values()])
    pairs = []
    for ((a, b), paired), p_holm in zip(tests.items(), adjusted, strict=True):
        rng = np.random.default_rng(seed_from(study.name, dataset, "improvement", a, b))
        sd = paired.half_width / intervals.t_quantile(paired.level, paired.df) * math.sqrt(paired.n)
        pairs.append(
            Pair(
                a=a,
                b=b,
                paired=paired,
                p_holm=p_holm,
                welch=intervals.welch(scores[a], scores[b]),
                improvement=probability_of_improvement([scores[a]], [scores[b]], rng=rng),
                sd=sd,
                repeats_for_this=_repeats_for(paired.mean, sd),
                repeats_for_difference=_repeats_for(difference, sd),
            )
        )
    compared = {loss for pair in tests for loss in pair}
    return Comparison(
        study=study.name,
        dataset=dataset,
        category=category,
        metric=metric,
        difference=difference,
        pairs=tuple(pairs),
        left_out=tuple(loss for loss in sorted(records) if loss not in {*compared, UNTRAINED}),
    )


def _repeats_for(difference: float, sd: float) -> int | None:
    if sd == 0 or difference == 0:
        return None
    # n repeats find an effect of about 2.8 / sqrt(n) sds (80 % power at 5 %, Cohen 1988).
    if abs(difference) / sd < 2.9 / math.sqrt(MAX_REPEATS):
        return None
    return repeats_needed(abs(difference), sd, power=POWER)


def caption(comparison: Comparison) -> str:
    """What each number is, of how many, given what."""
    metric = METRICS[comparison.metric]
    text = (
        f"{comparison.dataset}, study {comparison.study}: {comparison.category} {metric} on the "
        "test classes, differences in points, a the better of the two means. paired: ± half-width "
        "of the 95 % t interval of the mean difference over n repeats with equal seeds, given the "
        "configurations chosen and this test set; p Holm: its paired t test, corrected over the "
        f"{len(comparison.pairs)} pairs here (*: below {ALPHA:g}). Welch: the same without "
        "pairing. P(a > b): share of pairs of runs in which a is ahead, a tie half, with the 95 % "
        "percentile bootstrap interval over repeats (narrow for few repeats). sd of pairs: of the "
        f"paired differences. repeats: per loss, to find with {100 * POWER:g} % power at 5 % "
        "(paired, two-sided, not corrected) a true difference of the size found, and of "
        f"D = {100 * comparison.difference:g} points, if the sd is as here; -: no spread, or more "
        f"than {MAX_REPEATS:,}. None of it holds the noise of the search."
    )
    if comparison.left_out:
        names = ", ".join(comparison.left_out)
        text += f"\nLEFT OUT, fewer than 2 repeats in common: {names}."
    return text


def markdown(comparison: Comparison) -> str:
    """The pairs as a GitHub table, the caption below."""
    body = []
    for pair in comparison.pairs:
        chance = pair.improvement
        body.append(
            [
                pair.a,
                pair.b,
                _points(pair.paired),
                f"{pair.p_holm:.3g}" + (" *" if pair.p_holm < ALPHA else ""),
                _points(pair.welch),
                f"{chance.mean:.2f} [{chance.low:.2f}, {chance.high:.2f}]",
                f"{100 * pair.sd:.2f}",
                pair.repeats_for_this or "-",
                pair.repeats_for_difference or "-",
                pair.paired.n,
            ]
        )
    return markup.markdown(HEAD, body, caption(comparison))


def _points(difference: intervals.Difference) -> str:
    return f"{100 * difference.mean:+.2f} ± {100 * difference.half_width:.2f}"


def as_data(comparison: Comparison) -> list[dict[str, Any]]:
    """The pairs for machines, as shares of 1."""
    return [
        {
            "study": comparison.study,
            "dataset": comparison.dataset,
            "category": comparison.category,
            "metric": comparison.metric,
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
            "repeats_for_asked": pair.repeats_for_difference,
            "asked": comparison.difference,
        }
        for pair in comparison.pairs
    ]


def comma_separated(comparisons: Sequence[Comparison], ranks: str) -> str:
    """One line per pair of every dataset, shares of 1; captions and the ranks' text as comments."""
    rows = [row for comparison in comparisons for row in as_data(comparison)]
    body = [["" if value is None else value for value in row.values()] for row in rows]
    captions = [caption(comparison) for comparison in comparisons if comparison.pairs]
    return markup.comma_separated(list(rows[0]), body, "\n".join([*captions, ranks]))


def ranks_as_data(ranks: Ranks) -> list[dict[str, Any]]:
    """Average ranks for machines."""
    return [
        {"loss": loss, "average_rank": rank, "datasets": ranks.n_datasets}
        for loss, rank in ranks.ranks.items()
    ]


def ranks_caption(ranks: Ranks, study: str, *, category: str, metric: str) -> str:
    """What the ranks are of, and which groups they do not tell apart."""
    groups = [" = ".join(group) for group in ranks.groups if len(group) > 1]
    return (
        f"Study {study}: average rank of the mean {category} {METRICS[metric]} over "
        f"{ranks.n_datasets} datasets (1 is best, ties averaged). Friedman's test of no difference "
        f"at all: p = {ranks.p_value:.3g}. Nemenyi's critical difference at {ranks.alpha:g}: "
        f"{ranks.critical_difference:.2f}; not told apart: {'; '.join(groups) or 'none'}. The "
        "datasets are what the ranks vary over; the repeats' noise only enters through the means."
    )
