"""The table of a dataset as text: markdown, LaTeX, CSV or data, with its caption. No torch."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from harness.tables import markup, mean_text, search_order, search_spread
from harness.tables.metrics import AS_SHARES, Metric
from harness.tables.table import Cell, Row, Table
from harness.tables.table_caption import caption


def markdown(table: Table) -> str:
    """The table as GitHub markdown, its caption below."""
    titles = [metric.title for metric in table.metrics]
    head = ["loss", *(f"{c.capitalize()} {title}" for c in table.categories for title in titles)]
    body = []
    for row in table.rows:
        line = [row.loss]
        for metric, cell in _cells(table, row):
            mean, marks = cell_texts(table, metric, cell)
            line.append(f"{f'**{mean}**' if cell.best else mean} {marks}".rstrip())
        body.append(line)
    text = markup.markdown(head, body, caption(table))
    if table.search_spreads:
        text += search_spread.markdown(table.search_spreads, _spread_caption(table), table.metrics)
        if found := search_order.lines(table):
            text += search_order.markdown(found, table.study.search_repeats)
    return text


def cell_texts(table: Table, metric: Metric, cell: Cell) -> tuple[str, str]:
    """A cell's mean with what stands behind it, and its marks: ≈ or ?, letters or ranks."""
    mean = mean_text.text(
        mean_text.in_order(cell.scores), failed=cell.failed, spec=metric.spec, scale=metric.scale
    )
    tied = ("?" if cell.untested else "≈") if cell.tied_with_best and not cell.best else ""
    return mean, f"{tied} {group_text(table, cell)}".strip()


def _cells(table: Table, row: Row) -> list[tuple[Metric, Cell]]:
    """The cells of a row in the order of the columns, with their metrics."""
    return [
        (m, row.cells[category, m.name]) for category in table.categories for m in table.metrics
    ]


def _spread_caption(table: Table) -> str:
    return search_spread.caption(table.study.search_repeats, table.capped_in_all)


def latex(table: Table) -> str:
    """The table as a LaTeX table environment (package booktabs), caption included."""
    groups = " & ".join(
        rf"\multicolumn{{{len(table.metrics)}}}{{c}}{{{category.capitalize()}}}"
        for category in table.categories
    )
    titles = [markup.escape(metric.title) for metric in table.metrics]
    names = " & ".join(titles * len(table.categories))
    body = []
    for row in table.rows:
        cells = [_latex_cell(table, metric, cell) for metric, cell in _cells(table, row)]
        body.append(" & ".join([markup.escape(row.loss), *cells]) + r" \\")
    text = markup.latex_environment(
        "l" + "c" * len(table.metrics) * len(table.categories),
        [rf" & {groups} \\", rf"loss & {names} \\"],
        body,
        caption=caption(table),
    )
    if table.search_spreads:
        text += search_spread.latex(table.search_spreads, _spread_caption(table), table.metrics)
        if found := search_order.lines(table):
            text += search_order.latex(found, table.study.search_repeats)
    return text


def group_text(table: Table, cell: Cell) -> str:
    """A cell's letters; where the table's columns have too many groups, its ranks: #3-17."""
    if cell.ranks is None or table.lettered:
        return cell.group
    first, last = cell.ranks
    return f"#{first}" if first == last else f"#{first}-{last}"


def _latex_cell(table: Table, metric: Metric, cell: Cell) -> str:
    values = mean_text.in_order(cell.scores)
    number, behind = mean_text.parts(
        values, failed=cell.failed, sign=r"\pm", spec=metric.spec, scale=metric.scale
    )
    text = f"${number}$" if values else "--"
    text += f" {behind}" if behind else ""
    if cell.best:
        text = rf"\textbf{{\boldmath {text}}}"
    group = group_text(table, cell)
    if group.startswith("#"):
        group = rf"\mathrm{{\#{group[1:].replace('-', '{-}')}}}"
    else:
        group = _latex_letters(group)
    marks = _latex_mark(cell) + group
    return text + (f"$^{{{marks}}}$" if marks else "")


def _latex_mark(cell: Cell) -> str:
    if cell.best or not cell.tied_with_best:
        return ""
    return r"?\," if cell.untested else r"\approx\,"


