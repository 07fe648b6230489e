"""`compare`: records of a study's datasets to pairs of losses, ranks and their diagram."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared
from harness.commands.table import check_figure

if TYPE_CHECKING:
    from harness.measure.ranks import Ranks
    from harness.tables.pairs import Comparison

HELP = "losses two by two, and ranked over datasets"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add(
        "--category",
        default="complete",
        metavar="NAME",
        help="complete, ensemble or aggregate (default: %(default)s)",
    )
    add(
        "--metric",
        default="map_at_r",
        metavar="NAME",
        help="map_at_r, r_precision or precision_at_1 (default: %(default)s)",
    )
    add(
        "--difference",
        type=shared.points,
        default=1.0,
        metavar="POINTS",
        help="how many repeats would a difference of this size need (default: %(default)s)",
    )
    add("--format", choices=("markdown", "csv", "json"), default="markdown")
    add(
        "--figure",
        type=Path,
        metavar="FILE",
        help="draw the critical-difference diagram (.png, .pdf or .svg)",
    )
    shared.add_selection(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print pairwise differences per dataset and, over two datasets or more, average ranks."""
    from harness.schema import Problem
    from harness.tables import figure, pairs, table

    shared.known("metric", options.metric, list(table.METRICS))
    shared.known("category", options.category, list(table.CATEGORIES))
    path = options.figure
    if path is not None:
        check_figure(path)
    folders = shared.selected_folders(options)
    studies = sorted({where.parent.name for where in folders})
    if len(studies) > 1:
        raise Problem(
            f"{options.results} holds the studies {', '.join(studies)}, whose numbers are not "
            "comparable; give --study"
        )
    comparisons, scores = [], {}
    for where in folders:
        study, title, records, _ = shared.read_selected(where, options.loss)
        comparisons.append(
            pairs.compared(
                study,
                title,
                records,
                category=options.category,
                metric=options.metric,
                difference=options.difference / 100,
            )
        )
        scores[title] = pairs.values(study, records, options.category, options.metric)
    if not any(comparison.pairs for comparison in comparisons):
        raise Problem(
            f"no two losses of study {studies[0]} have two repeats in common in the category "
            f"{options.category}; finish them, or give --category ({', '.join(table.CATEGORIES)})"
        )
    ranks, why_none = _ranks(scores)
    _print(options, comparisons, ranks, why_none)
    if path is not None:
        if ranks is None:
            raise Problem(f"--figure draws a critical-difference diagram: {why_none}")
        name = f"study {studies[0]}, {options.category} {table.METRICS[options.metric]}"
        figure.draw_ranks(ranks, path, name)


def _ranks(
    scores: Mapping[str, Mapping[str, Mapping[int, float]]],
) -> tuple[Ranks | None, str]:
    """Average ranks of the losses that every dataset has, or None and why there are none.

    `scores` are dataset -> loss -> repeat -> score.
    """
    from harness.measure.ranks import average_ranks

    if len(scores) < 2:
        return None, f"ranks need at least 2 datasets, there are records of {len(scores)}"
    common = set.intersection(*(set(by_loss) for by_loss in scores.values()))
    if len(common) < 2:
        names = ", ".join(sorted(common)) or "none"
        return None, f"ranks need at least 2 losses on every dataset, there are: {names}"
    means = {
        loss: [sum(by_loss[loss].values()) / len(by_loss[loss]) for by_loss in scores.values()]
        for loss in sorted(common)
    }
    return average_ranks(means), ""


def _print(
    options: argparse.Namespace,
    comparisons: Sequence[Comparison],
    ranks: Ranks | None,
    why_none: str,
) -> None:
    from harness.tables import markup, pairs

    caption = why_none
    if ranks is not None:
        study = comparisons[0].study
        caption = pairs.ranks_caption(ranks, study, options.category, options.metric)
    if options.format == "json":
        data = {
            "pairs": [row for comparison in comparisons for row in pairs.rows(comparison)],
            "ranks": [] if ranks is None else pairs.rank_rows(ranks),
            "captions": [pairs.caption(comparison) for comparison in comparisons],
            "ranks_caption": caption,
        }
        if ranks is not None:
            data["critical_difference"] = ranks.critical_difference
            data["groups"] = ranks.groups
            data["friedman_p"] = ranks.p_value
        print(json.dumps(data))
        return
    ranks_text = f"No ranks: {why_none}.\n"
    if ranks is not None:
        rows = pairs.rank_rows(ranks)
        body = [[f"{v:.2f}" if isinstance(v, float) else v for v in r.values()] for r in rows]
        ranks_text = markup.markdown(list(rows[0]), body, caption)
    if options.format == "csv":  # one table, whatever the number of datasets
        sys.stdout.write(pairs.comma_separated(comparisons, ranks_text))
    else:
        tables = [pairs.markdown(comparison) for comparison in comparisons if comparison.pairs]
        sys.stdout.write("\n".join([*tables, ranks_text]))
