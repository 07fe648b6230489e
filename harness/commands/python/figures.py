"""The figures of tables and of the report, as matplotlib figures on white paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared
from harness.report import curves, forest, ranks, svg
from harness.report.sources import Source
from harness.schema import Problem
from harness.tables import figure, metrics, rankings, repeats, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHITE = {"figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white"}


def of_table(source: Source, metric: str) -> Figure:
    """What `table --figure` draws."""
    made = table.table(source.study, source.dataset, source.records, source.notes, metrics=[metric])
    drawn: Figure = figure.table_figure(made)
    return drawn


def of_scores(source: Source, category: str, metric: str) -> Figure:
    """The report's dots: every repeat, the mean and its interval, a loss a line."""
    shared.known("category", category, source.categories or list(repeats.CATEGORIES))
    shown = shared.known("metric", metric, [one.name for one in source.metrics])
    with _style():
        drawn: Figure = forest.of_category(source, metrics.metric(shown), category)
    return drawn


def of_curves(source: Source, loss: str) -> Figure:
    """The report's learning curves of a loss, on the scale that all losses of the source share."""
    by_loss = curves.bands_by_loss(source)
    if not by_loss:
        raise Problem(
            f"{source.address} has no learning curves of a finished search's best trial; let the "
            "study go on"
        )
    shared.known("loss with learning curves", loss, list(by_loss))
    with _style():
        drawn: Figure = curves.figure_of(loss, by_loss[loss], curves.span_of(by_loss))
    return drawn


def of_ranks(sources: Sequence[Source], category: str, metric: str) -> Figure:
    """What `compare --figure` draws."""
    shared.known("category", category, list(repeats.CATEGORIES))
    studies = sorted({source.study.name for source in sources})
    one = metrics.metric(metric)
    over_datasets, why_none, *_ = ranks.over_datasets(sources, category, one)
    if over_datasets is None:
        raise Problem(f"ranks_figure draws a critical-difference diagram: {why_none}")
    with _style():
        title = rankings.title(studies, category, one)
        drawn: Figure = figure.ranks_figure(over_datasets, title, rankings.over(studies))
    return drawn


def _style() -> Any:
    import matplotlib

    return matplotlib.rc_context(svg.STYLE | WHITE)
