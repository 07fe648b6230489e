"""The table of a dataset as text: its caption, then markdown, LaTeX, CSV or data. No torch."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from harness.protocol import plan
from harness.schema import UNTRAINED, Study
from harness.tables import markup, search_spread
from harness.tables.table import CATEGORIES, METRICS, Cell, Row, Table


def precision_of(study: Study) -> str:
    """The trunk's precision, and whether it was compiled for training, folded for evaluation."""
    text: str = study.precision
    if study.compile:
        text += ", trunk compiled by torch.compile"
    if study.fold_batch_norm:
        text += ", BatchNorm folded in evaluation"
    return text


def caption(table: Table) -> str:
    """What the numbers are: of how many, chosen on what, marked how, made by what."""
    study = table.study
    cells = [cell for row in table.rows for cell in row.cells.values()]
    counts = {len(cell.scores) for cell in cells if len(cell.scores) > 1}
    n = " or ".join(map(str, sorted(counts))) or "0"
    unit_length = ", each at unit length," if study.normalise_ensemble else ""
    pretrained = " (NOT pretrained)" if study.weights == "none" else ""
    letters = "No letters: fewer than two losses with repeats, or too many groups."
    if any(cell.group for cell in cells):
        letters = (
            "Letters: losses that share one are not separable from each other (the same test, "
            "Holm-corrected over all pairs of the column, 5 %); a is the group of the best mean."
        )
    lines = [
        f"{table.dataset}, study {study.name}: test scores in %, mean ± half-width of the 95 % t "
        f"interval over n = {n} repeats (ddof 1). The repeats retrain one configuration with other "
        "seeds: the interval is training noise given that configuration and this test set, not "
        "the noise of the search.",
        "Configuration and epochs were chosen on held-out classes of the trainval half alone: "
        f"{study.trials} trials a loss, {study.folds} class-disjoint folds, mean held-out MAP@R; "
        "the search's winning run is none of the repeats. The test classes chose nothing.",
        f"Aggregate: mean of the {study.folds} fold models, each {study.dim}-d. Ensemble: their "
        f"embeddings{unit_length} joined ({study.folds * study.dim}-d). Complete: one "
        f"{study.complete_dim}-d model trained on the whole trainval half.",
        "Bold: best mean. ≈: not separable from the best (paired t test over repeats with equal "
        "seeds, Holm-corrected over the column, 5 %). untrained: the network before training.",
        letters,
        f"Network: {study.trunk}, weights: {study.weights}{pretrained}, precision "
        f"{precision_of(study)}.",
    ]
    if study.race:
        lines.append(_race(table))
    lines += _provenance(table)
    lines += table.notes
    for row in table.rows:
        lines += warnings(row.loss, row.progress)
    return "\n".join(lines)


def _race(table: Table) -> str:
    study = table.study
    saved = ", ".join(
        f"{row.loss} {row.progress.folds_saved} of {study.trials * study.folds} "
        f"({row.progress.raced_out} of {study.trials} trials raced out)"
        for row in table.rows
        if row.loss != UNTRAINED
    )
    return (
        "RACED: trials behind the best one so far were not trained on their other folds, which "
        f"no published protocol does; search runs saved: {saved or 'none'}."
    )


def _provenance(table: Table) -> list[str]:
    """The commits, and a warning where records come from several commits or package versions."""
    commits = sorted(set().union(*(row.provenance["commits"] for row in table.rows)))
    versions = sorted(set().union(*(row.provenance["versions"] for row in table.rows)))
    lines = [f"Code: {', '.join(commits)}."]
    for name, values in (("commits", commits), ("package versions", versions)):
        if len(values) > 1:
            listed = " | ".join(values)
            lines.append(f"MIXED: these records come from {len(values)} {name}: {listed}.")
    return lines


def warnings(loss: str, progress: plan.Progress) -> list[str]:
    """What of a loss's study is unfinished or failed."""
    lines = []
    unfinished = [
        f"{stage} {progress.done[stage]} of {count}"
        for stage, count in progress.planned.items()
        if progress.done[stage] < count
    ]
    if unfinished:
        lines.append(f"UNFINISHED: {loss} ({', '.join(unfinished)} runs).")
    if progress.failures:
        lines.append(f"FAILED: {loss}, {progress.failures} runs (left out of the means).")
    return lines


