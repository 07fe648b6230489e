"""Ranks of losses over the datasets of a study, with their critical-difference diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.measure.ranks import Ranks
from harness.report import svg
from harness.report.sources import Render, Source, slug
from harness.tables import figure, mean_text, metrics, pairs, pairs_text, rankings
from harness.tables.metrics import Metric

METRIC = "map_at_r"


@dataclass(frozen=True)
class Ranking:
    """A study's ranks of one category: the diagram and its caption, or why there is none."""

    study: str
    category: str
    figure: str
    caption: str


def of_studies(sources: Sequence[Source], render: Render) -> list[Ranking]:
    """The ranks of every study that has two datasets or more, for each category with scores."""
    studies: dict[str, list[Source]] = {}
    for source in sources:
        if not source.study.test_scored:
            studies.setdefault(source.study.name, []).append(source)
    result = []
    for of_study in studies.values():
        if len(of_study) > 1:
            categories = dict.fromkeys(c for source in of_study for c in source.categories)
            result += [_ranking(of_study, category, render) for category in categories]
    return result


def over_datasets(
    sources: Sequence[Source], category: str, metric: Metric
) -> tuple[Ranks | None, str, dict[str, str], dict[str, list[str]]]:
    """The ranks of a study's losses, or None and why.

    Then the losses left out as means of survivors, and those without a score on some datasets.
    """
    survivors: dict[str, str] = {}
    scores = {}
    for source in sources:
        by_loss = pairs.scores_by_loss(
            source.study, source.records, category=category, metric=metric.name
        )
        counts = pairs.survivors_among(source.study, source.records, by_loss, category=category)
        survivors |= {
            loss: f"{mean_text.survivors(n, failed)} on {source.dataset}"
            for loss, (n, failed) in counts.items()
        }
        scores[source.address] = by_loss
    compared = {
        dataset: {loss: values for loss, values in by_loss.items() if loss not in survivors}
        for dataset, by_loss in scores.items()
    }
    return *rankings.over_datasets(compared, metric), survivors, rankings.lacking(compared)


def _ranking(sources: Sequence[Source], category: str, render: Render) -> Ranking:
    import matplotlib

    name, metric = sources[0].study.name, metrics.metric(METRIC)
    ranks, why_none, survivors, lacking = over_datasets(sources, category, metric)
    if ranks is None:
        return Ranking(name, category, "", f"No ranks: {why_none}.")
    caption = pairs_text.ranks_caption(
        ranks, [name], category=category, metric_name=METRIC, survivors=survivors, lacking=lacking
    )
    title = rankings.title([name], category, metric)
    with matplotlib.rc_context(svg.STYLE | {"savefig.bbox": "tight"}):
        drawn = render(
            f"{slug(name)}_ranks_{category}",
            f"critical-difference diagram of {title} over {ranks.n_datasets} datasets",
            figure.ranks_figure(ranks, title),
        )
    return Ranking(name, category, drawn, caption)
