"""The table of a dataset as text: its caption, then markdown, LaTeX, CSV or data. No torch."""

from __future__ import annotations

import unicodedata
from typing import Any

from harness.protocol import plan
from harness.schema import UNTRAINED, Study
from harness.tables import markup, search_spread
from harness.tables.table import CATEGORIES, METRICS, Cell, Table


def computed_in(study: Study) -> str:
    """The trunk's precision, and whether it was compiled for training, folded for evaluation."""
    told: str = study.precision
    if study.compile:
        told += ", trunk compiled by torch.compile"
    if study.fold_batch_norm:
        told += ", BatchNorm folded in evaluation"
    return told


def caption(table: Table) -> str:
    """What the numbers are: of how many, chosen on what, marked how, made by what."""
    study = table.study
    counts = {
        len(cell.values)
        for row in table.rows
        for cell in row.cells.values()
        if len(cell.values) > 1
    }
    n = " or ".join(map(str, sorted(counts))) or "0"
    said = [
        f"{table.dataset}, study {study.name}: test scores in %, mean ± half-width of the 95 % t "
        f"interval over n = {n} repeats (ddof 1). The repeats retrain one configuration with other "
        "seeds: the interval is training noise given that configuration and this test set, not "
        "the noise of the search.",
        "Configuration and epochs were chosen on held-out classes of the trainval half alone: "
        f"{study.trials} trials a loss, {study.folds} class-disjoint folds, mean held-out MAP@R; "
        "the search's winning run is none of the repeats. The test classes chose nothing.",
        f"Aggregate: mean of the {study.folds} fold models, each {study.dim}-d. Ensemble: their "
        f"embeddings{', each at unit length,' if study.normalise_ensemble else ''} joined "
        f"({study.folds * study.dim}-d). Complete: one {study.complete_dim}-d model trained on the "
        "whole trainval half.",
        "Bold: best mean. ≈: not separable from the best (paired t test over repeats with equal "
        "seeds, Holm-corrected over the column, 5 %). untrained: the network before training.",
        "Letters: losses that share one are not separable from each other (the same test, "
        "Holm-corrected over all pairs of the column, 5 %); a is the group of the best mean."
        if any(cell.group for row in table.rows for cell in row.cells.values())
        else "No letters: fewer than two losses with repeats, or too many groups.",
        f"Network: {study.trunk}, weights: {study.weights}"
        + (" (NOT pretrained)" if study.weights == "none" else "")
        + f", precision {computed_in(study)}.",
    ]
    if study.race:
        saved = ", ".join(
            f"{row.loss} {row.progress.folds_saved} of {study.trials * study.folds} "
            f"({row.progress.raced_out} of {study.trials} trials raced out)"
            for row in table.rows
            if row.loss != UNTRAINED
        )
        said.append(
            "RACED: trials behind the best one so far were not trained on their other folds, which "
            f"no published protocol does; search runs saved: {saved or 'none'}."
        )
    for name, what in (("commits", "commits"), ("versions", "package versions")):
        seen = sorted(set().union(*(row.provenance[name] for row in table.rows)))
        if name == "commits":
            said.append(f"Code: {', '.join(seen)}.")
        if len(seen) > 1:
            said.append(f"MIXED: these records come from {len(seen)} {what}: {' | '.join(seen)}.")
    left = [line for row in table.rows for line in warnings(row.loss, row.progress)]
    return "\n".join([*said, *table.notes, *left])


def warnings(loss: str, progress: plan.Progress) -> list[str]:
    """What of a loss's study is unfinished or failed."""
    said = []
    done, planned = progress.done, progress.planned
    left = [f"{stage} {done[stage]} of {count}" for stage, count in planned.items()
            if done[stage] < count]  # fmt: skip
    if left:
        said.append(f"UNFINISHED: {loss} ({', '.join(left)} runs).")
    if progress.failures:
        said.append(f"FAILED: {loss}, {progress.failures} runs (left out of the means).")
    return said


def markdown(table: Table) -> str:
    """The table as GitHub markdown, its caption below."""
    head = ["loss"] + [f"{_title(c)} {METRICS[m]}" for c in CATEGORIES for m in METRICS]
    body = []
    for row in table.rows:
        line = [row.loss]
        for cell in row.cells.values():
            text = _text(cell, "±")
            marked = f"**{text}**" if cell.best else text + " ≈" * cell.tied_with_best
            line.append(f"{marked} {cell.group}".rstrip())
        body.append(line)
    text = markup.markdown(head, body, caption(table))
    if table.searches:
        text += search_spread.markdown(table.searches, table.study.search_repeats, METRICS)
    return text


