"""The table of the study `standard` as text: caption, markdown, LaTeX, CSV or data. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.measure import intervals
from harness.schema import UNTRAINED, Stage
from harness.tables import markup, search_spread
from harness.tables.optimism import HONEST, TUNED, Row, Table
from harness.tables.table import ALPHA, METRICS
from harness.tables.table_text import computed_in, warnings


def caption(table: Table) -> str:
    """What the columns are, what the +- is of, of how many, given what; what was chosen."""
    study = table.study
    counts = {len(c.honest) for row in table.rows for c in row.cells.values() if c.honest}
    n = " or ".join(map(str, sorted(counts))) or "0"
    said = [
        f"{table.dataset}, study {study.name}: test scores in %, one {study.complete_dim}-d model "
        f"trained on all trainval classes, mean ± half-width of the 95 % t interval over n = {n} "
        "repeats (ddof 1); the repeats retrain one configuration with other seeds.",
        f"honest: params and epochs chosen by MAP@R on held-out classes (of {study.trials} trials, "
        "each trained on the first half of the trainval classes, scored on the second), then "
        f"retrained. test-tuned: params (of the same {study.trials} trials) and, in every repeat, "
        "the epoch chosen by MAP@R on the test classes that it is then scored on. Test-tuned "
        "numbers are no results: they show what choosing like that is worth.",
        "inflation: test-tuned minus honest in points, ± half-width of the 95 % t interval of the "
        "mean paired difference over the repeats (equal seeds), given these trials, the two "
        "configurations chosen and this test set: it does not hold the noise of the search. "
        "*: apart from 0 (paired t, Holm-corrected over the losses of the column, 5 %). same runs: "
        "both chose the same trial and epochs, so that the repeats are the same trainings: a 0 "
        "without any interval, which says nothing of what another choice would have been worth.",
    ]
    said += _choices(table)
    pretrained = " (NOT pretrained)" if study.weights == "none" else ""
    said.append(
        f"Network: {study.trunk}, weights: {study.weights}{pretrained}, precision "
        f"{computed_in(study)}. untrained: the network before training."
    )
    commits = sorted(set().union(*(row.commits for row in table.rows)))
    said.append(f"Code: {', '.join(commits)}.")
    if len(commits) > 1:
        said.append(f"MIXED: these records come from {len(commits)} commits.")
    left = [line for row in table.rows for line in warnings(row.loss, row.progress)]
    return "\n".join([*said, *table.notes, *left])


def _choices(table: Table) -> list[str]:
    """The order of the losses under both choices, and what was chosen."""
    said = []
    order = {
        stage: [r.loss for r in sorted(_trained(table), key=lambda r: -r.mean(stage))]
        for stage in (HONEST, TUNED)
    }
    if len(order[HONEST]) > 1 and all(r.mean(TUNED) >= 0 for r in _trained(table)):
        said.append(
            f"Order by mean MAP@R: honest {' > '.join(order[HONEST])}; test-tuned "
            f"{' > '.join(order[TUNED])}"
            + ("." if order[HONEST] != order[TUNED] else " (the same).")
        )
    chosen = [
        f"{row.loss}: honest {_choice(row, HONEST)}, test-tuned {_choice(row, TUNED)}"
        for row in _trained(table)
    ]
    if chosen:
        said.append(f"Chosen (mean epochs of the repeats): {'; '.join(chosen)}.")
    study = table.study
    most = study.max_epochs + (study.followup_max_epochs if study.followup else 0)
    limited = [row.loss for row in _trained(table) if row.epochs[TUNED] == most]
    if limited:
        said.append(
            f"AT THE LIMIT of {most} epochs in every test-tuned repeat: {', '.join(limited)}. "
            "These were best at their last evaluation: there was no better epoch to pick, and what "
            "picking one is worth after a plateau is not measured here."
        )
    return said


def _trained(table: Table) -> list[Row]:
    return [row for row in table.rows if row.loss != UNTRAINED]


def _choice(row: Row, stage: Stage) -> str:
    if row.chosen[stage] is None:
        return "nothing yet"
    epochs = row.epochs[stage]
    return f"trial {row.chosen[stage]}" + ("" if epochs is None else f" ({epochs:g} epochs)")


def _words(table: Table) -> tuple[list[str], list[list[str]]]:
    head = ["loss"]
    for name in METRICS.values():
        head += [f"{name} honest", f"{name} test-tuned", f"{name} inflation"]
    body = []
    for row in table.rows:
        line = [row.loss]
        for metric, cell in row.cells.items():
            line += [_text(cell.honest), _text(cell.tuned), _inflation(row, metric)]
        body.append(line)
    return head, body


def _text(values: Mapping[int, float]) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return f"{100 * next(iter(values.values())):.2f} (n = 1)"
    interval = intervals.t_interval(list(values.values()))
    return f"{100 * interval.mean:.2f} ± {100 * interval.half_width:.2f}"


def _inflation(row: Row, metric: str) -> str:
    cell = row.cells[metric]
    if cell.inflation is None:
        return "-"
    if row.same_runs(metric):
        return "0 (same runs)"
    apart = cell.p_holm is not None and cell.p_holm < ALPHA
    found = cell.inflation
    return f"{100 * found.mean:+.2f} ± {100 * found.half_width:.2f}" + " *" * apart


def markdown(table: Table) -> str:
    """The table as GitHub markdown, its caption below."""
    text = markup.markdown(*_words(table), caption(table))
    if table.searches:
        text += search_spread.markdown(table.searches, table.study.search_repeats, METRICS)
    return text


def latex(table: Table) -> str:
    """The table as a LaTeX table environment (package booktabs), caption included."""
    text = markup.latex(*_words(table), caption(table))
    if table.searches:
        text += search_spread.latex(table.searches, table.study.search_repeats, METRICS)
    return text


def comma_separated(table: Table) -> str:
    """One line per loss and metric, scores as shares of 1; the caption as comments."""
    head = ["study", "dataset", "loss", "metric", "honest", "test_tuned", "inflation"]
    head += ["inflation_ci95", "n", "p", "p_holm", "same_runs"]
    body = []
    for row in as_data(table)["rows"]:
        for cell in row["cells"]:
            line = [table.study.name, table.dataset, row["loss"]]
            body.append(line + ["" if cell[k] is None else cell[k] for k in ("metric", *head[4:])])
    return markup.comma_separated(head, body, caption(table))


def as_data(table: Table) -> dict[str, Any]:
    """The table for machines: every value per repeat of both branches, and their difference."""
    rows = []
    for row in table.rows:
        cells = []
        for metric, cell in row.cells.items():
            found = cell.inflation
            cells.append(
                {
                    "metric": metric,
                    "honest": row.mean(HONEST, metric) if cell.honest else None,
                    "test_tuned": row.mean(TUNED, metric) if cell.tuned else None,
                    "inflation": found.mean if found else None,
                    "inflation_ci95": found.half_width if found else None,
                    "n": found.n if found else None,
                    "p": found.p_value if found else None,
                    "p_holm": cell.p_holm,
                    "same_runs": row.same_runs(metric),
                    "honest_values": dict(sorted(cell.honest.items())),
                    "test_tuned_values": dict(sorted(cell.tuned.items())),
                }
            )
        rows.append({"loss": row.loss, "chosen": row.chosen, "epochs": row.epochs, "cells": cells,
                     "finished": row.progress.finished})  # fmt: skip
    return {
        "study": table.study.name,
        "dataset": table.dataset,
        "caption": caption(table),
        "rows": rows,
        **({"over_searches": search_spread.as_data(table.searches)} if table.searches else {}),
    }


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}
