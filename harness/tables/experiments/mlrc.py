"""The page of `mlrc`: the comparison of its losses, and what the paper found about them.

Musgrave, Belongie and Lim 2020, A Metric Learning Reality Check, arXiv 2003.08505: its abstract and
the main table on CUB and Cars (results/published/claims.csv has the numbers used here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.measure import intervals
from harness.schema import BASELINES, UNTRAINED, Record, Study
from harness.tables import statement, table
from harness.tables.page import Page, comparison_page
from harness.tables.statement import Statement, Verdict, by_interval
from harness.tables.table import Cell, Table

METRIC = "map_at_r"
OLDEST = "contrastive"  # of 2006
GREATEST = 1.12  # the best loss by the oldest one in the paper: 19.32 / 17.24 on Cars, Aggregate
LOWEST = ("triplet", "margin", "margin_per_class", "fast_ap")  # on CUB and on Cars, Aggregate

Scores = Mapping[int, float]  # repeat -> share of 1


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The comparison's page, with the paper's findings judged."""
    made = table.table(study, dataset, records, notes)
    found = statements(made)
    if found:
        made = replace(made, notes=(*made.notes, *statement.lines(found)))
    return comparison_page(made, found)


def statements(made: Table) -> list[Statement]:
    """The findings that the table's losses can judge."""
    aggregate, ensemble = (_scores(made, category) for category in ("aggregate", "ensemble"))
    untrained = aggregate.get(UNTRAINED)
    for baseline in BASELINES:
        aggregate.pop(baseline, None)
        ensemble.pop(baseline, None)
    found = []
    if OLDEST in aggregate and len(aggregate) > 1:
        found.append(_marginal(aggregate))
    lowest = [loss for loss in LOWEST if loss in aggregate]
    if lowest and len(aggregate) > len(lowest):
        found.append(_below_the_others(aggregate, lowest))
    if untrained is not None and aggregate:
        of_each = {loss: (scores, untrained) for loss, scores in aggregate.items()}
        found.append(
            _of_every_loss(
                of_each,
                "every loss is above the network before training (Aggregate MAP@R on CUB: 18.11 "
                "for the lowest loss, 14.53 before)",
            )
        )
    in_both = {loss: (ensemble[loss], aggregate[loss]) for loss in aggregate if loss in ensemble}
    if in_both:
        found.append(
            _of_every_loss(
                in_both,
                "for every loss the joined embeddings of its folds (Ensemble) are above the mean "
                "of the single ones (Aggregate), on CUB by 4 to 5.5 points",
            )
        )
    return found


def _scores(made: Table, category: str) -> dict[str, Scores]:
    """MAP@R by loss and repeat, of losses of which no repeat failed."""
    cells: dict[str, Cell] = {row.loss: row.cells[category, METRIC] for row in made.rows}
    return {loss: cell.scores for loss, cell in cells.items() if cell.scores and not cell.failed}


def _difference(a: Scores, b: Scores) -> tuple[float, float, Verdict]:
    """A minus B by repeat: the ends of its 95 % t interval, and whether it is above 0.

    Where it has no spread the ends are not known: both infinite.
    """
    paired = intervals.paired_repeats(a, b)
    if paired is None or paired.half_width is None:
        return float("-inf"), float("inf"), "undecided"
    low, high = paired.mean - paired.half_width, paired.mean + paired.half_width
    return low, high, by_interval(low, high)


def _mean(scores: Scores) -> float:
    return sum(scores.values()) / len(scores)


def _marginal(aggregate: Mapping[str, Scores]) -> Statement:
    others = {loss: scores for loss, scores in aggregate.items() if loss != OLDEST}
    oldest = aggregate[OLDEST]
    bar = {repeat: GREATEST * score for repeat, score in oldest.items()}
    verdicts = [_difference(bar, scores)[2] for scores in others.values()]
    best = max(others, key=lambda loss: _mean(others[loss]))
    return Statement(
        paper=f"the improvements since {OLDEST} loss (2006) are marginal at best: the best loss "
        f"has at most {GREATEST} times its Aggregate MAP@R (on Cars; 1.01 times on CUB)",
        here=f"the best other loss, {best}, has {_mean(others[best]) / _mean(oldest):.2f} times "
        f"that of {OLDEST} ({100 * _mean(others[best]):.2f} against {100 * _mean(oldest):.2f} %), "
        f"and {verdicts.count('disagrees')} of {len(others)} are above {GREATEST} times",
        verdict=statement.joint(verdicts),
        rule=f"by the 95 % t interval over repeats of {GREATEST} x {OLDEST} - loss, without a "
        "correction for their number: agrees if all lie above 0, disagrees if one lies below",
    )


def _below_the_others(aggregate: Mapping[str, Scores], lowest: Sequence[str]) -> Statement:
    others = [loss for loss in aggregate if loss not in lowest]
    repeats = sorted(set.intersection(*(set(scores) for scores in aggregate.values())))
    means = [
        {r: sum(aggregate[loss][r] for loss in group) / len(group) for r in repeats}
        for group in (others, lowest)
    ]
    low, high, verdict = _difference(*means)
    return Statement(
        paper=f"{', '.join(LOWEST)} are the four lowest losses on CUB and on Cars",
        here=f"the mean of the other {len(others)} losses is above that of {', '.join(lowest)} by "
        f"{100 * low:.2f} to {100 * high:.2f} points",
        verdict=verdict,
        rule="by the 95 % t interval over repeats of the difference of the two groups' means",
    )


def _of_every_loss(pairs: Mapping[str, tuple[Scores, Scores]], paper: str) -> Statement:
    differences = {loss: _difference(a, b) for loss, (a, b) in pairs.items()}
    verdicts = [verdict for _, _, verdict in differences.values()]
    means = [100 * (_mean(a) - _mean(b)) for a, b in pairs.values()]
    exceptions = [loss for loss, (_, _, verdict) in differences.items() if verdict != "agrees"]
    but = f", but not {', '.join(exceptions)}" if exceptions else ""
    return Statement(
        paper=paper,
        here=f"{verdicts.count('agrees')} of {len(pairs)} are, by {min(means):+.2f} to "
        f"{max(means):+.2f} points on average{but}",
        verdict=statement.joint(verdicts),
        rule="by the 95 % t interval of the paired difference of each: agrees if all lie above 0, "
        "disagrees if one lies below",
    )