def markdown(table: Table) -> str:
    """The table as GitHub markdown, its caption below."""
    head = ["loss", *(f"{c.capitalize()} {name}" for c in CATEGORIES for name in METRICS.values())]
    body = []
    for row in table.rows:
        line = [row.loss]
        for cell in row.cells.values():
            text = _mean(cell, "±")
            if cell.best:
                text = f"**{text}**"
            elif cell.tied_with_best:
                text += " ≈"
            line.append(f"{text} {cell.group}".rstrip())
        body.append(line)
    text = markup.markdown(head, body, caption(table))
    if table.search_spreads:
        searches = table.study.search_repeats
        text += search_spread.markdown(table.search_spreads, searches, METRICS)
    return text


def latex(table: Table) -> str:
    """The table as a LaTeX table environment (package booktabs), caption included."""
    groups = " & ".join(
        rf"\multicolumn{{3}}{{c}}{{{category.capitalize()}}}" for category in CATEGORIES
    )
    names = " & ".join(list(METRICS.values()) * len(CATEGORIES))
    body = []
    for row in table.rows:
        cells = [_latex_cell(cell) for cell in row.cells.values()]
        body.append(" & ".join([markup.escape(row.loss), *cells]) + r" \\")
    text = markup.latex_environment(
        "l" + "ccc" * len(CATEGORIES),
        [rf" & {groups} \\", rf"loss & {names} \\"],
        body,
        caption=caption(table),
    )
    if table.search_spreads:
        searches = table.study.search_repeats
        text += search_spread.latex(table.search_spreads, searches, METRICS)
    return text


def _latex_cell(cell: Cell) -> str:
    text = "$" + _mean(cell, r"\pm") + "$" if cell.scores else "--"
    if cell.best:
        text = rf"\textbf{{\boldmath {text}}}"
    marks = (r"\approx\," if cell.tied_with_best else "") + _latex_letters(cell.group)
    return text + (f"$^{{{marks}}}$" if marks else "")


def _latex_letters(group: str) -> str:
    if not group:
        return ""
    commands = []
    for letter in group:
        name = unicodedata.name(letter).split()[-1].lower()
        name = name.replace("lamda", "lambda")  # Unicode's spelling, unlike LaTeX's
        commands.append(letter if letter.isascii() else f"\\{name}")
    return rf"\mathrm{{{' '.join(commands)}}}"


def comma_separated(table: Table) -> str:
    """One line per loss, category and metric, scores as shares of 1; the caption as comments."""
    head = ["study", "dataset", "loss", "category", "metric"]
    head += ["mean", "ci95", "n", "best", "tied", "group"]
    spreads = {
        (line.loss, line.category, line.metric): line.spread for line in table.search_spreads
    }
    if spreads:
        head += ["searches_mean", "searches_ci95", "searches", "sd_searches", "sd_repeats"]
    body = []
    for row in table.rows:
        for (category, metric), cell in row.cells.items():
            mean = f"{cell.mean:.6f}" if cell.scores else ""
            half_width = f"{cell.interval.half_width:.6f}" if cell.interval else ""
            values: list[object] = [table.study.name, table.dataset, row.loss, category, metric]
            values += [mean, half_width, len(cell.scores)]
            values += [int(cell.best), int(cell.tied_with_best), cell.group]
            spread = spreads.get((row.loss, category, metric))
            if spread is not None:
                values += [
                    f"{spread.interval.mean:.6f}",
                    f"{spread.interval.half_width:.6f}",
                    spread.interval.n,
                    f"{spread.sd_searches:.6f}",
                    f"{spread.sd_repeats:.6f}",
                ]
            body.append(values + [""] * (len(head) - len(values)))
    return markup.comma_separated(head, body, caption(table))


def as_data(table: Table) -> dict[str, Any]:
    """The table for machines: rows, cells with their scores per repeat, caption."""
    data: dict[str, Any] = {
        "study": table.study.name,
        "dataset": table.dataset,
        "caption": caption(table),
        "rows": [_row_as_data(row) for row in table.rows],
    }
    if table.search_spreads:
        data["over_searches"] = search_spread.as_data(table.search_spreads)
    return data


def _row_as_data(row: Row) -> dict[str, Any]:
    return {
        "loss": row.loss,
        "finished": row.progress.finished,
        "failures": row.progress.failures,
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
                "group": cell.group,
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


def _mean(cell: Cell, sign: str) -> str:
    """The mean and its half-width in %, with `sign` between them."""
    if not cell.scores:
        return "-"
    mean = f"{100 * cell.mean:.2f}"
    if cell.interval is None:
        return f"{mean} (n = 1)"
    return f"{mean} {sign} {100 * cell.interval.half_width:.2f}"
