"""`compare`: pairs of losses on each dataset of a study, and their ranks over datasets, studies."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared
from harness.commands import selection, terminal

if TYPE_CHECKING:
    from harness.commands import reading
    from harness.measure.ranks import Ranks
    from harness.tables.pairs import Comparison

HELP = "compare losses pair by pair, and rank them over datasets"
EPILOG = """\
Of several studies each has its own pairs, for their scores cannot be compared. Ranks are over all
datasets of all studies that are selected: --study A B, or every one in --results."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    selection.add_column(parser)
    add(
        "--difference",
        type=shared.points,
        default=1.0,
        metavar="POINTS",
        help="say how many repeats would show a difference of this size, in points, or in the "
        "unit of a diagnostic that is no share (default: %(default)s)",
    )
    add(
        "--format",
        choices=("markdown", "csv", "json"),
        help="default: markdown; on a terminal the answer, then the columns that there is room for",
    )
    shared.add_json(parser)
    shared.add_explain(parser)
    add(
        "--figure",
        type=Path,
        metavar="FILE",
        help="draw the critical-difference diagram, or of one dataset the pairs with their "
        "intervals (.png, .pdf or .svg)",
    )
    selection.add(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print pairwise differences per dataset and, over two datasets or more, average ranks."""
    from harness.commands import reading
    from harness.schema import Problem
    from harness.tables import metrics, pairs, rankings, repeats

    metric = metrics.metric(options.metric)
    shared.known("category", options.category, list(repeats.CATEGORIES))
    if options.figure is not None:
        shared.check_figure_path(options.figure)
    folders = selection.folders_of(options)
    studies = sorted({where.parent.name for where in folders})
    comparisons: list[Comparison] = []
    scores = {}
    read = []
    for where, losses in selection.with_losses(folders, options.loss):
        records = reading.read_records(where, losses)
        reading.check_final_runs(records)
        read.append(records)
        comparisons.append(_compared(options, records))
        scores[_named(comparisons[-1], studies)] = pairs.scores_by_loss(
            records.study, records.by_loss, category=options.category, metric=options.metric
        )
    if not any(comparison.pairs for comparison in comparisons):
        raise Problem(_no_pairs(options, read))
    survivors = _survivors(comparisons, studies)
    compared = {
        dataset: {loss: of_loss for loss, of_loss in by_loss.items() if loss not in survivors}
        for dataset, by_loss in scores.items()
    }
    ranks, why_no_ranks = rankings.over_datasets(compared, metric)
    lacking = rankings.lacking(compared)
    if options.format == "json":
        _print_json(options, comparisons, ranks, why_no_ranks, lacking)
    elif options.format is None and terminal.is_terminal():
        from harness.commands import terminal_pairs

        caption = None if ranks is None else _ranks_caption(options, comparisons, ranks, lacking)
        terminal_pairs.show(read, comparisons, explain=options.explain)
        terminal_pairs.show_ranks(ranks, caption or f"No ranks: {why_no_ranks}.")
    else:
        _print_text(options, comparisons, ranks, why_no_ranks, lacking)
    if options.figure is not None:
        title = rankings.title(studies, options.category, metric)
        over = rankings.over(studies)
        _draw(options.figure, comparisons, ranks, title, over, why_no_ranks)


def _no_pairs(options: argparse.Namespace, read: Sequence[reading.Records]) -> str:
    """Why there is nothing to compare: one loss alone, a score of no run, or too few runs yet."""
    from harness.schema import BASELINES
    from harness.tables import metrics, repeats

    studies = " or ".join(sorted({records.study.name for records in read}))
    several = [one for one in read if len(one.by_loss.keys() - set(BASELINES)) > 1]
    if not several:
        names = sorted({loss for one in read for loss in one.by_loss.keys() - set(BASELINES)})
        where = "is selected" if options.loss else "has records"
        return (
            f"compare needs two losses on a dataset; of study {studies} only "
            f"{' or '.join(names) or 'the untrained network'} {where}; "
            + ("name another with --loss, or leave it out" if options.loss else "run another one")
        )
    title = metrics.metric(options.metric).title
    recorded = [record for one in several for of_loss in one.by_loss.values() for record in of_loss]
    final = [record for record in recorded if record.stage == repeats.STAGE_OF[options.category]]
    holds = {name for record in final for name in (*record.scores, *(record.diagnostics or {}))}
    if holds and options.metric not in holds:
        return (
            f"no {options.category} run of study {studies} was recorded with {title}; give another "
            "--metric"
        )
    return (
        f"no two losses of study {studies} have two repeats in common in the category "
        f"{options.category} with {title}; finish them, or give --category "
        f"({', '.join(repeats.CATEGORIES)}) or --metric"
    )


def _draw(
    path: Path,
    comparisons: Sequence[Comparison],
    ranks: Ranks | None,
    title: str,
    over: str,
    why_no_ranks: str,
) -> None:
    """Draw the pairs of one dataset, or the ranks over several; Problem where there are none."""
    from harness.schema import Problem
    from harness.tables import figure, pairs_figure

    if len(comparisons) == 1:
        pairs_figure.draw(comparisons[0], path)
    elif ranks is None:
        raise Problem(f"--figure draws a critical-difference diagram: {why_no_ranks}")
    else:
        figure.draw_ranks(ranks, path, title, over)


def _named(comparison: Comparison, studies: Sequence[str]) -> str:
    """What ranks are over, by its name: a dataset, with its study where there are several."""
    if len(studies) == 1:
        return comparison.dataset
    return f"{comparison.dataset} ({comparison.study})"


def _compared(options: argparse.Namespace, records: reading.Records) -> Comparison:
    from harness.tables import metrics, pairs

    return pairs.compare(
        records.study,
        records.dataset,
        records.by_loss,
        category=options.category,
        metric=options.metric,
        difference=options.difference / metrics.metric(options.metric).scale,
        notes=records.amiss,
    )


def _survivors(comparisons: Sequence[Comparison], studies: Sequence[str]) -> dict[str, str]:
    """The losses of which some repeats failed on some dataset, with where and how many."""
    from harness.tables import mean_text

    return {
        loss: f"{mean_text.survivors(n, failed)} on {_named(comparison, studies)}"
        for comparison in comparisons
        for loss, (n, failed) in comparison.survivors.items()
    }


def _print_json(
    options: argparse.Namespace,
    comparisons: Sequence[Comparison],
    ranks: Ranks | None,
    why_no_ranks: str,
    lacking: Mapping[str, Sequence[str]],
) -> None:
    """Print pairs and ranks as one JSON object."""
    from harness.tables import pairs_text
    from harness.tables.metrics import AS_SHARES

    data: dict[str, Any] = {
        "pairs": [row for comparison in comparisons for row in pairs_text.as_data(comparison)],
        "ranks": [] if ranks is None else pairs_text.ranks_as_data(ranks),
        "captions": [pairs_text.caption(comparison, AS_SHARES) for comparison in comparisons],
        "ranks_caption": why_no_ranks,
    }
    if ranks is not None:
        data["ranks_caption"] = _ranks_caption(options, comparisons, ranks, lacking)
        data["critical_difference"] = ranks.critical_difference
        data["groups"] = ranks.groups
        data["friedman_p"] = ranks.p_value
    print(json.dumps(data))


def _print_text(
    options: argparse.Namespace,
    comparisons: Sequence[Comparison],
    ranks: Ranks | None,
    why_no_ranks: str,
    lacking: Mapping[str, Sequence[str]],
) -> None:
    """Print pairs and ranks as markdown, or as one CSV table whatever the number of datasets."""
    from harness.tables import markup, pairs_text

    ranks_text = f"No ranks: {why_no_ranks}.\n"
    if ranks is not None:
        rows = pairs_text.ranks_as_data(ranks)
        body = [
            [f"{value:.2f}" if isinstance(value, float) else value for value in row.values()]
            for row in rows
        ]
        ranks_text = markup.markdown(
            list(rows[0]), body, _ranks_caption(options, comparisons, ranks, lacking)
        )
    if options.format == "csv":
        sys.stdout.write(pairs_text.comma_separated(comparisons, ranks_text))
    else:
        tables = [pairs_text.markdown(comparison) for comparison in comparisons]
        sys.stdout.write("\n".join([*tables, ranks_text]))


def _ranks_caption(
    options: argparse.Namespace,
    comparisons: Sequence[Comparison],
    ranks: Ranks,
    lacking: Mapping[str, Sequence[str]],
) -> str:
    from harness.tables import pairs_text

    studies = sorted({comparison.study for comparison in comparisons})
    return pairs_text.ranks_caption(
        ranks,
        studies,
        category=options.category,
        metric_name=options.metric,
        survivors=_survivors(comparisons, studies),
        lacking=lacking,
    )