def latex(table: Table) -> str:
    """The table as a LaTeX table environment (package booktabs), caption included."""
    columns = "l" + "ccc" * len(CATEGORIES)
    head = " & ".join(rf"\multicolumn{{3}}{{c}}{{{_title(category)}}}" for category in CATEGORIES)
    names = " & ".join(list(METRICS.values()) * len(CATEGORIES))
    body = []
    for row in table.rows:
        line = [markup.escape(row.loss)]
        for cell in row.cells.values():
            text = f"${_text(cell, chr(92) + 'pm')}$" if cell.values else "--"
            if cell.best:
                text = rf"\textbf{{\boldmath {text}}}"
            marks = r"\approx\," * cell.tied_with_best + _latex_letters(cell.group)
            line.append(text + (f"$^{{{marks}}}$" if marks else ""))
        body.append(" & ".join(line) + r" \\")
    text = "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{markup.escape(caption(table))}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rf" & {head} \\",
            rf"loss & {names} \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
    if table.searches:
        text += search_spread.latex(table.searches, table.study.search_repeats, METRICS)
    return text


def _latex_letters(group: str) -> str:
    if not group:
        return ""
    names = [unicodedata.name(letter).split()[-1].lower() for letter in group]
    words = [
        letter if letter.isascii() else "\\" + name.replace("lamda", "lambda")
        for letter, name in zip(group, names, strict=True)
    ]
    return rf"\mathrm{{{' '.join(words)}}}"


def comma_separated(table: Table) -> str:
    """One line per loss, category and metric, scores as shares of 1; the caption as comments."""
    head = ["study", "dataset", "loss", "category", "metric", "mean", "ci95", "n", "best", "tied"]
    head += ["group"]
    over = {(line.loss, line.category, line.metric): line.spread for line in table.searches}
    if over:
        head += ["searches_mean", "searches_ci95", "searches", "sd_searches", "sd_repeats"]
    body = []
    for row in table.rows:
        for (category, metric), cell in row.cells.items():
            mean = f"{cell.mean:.6f}" if cell.values else ""
            half = f"{cell.interval.half_width:.6f}" if cell.interval else ""
            told: list[object] = [table.study.name, table.dataset, row.loss, category, metric]
            told += [mean, half, len(cell.values), int(cell.best), int(cell.tied_with_best)]
            told += [cell.group]
            found = over.get((row.loss, category, metric))
            if found is not None:
                told += [f"{v:.6f}" for v in (found.interval.mean, found.interval.half_width)]
                told += [found.interval.n, f"{found.sd_searches:.6f}", f"{found.sd_repeats:.6f}"]
            body.append(told + [""] * (len(head) - len(told)))
    return markup.comma_separated(head, body, caption(table))


def as_data(table: Table) -> dict[str, Any]:
    """The table for machines: rows, cells with their values per repeat, caption."""
    return {
        "study": table.study.name,
        "dataset": table.dataset,
        "caption": caption(table),
        "rows": [
            {
                "loss": row.loss,
                "finished": row.progress.finished,
                "failures": row.progress.failures,
                "best_trial": row.progress.best_trial,
                "best_held_out_map_at_r": row.progress.best_score,
                "cells": [
                    {
                        "category": category,
                        "metric": metric,
                        "mean": cell.mean if cell.values else None,
                        "ci95": cell.interval.half_width if cell.interval else None,
                        "n": len(cell.values),
                        "best": cell.best,
                        "tied_with_best": cell.tied_with_best,
                        "group": cell.group,
                        "values": dict(sorted(cell.values.items())),
                    }
                    for (category, metric), cell in row.cells.items()
                ],
            }
            for row in table.rows
        ],
        **({"over_searches": search_spread.as_data(table.searches)} if table.searches else {}),
    }


FORMATS = {"markdown": markdown, "latex": latex, "csv": comma_separated}


def _title(category: str) -> str:
    return category.capitalize()


def _text(cell: Cell, sign: str) -> str:
    if not cell.values:
        return "-"
    mean = f"{100 * cell.mean:.2f}"
    if cell.interval is None:
        return f"{mean} (n = 1)"
    return f"{mean} {sign} {100 * cell.interval.half_width:.2f}"
