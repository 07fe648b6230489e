"""The table of the study `standard` as text: caption, markdown, LaTeX, CSV or data. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.measure.multiple_comparisons import differs
from harness.schema import UNTRAINED, Stage
from harness.tables import capped, markup, mean_text, search_spread
from harness.tables.optimism import HONEST, TUNED, Row, Table
from harness.tables.table import METRICS
from harness.tables.table_caption import precision_of, warnings


def caption(table: Table) -> str:
    """What the columns are, what the ± is of, of how many, given what; what was chosen."""
    study = table.study
    counts = {len(c.honest) for row in table.rows for c in row.cells.values() if c.honest}
    n = " or ".join(map(str, sorted(counts))) or "0"
    pretrained = " (NOT pretrained)" if study.weights == "none" else ""
    commits = sorted(set().union(*(row.commits for row in table.rows)))
    lines = [
        f"{table.dataset}, study {study.name}: test scores in %, one {study.complete_dim}-d model "
        f"trained on all trainval classes, mean ± half-width of the 95 % t interval over n = {n} "
        "repeats (ddof 1); the repeats retrain one configuration with other seeds.",
        f"honest: params and epochs chosen by MAP@R on held-out classes (of {study.trials} trials, "
        "each trained on the first half of the trainval classes, scored on the second), then "
        f"retrained. test-tuned: params (of the same {study.trials} trials) and, in every repeat, "
        "the epoch chosen by MAP@R on the test classes that it is then scored on. Test-tuned "
        "numbers are no results: they show what choosing like that is worth.",
        "optimism: test-tuned minus honest in points, ± half-width of the 95 % t interval of the "
        "mean paired difference over the repeats (equal seeds), given these trials, the two "
        "configurations chosen and this test set: it does not hold the noise of the search. "
        "*: apart from 0 (paired t, Holm-corrected over the losses of the column, 5 %). same runs: "
        "both chose the same trial and epochs, so that the repeats are the same trainings: a 0 "
        "without any interval, which says nothing of what another choice would have been worth.",
        *_choices(table),
        *mean_text.needed_line(_map_at_r_columns(table), "the optimism in MAP@R"),
        *capped.line(table.capped),
        f"Network: {study.trunk}, weights: {study.weights}{pretrained}, precision "
        f"{precision_of(study)}. untrained: the network before training.",
        f"Code: {', '.join(commits)}.",
    ]
    if len(commits) > 1:
        lines.append(f"MIXED: these records come from {len(commits)} commits.")
    lines += table.notes
    lines += _survivors(table)
    for row in table.rows:
        lines += warnings(row.loss, row.progress)
    return "\n".join(lines)


def _map_at_r_columns(table: Table) -> dict[str, list[list[float]]]:
    rows = [row for row in table.rows if row.loss != UNTRAINED]
    return {row.loss: [row.cells["map_at_r"].differences] for row in rows}


def _survivors(table: Table) -> list[str]:
    """A warning that names every mean of survivors."""
    marked = {}
    for row in table.rows:
        cell = row.cells["map_at_r"]
        for stage, name, scores in (
            (HONEST, "honest", cell.honest),
            (TUNED, "test-tuned", cell.test_tuned),
        ):
            if failed := cell.failed.get(stage, 0):
                marked[row.loss, name] = mean_text.survivors(len(scores), failed)
    return mean_text.survivors_line(marked)


def _choices(table: Table) -> list[str]:
    """The order of the losses under both choices, what was chosen, and what ran to its limit."""
    rows = [row for row in table.rows if row.loss != UNTRAINED]
    whole = [row for row in rows if not row.lost]
    lines = []
    honest, test_tuned = (
        [row.loss for row in sorted(whole, key=lambda row: -row.mean(stage))]
        for stage in (HONEST, TUNED)
    )
    if len(whole) > 1 and all(row.mean(TUNED) >= 0 for row in whole):
        same = " (the same)" if honest == test_tuned else ""
        lines.append(
            f"Order by mean MAP@R: honest {' > '.join(honest)}; test-tuned "
            f"{' > '.join(test_tuned)}{same}."
        )
    chosen = [
        f"{row.loss}: honest {_choice(row, HONEST)}, test-tuned {_choice(row, TUNED)}"
        for row in rows
    ]
    if chosen:
        lines.append(f"Chosen (mean epochs of the repeats): {'; '.join(chosen)}.")
    study = table.study
    most = study.max_epochs + (study.followup_max_epochs if study.followup else 0)
    limited = [row.loss for row in rows if row.epochs[TUNED] == most]
    if limited:
        lines.append(
            f"AT THE LIMIT of {most} epochs in every test-tuned repeat: {', '.join(limited)}. "
            "These were best at their last evaluation: there was no better epoch to pick, and what "
            "picking one is worth after a plateau is not measured here."
        )
    return lines


def _choice(row: Row, stage: Stage) -> str:
    if row.chosen[stage] is None:
        return "nothing yet"
    epochs = row.epochs[stage]
    return f"trial {row.chosen[stage]}" + ("" if epochs is None else f" ({epochs:g} epochs)")


def _head_and_body(table: Table) -> tuple[list[str], list[list[str]]]:
    head = ["loss"]
    for name in METRICS.values():
        head += [f"{name} honest", f"{name} test-tuned", f"{name} optimism"]
    body = []
    for row in table.rows:
        line = [row.loss]
        for metric, cell in row.cells.items():
            line += [
                mean_text.text(mean_text.in_order(scores), failed=cell.failed.get(stage, 0))
                for stage, scores in ((HONEST, cell.honest), (TUNED, cell.test_tuned))
            ]
            line.append(_optimism(row, metric))
        body.append(line)
    return head, body


def _optimism(row: Row, metric: str) -> str:
    cell = row.cells[metric]
    if cell.optimism is None:
        return "-"
    if row.same_runs(metric):
        return "0 (same runs)"
    shown = mean_text.text(cell.differences, failed=cell.lost, spec="+.2f")
    return shown + (" *" if differs(cell.p_holm) else "")


def markdown(table: Table) -> str:
    """The table as GitHub markdown, its caption below."""
    text = markup.markdown(*_head_and_body(table), caption(table))
    if table.search_spreads:
        text += search_spread.markdown(table.search_spreads, _spread_caption(table), METRICS)
    return text


def _spread_caption(table: Table) -> str:
    return search_spread.caption(table.study.search_repeats, table.capped_in_all)


def latex(table: Table) -> str:
    """The table as a LaTeX table environment (package booktabs), caption included."""
    text = markup.latex(*_head_and_body(table), caption(table))
    if table.search_spreads:
        text += search_spread.latex(table.search_spreads, _spread_caption(table), METRICS)
    return text


def comma_separated(table: Table) -> str:
    """One line per loss and metric, scores as shares of 1; the caption as comments."""
    columns = [
        "metric",
        "honest",
        "test_tuned",
        "optimism",
        "optimism_ci95",
        "n",
        "p",
        "p_holm",
        "same_runs",
        "honest_failed",
        "test_tuned_failed",
    ]
    body = []
    for row in as_data(table)["rows"]:
        for cell in row["cells"]:
            values = ["" if cell[name] is None else cell[name] for name in columns]
            body.append([table.study.name, table.dataset, row["loss"], *values])
    return markup.comma_separated(["study", "dataset", "loss", *columns], body, caption(table))


def as_data(table: Table) -> dict[str, Any]:
    """The table for machines: every score per repeat under both choices, and their difference."""
    data: dict[str, Any] = {
        "study": table.study.name,
        "dataset": table.dataset,
        "caption": caption(table),
        "rows": [
            {
                "loss": row.loss,
                "chosen": row.chosen,
                "epochs": row.epochs,
                "cells": [_cell_as_data(row, metric) for metric in row.cells],
                "finished": row.progress.finished,
                "capped": table.capped.get(row.loss, (0, 0))[0],
                "runs_that_choose_epochs": table.capped.get(row.loss, (0, 0))[1],
            }
            for row in table.rows
        ],
    }
    if table.search_spreads:
        data["over_searches"] = search_spread.as_data(table.search_spreads)
    return data


def _cell_as_data(row: Row, metric: str) -> dict[str, Any]:
    cell = row.cells[metric]
    difference = cell.optimism
    return {
        "metric": metric,
        "honest": row.mean(HONEST, metric) if cell.honest else None,
        "test_tuned": row.mean(TUNED, metric) if cell.test_tuned else None,
        "optimism": difference.mean if difference else None,
        "optimism_ci95": difference.half_width if difference else None,
        "n": difference.n if difference else None,
        "p": difference.p_value if difference else None,
        "p_holm": cell.p_holm,
        "same_runs": row.same_runs(metric),
        "honest_failed": cell.failed.get(HONEST, 0),
        "test_tuned_failed": cell.failed.get(TUNED, 0),
        "honest_values": dict(sorted(cell.honest.items())),
        "test_tuned_values": dict(sorted(cell.test_tuned.items())),
    }


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}
