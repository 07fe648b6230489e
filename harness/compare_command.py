"""The compare command: records of a study's datasets to pairs, ranks and their diagram."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.found import loaded, places_of
from harness.names import known
from harness.table_command import check_figure

if TYPE_CHECKING:
    from harness.compare import Comparison
    from harness.ranks import Ranks


def compare(options: argparse.Namespace) -> None:
    """Print pairwise differences per dataset and, over two datasets or more, average ranks."""
    from harness import compare as comparing
    from harness import figure, tables
    from harness.schema import Problem

    known("metric", options.metric, list(tables.METRICS))
    known("category", options.category, list(tables.CATEGORIES))
    path = options.figure
    if path is not None:
        check_figure(path)
    places = places_of(options)
    studies = sorted({where.parent.name for where in places})
    if len(studies) > 1:
        raise Problem(
            f"{options.results} holds the studies {', '.join(studies)}, whose numbers are not "
            "comparable; give --study"
        )
    found, scores = [], {}
    for where in places:
        study, title, lines, _ = loaded(where, options.loss)
        found.append(
            comparing.compared(
                study, title, lines, category=options.category, metric=options.metric,
                difference=options.difference / 100,
            )
        )  # fmt: skip
        scores[title] = comparing.values(study, lines, options.category, options.metric)
    if not any(told.pairs for told in found):
        raise Problem(
            f"no two losses of study {studies[0]} have two repeats in common in the category "
            f"{options.category}; finish them, or give --category ({', '.join(tables.CATEGORIES)})"
        )
    ranks, why = _ranks(scores)
    _show(options, found, ranks, why)
    if path is not None:
        if ranks is None:
            raise Problem(f"--figure draws a critical-difference diagram: {why}")
        name = f"study {studies[0]}, {options.category} {tables.METRICS[options.metric]}"
        figure.draw_ranks(ranks, path, name)


def _ranks(
    scores: Mapping[str, Mapping[str, Mapping[int, float]]],
) -> tuple[Ranks | None, str]:
    """Average ranks of the losses that every dataset has, or None and why there are none."""
    from harness.ranks import average_ranks

    if len(scores) < 2:
        return None, f"ranks need at least 2 datasets, there are records of {len(scores)}"
    common = set.intersection(*(set(told) for told in scores.values()))
    if len(common) < 2:
        names = ", ".join(sorted(common)) or "none"
        return None, f"ranks need at least 2 losses on every dataset, there are: {names}"
    told = {
        loss: [sum(one[loss].values()) / len(one[loss]) for one in scores.values()]
        for loss in sorted(common)
    }
    return average_ranks(told), ""


def _show(
    options: argparse.Namespace, found: list[Comparison], ranks: Ranks | None, why: str
) -> None:
    from harness import compare as comparing
    from harness import grids

    study, asked = found[0].study, (options.category, options.metric)
    said = why if ranks is None else comparing.ranks_caption(ranks, study, *asked)
    if options.format == "json":
        pairs = [row for told in found for row in comparing.rows(told)]
        rows = [] if ranks is None else comparing.rank_rows(ranks)
        captions = [comparing.caption(told) for told in found]
        data = {"pairs": pairs, "ranks": rows, "captions": captions, "ranks_caption": said}
        if ranks is not None:
            data["critical_difference"] = ranks.critical_difference
            data["groups"] = ranks.groups
            data["friedman_p"] = ranks.p_value
        print(json.dumps(data))
        return
    told = f"No ranks: {why}.\n"
    if ranks is not None:
        rows = comparing.rank_rows(ranks)
        body = [[f"{v:.2f}" if isinstance(v, float) else v for v in r.values()] for r in rows]
        told = grids.markdown(list(rows[0]), body, said)
    if options.format == "csv":  # one table, whatever the number of datasets
        sys.stdout.write(comparing.comma_separated(found, told))
    else:
        sys.stdout.write("\n".join([*map(comparing.markdown, (f for f in found if f.pairs)), told]))
