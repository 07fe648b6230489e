"""What stands in place of an answer while no final run has ended."""

from __future__ import annotations

from harness.schema import UNTRAINED
from harness.tables.repeats import STAGE_OF
from harness.tables.table import Table


def without_scores(table: Table) -> str | None:
    """That no final run has ended and how far the study is, or None where there are scores."""
    rows = [row for row in table.rows if row.loss != UNTRAINED]
    if any(cell.scores for row in rows for cell in row.cells.values()):
        return None
    name = f"study {table.study.name} on {table.dataset}"
    if not rows:
        return f"{name}: no loss to show beside the untrained network; run `study` with --loss"
    final = [STAGE_OF[category] for category in table.categories]
    ended = sum(row.progress.done.get(stage, 0) for row in rows for stage in final)
    failed = sum(row.progress.failures for row in rows)
    if ended > failed:
        titles = ", ".join(metric.title for metric in table.metrics)
        return f"{name}: no run was recorded with {titles}; leave --metrics out for what there is"
    stages = dict.fromkeys(stage for row in rows for stage in row.progress.planned)
    counts = ", ".join(
        f"{stage} {sum(row.progress.done.get(stage, 0) for row in rows)} of "
        f"{sum(row.progress.planned.get(stage, 0) for row in rows)}"
        for stage in stages
    )
    far = f"so far {counts} runs" if counts else "no loss has a record"
    if failed:
        runs = "1 run has" if failed == 1 else f"{failed} runs have"
        return (
            f"{name}: no test scores, and {runs} failed ({far}); study --retry-failed runs them "
            "again"
        )
    return (
        f"{name}: no test scores yet, no final run of a loss has ended ({far}); python -m harness "
        "status says what runs"
    )