def _latex_letters(group: str) -> str:
    if not group:
        return ""
    commands = []
    for letter in group:
        name = unicodedata.name(letter).split()[-1].lower()
        name = name.replace("lamda", "lambda")  # Unicode's spelling, unlike LaTeX's
        commands.append(letter if letter.isascii() else f"\\{name}")
    return rf"\mathrm{{{' '.join(commands)}}}"


HEAD = (
    *("study", "dataset", "loss", "category", "metric", "mean", "ci95", "n", "best", "tied"),
    *("group", "rank_first", "rank_last", "untested", "failed", "repeats_for_1_point"),
    "searched_dimensions",
)
SEARCHES_HEAD = ("searches_mean", "searches_ci95", "searches", "sd_searches", "sd_repeats")


def lines(table: Table) -> list[dict[str, Any]]:
    """One line per loss, category and metric by the names of HEAD, scores as shares of 1.

    None stands where there is no value. With SEARCHES_HEAD where the whole search was repeated.
    """
    of_shares = {metric.name for metric in table.metrics if metric.share}
    spreads = {
        (line.loss, line.category, line.metric): line.spread for line in table.search_spreads
    }
    result = []
    for row in table.rows:
        for (category, metric), cell in row.cells.items():
            needed = mean_text.repeats_needed(mean_text.in_order(cell.scores))
            values: list[object] = [table.study.name, table.dataset, row.loss, category, metric]
            values += [cell.mean if cell.scores else None]
            values += [cell.interval.half_width if cell.interval else None, len(cell.scores)]
            values += [cell.best, cell.tied_with_best, group_text(table, cell)]
            values += [*(cell.ranks or (None, None)), cell.untested, cell.failed]
            values += [needed if metric in of_shares else None, len(row.searched)]
            spread = spreads.get((row.loss, category, metric))
            if spread is not None:
                values += [spread.interval.mean, spread.interval.half_width, spread.interval.n]
                values += [spread.sd_searches, spread.sd_repeats]
            names = (*HEAD, *SEARCHES_HEAD) if spreads else HEAD
            result.append(dict(itertools.zip_longest(names, values)))
    return result


def comma_separated(table: Table) -> str:
    """The lines of the table with six decimals; the caption as comments."""
    head = (*HEAD, *SEARCHES_HEAD) if table.search_spreads else HEAD
    body = [[_csv_cell(line[name]) for name in head] for line in lines(table)]
    return markup.comma_separated(head, body, caption(table, AS_SHARES))


def _csv_cell(value: object) -> object:
    """Six decimals of a share, 1 or 0 for yes or no, nothing for None."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else value


def as_data(table: Table) -> dict[str, Any]:
    """The table for machines: rows, cells with their scores per repeat, caption."""
    data: dict[str, Any] = {
        "study": table.study.name,
        "dataset": table.dataset,
        "caption": caption(table, AS_SHARES),
        "metrics": [
            {"metric": metric.name, "better": metric.better, "share_of_1": metric.share}
            for metric in table.metrics
        ],
        "rows": [_row_as_data(table, row) for row in table.rows],
    }
    if table.search_spreads:
        data["over_searches"] = search_spread.as_data(table.search_spreads)
        data["order_over_searches"] = search_order.as_data(search_order.lines(table))
    return data


def _row_as_data(table: Table, row: Row) -> dict[str, Any]:
    capped_runs = table.capped.get(row.loss)
    of_shares = {metric.name for metric in table.metrics if metric.share}
    return {
        "loss": row.loss,
        "finished": row.progress.finished,
        "failures": row.progress.failures,
        "capped": capped_runs[0] if capped_runs else 0,
        "runs_that_choose_epochs": capped_runs[1] if capped_runs else 0,
        "searched": row.searched,
        "searched_dimensions": len(row.searched),
        "best_trial": row.progress.best_trial,
        "best_held_out_map_at_r": row.progress.best_score,
        "cells": [
            {
                "category": category,
                "metric": metric,
                "mean": cell.mean if cell.scores else None,
                "ci95": cell.interval.half_width if cell.interval else None,
                "n": len(cell.scores),
                "best": cell.best,
                "tied_with_best": cell.tied_with_best,
                "untested": cell.untested,
                "group": cell.group,
                "ranks": cell.ranks,
                "failed": cell.failed,
                "repeats_for_1_point": mean_text.repeats_needed(list(cell.scores.values()))
                if metric in of_shares
                else None,
                "values": dict(sorted(cell.scores.items())),
            }
            for (category, metric), cell in row.cells.items()
        ],
    }


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}
