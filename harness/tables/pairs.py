"""Losses two by two on a dataset: how far apart, and how surely. Records in, numbers out.

Scores are of one category and metric, and of the first search.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import NormalDist

import numpy as np

from harness.measure import intervals
from harness.measure.bootstrap import Bootstrap, probability_of_improvement
from harness.measure.multiple_comparisons import ALPHA
from harness.measure.power import repeats_needed
from harness.measure.separation import Separation, separation
from harness.schema import BASELINES, Record, Study
from harness.seeds import seed_from
from harness.tables import capped
from harness.tables import metrics as known_metrics
from harness.tables.failed import failed_repeats
from harness.tables.repeats import repeat_scores

POWER = 0.8
MAX_REPEATS = 10_000  # beyond about this many repeats no number is given


@dataclass(frozen=True)
class Pair:
    """Two losses: a minus b over the repeats that both have (scores as shares of 1), what follows.

    `p_holm` is corrected over the pairs of the dataset, as the table's marks are; None without a
    test: no spread, or a loss whose mean is of survivors. `differences` are the paired ones, in the
    order of the repeats, and `sd` is theirs. `repeats_for_this` and `repeats_for_difference` say
    how many repeats per loss show the observed difference, or the comparison's `difference`, with
    80 % power; None where there is no such number (no difference, no spread, or more than about
    MAX_REPEATS).
    """

    a: str
    b: str
    paired: intervals.Difference
    p_holm: float | None
    differences: tuple[float, ...]
    welch: intervals.Difference
    improvement: Bootstrap
    sd: float
    repeats_for_this: int | None
    repeats_for_difference: int | None


@dataclass(frozen=True)
class Comparison:
    """The pairs of a dataset, of one category and metric.

    `difference` is the size that the user wants to be able to find, in the metric's unit;
    `left_out` are the losses with fewer than 2 repeats in common with any other. `survivors` maps a
    loss of which some repeats failed to the numbers of those that did not and that did.
    """

    study: str
    dataset: str
    category: str
    metric: str
    difference: float
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]
    survivors: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    capped: capped.Counts = field(default_factory=dict)
    searches: int = 1  # of each loss; only the first one's repeats are here
    notes: tuple[str, ...] = ()  # what was left out, chosen, mixed or torn


def scores_by_loss(
    study: Study, records: Mapping[str, Sequence[Record]], *, category: str, metric: str
) -> dict[str, dict[int, float]]:
    """Loss -> repeat -> score, of the losses that have any; the baselines left out."""
    scores = {
        loss: repeat_scores(study, loss, of_loss, metrics=[metric])[category, metric]
        for loss, of_loss in records.items()
        if loss not in BASELINES
    }
    return {loss: by_repeat for loss, by_repeat in scores.items() if by_repeat}


@dataclass(frozen=True)
class Tested:
    """Losses by their means, the best first and those of survivors last, two by two.

    `paired` holds the differences of the pairs with two repeats in common, the better loss first.
    `tests` leave out survivors and losses of a single repeat.
    """

    losses: tuple[str, ...]
    paired: Mapping[tuple[str, str], intervals.Difference]
    tests: Separation


def tested(
    scores: Mapping[str, Mapping[int, float]], survivors: Collection[str], *, sign: int
) -> Tested:
    """The pairs of losses whose scores by repeat are given; sign -1 where lower ones are better."""
    losses = sorted(
        scores,
        key=lambda loss: (
            loss in survivors,
            -sign * float(np.mean([*scores[loss].values()])),
            loss,
        ),
    )
    tests = separation(
        {
            loss: {repeat: sign * value for repeat, value in scores[loss].items()}
            for loss in losses
            if loss not in survivors and len(scores[loss]) > 1
        }
    )
    paired = {
        (a, b): difference
        for a, b in combinations(losses, 2)
        if (difference := intervals.paired_repeats(scores[a], scores[b])) is not None
    }
    return Tested(tuple(losses), paired, tests)


def survivors_among(
    study: Study,
    records: Mapping[str, Sequence[Record]],
    scores: Mapping[str, Mapping[int, float]],
    *,
    category: str,
) -> dict[str, tuple[int, int]]:
    """Losses of which some repeats failed: how many have a score, how many failed."""
    return {
        loss: (len(by_repeat), failed)
        for loss, by_repeat in scores.items()
        if (failed := failed_repeats(study, loss, records[loss], searches=1)[category])
    }


def compare(
    study: Study,
    dataset: str,
    records: Mapping[str, Sequence[Record]],
    *,
    category: str,
    metric: str,
    difference: float,
    notes: Sequence[str] = (),
) -> Comparison:
    """Every pair of losses, best mean first, means of survivors last; draws are seeded by names.

    Of a metric of which neither higher nor lower values are better, the highest mean is first.
    """
    sign = known_metrics.metric(metric).sign
    by_loss = scores_by_loss(study, records, category=category, metric=metric)
    survivors = survivors_among(study, records, by_loss, category=category)
    all_tested = tested(by_loss, survivors, sign=sign)
    scores = {loss: list(by_repeat.values()) for loss, by_repeat in by_loss.items()}
    ahead = {loss: [sign * value for value in values] for loss, values in scores.items()}
    pairs = []
    for (a, b), paired in all_tested.paired.items():
        rng = np.random.default_rng(seed_from(study.name, dataset, "improvement", a, b))
        differences = tuple(of_a - of_b for of_a, of_b in _by_shared_repeat(by_loss[a], by_loss[b]))
        sd = 0.0 if paired.p_value is None else float(np.std(differences, ddof=1))
        pairs.append(
            Pair(
                a=a,
                b=b,
                paired=paired,
                p_holm=all_tested.tests.p_value(a, b),
                differences=differences,
                welch=intervals.welch(scores[a], scores[b]),
                improvement=probability_of_improvement([ahead[a]], [ahead[b]], rng=rng),
                sd=sd,
                repeats_for_this=repeats_for(paired.mean, sd),
                repeats_for_difference=repeats_for(difference, sd),
            )
        )
    compared = {loss for pair in pairs for loss in (pair.a, pair.b)}
    return Comparison(
        study=study.name,
        dataset=dataset,
        category=category,
        metric=metric,
        difference=difference,
        pairs=tuple(pairs),
        left_out=tuple(loss for loss in sorted(records) if loss not in {*compared, *BASELINES}),
        survivors=survivors,
        capped=capped.counts(study, records),
        searches=study.search_repeats,
        notes=tuple(notes),
    )


def _by_shared_repeat(a: Mapping[int, float], b: Mapping[int, float]) -> list[tuple[float, float]]:
    """The scores of two losses at the repeats that both have, in the repeats' order."""
    return [(a[repeat], b[repeat]) for repeat in sorted(a.keys() & b.keys())]


def repeats_for(difference: float, sd: float, *, alpha: float = ALPHA) -> int | None:
    """Repeats that find a true difference with the chance POWER by a paired test at `alpha`.

    `sd` is that of the paired differences. None without a spread, or beyond about MAX_REPEATS.
    """
    if sd == 0 or difference == 0:
        return None
    # n repeats find an effect of about (z(1 - alpha / 2) + z(POWER)) / sqrt(n) sds (Cohen 1988).
    normal = NormalDist()
    least = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(POWER)
    if abs(difference) / sd < 1.03 * least / math.sqrt(MAX_REPEATS):
        return None
    return repeats_needed(abs(difference), sd, power=POWER, alpha=alpha)
