"""The page of `mlrc`: the comparison of its losses, and what the paper found about them.

Musgrave, Belongie and Lim 2020, A Metric Learning Reality Check, arXiv 2003.08505: its abstract and
the main table on CUB and Cars (results/published/claims.csv has the numbers used here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from harness.schema import BASELINES, UNTRAINED, Record, Study
from harness.tables import statement, table
from harness.tables.page import Page, comparison_page
from harness.tables.statement import Statement
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


def _marginal(aggregate: Mapping[str, Scores]) -> Statement:
    others = {loss: scores for loss, scores in aggregate.items() if loss != OLDEST}
    oldest = aggregate[OLDEST]
    bar = {repeat: GREATEST * score for repeat, score in oldest.items()}
    verdicts = [statement.paired(bar, scores)[1] for scores in others.values()]
    best = max(others, key=lambda loss: fmean(others[loss].values()))
    best_mean, oldest_mean = fmean(others[best].values()), fmean(oldest.values())
    return Statement(
        paper=f"the improvements since {OLDEST} loss (2006) are marginal at best: the best loss "
        f"has at most {GREATEST} times its Aggregate MAP@R (on Cars; 1.01 times on CUB)",
        here=f"the best other loss, {best}, has {best_mean / oldest_mean:.2f} times "
        f"that of {OLDEST} ({100 * best_mean:.2f} against {100 * oldest_mean:.2f} %), "
        f"and {verdicts.count('disagrees')} of {len(others)} are above {GREATEST} times",
        verdict=statement.joint(verdicts),
        rule=f"by the 95 % t interval over repeats of {GREATEST} x {OLDEST} - loss, without a "
        "correction for their number: agrees if all lie above 0, disagrees if one lies below",
    )


def _below_the_others(aggregate: Mapping[str, Scores], lowest: Sequence[str]) -> Statement:
    others = [loss for loss in aggregate if loss not in lowest]
    repeats = sorted(set.intersection(*(set(scores) for scores in aggregate.values())))
    means = [
        {r: fmean(aggregate[loss][r] for loss in group) for r in repeats}
        for group in (others, lowest)
    ]
    difference, verdict = statement.paired(*means)
    return Statement(
        paper=f"{', '.join(LOWEST)} are the four lowest losses on CUB and on Cars",
        here=f"mean of the other {len(others)} losses minus mean of {', '.join(lowest)}, in "
        f"points: {difference}",
        verdict=verdict,
        rule="by the 95 % t interval over repeats of the difference of the two groups' means",
    )


def _of_every_loss(pairs: Mapping[str, tuple[Scores, Scores]], paper: str) -> Statement:
    verdicts = {loss: statement.paired(a, b)[1] for loss, (a, b) in pairs.items()}
    means = [100 * (fmean(a.values()) - fmean(b.values())) for a, b in pairs.values()]
    exceptions = [loss for loss, verdict in verdicts.items() if verdict != "agrees"]
    but = f", but not {', '.join(exceptions)}" if exceptions else ""
    return Statement(
        paper=paper,
        here=f"{len(pairs) - len(exceptions)} of {len(pairs)} are, by {min(means):+.2f} to "
        f"{max(means):+.2f} points on average{but}",
        verdict=statement.joint(list(verdicts.values())),
        rule="by the 95 % t interval of the paired difference of each: agrees if all lie above 0, "
        "disagrees if one lies below",
    )
