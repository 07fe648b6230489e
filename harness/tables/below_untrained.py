"""Which losses left the network worse than it was: a line for the caption of a comparison."""

from __future__ import annotations

from harness.schema import BASELINES, UNTRAINED
from harness.tables.metrics import Metric
from harness.tables.table import Cell, Table


def line(table: Table) -> list[str]:
    """The caption's line on losses whose mean is below the untrained network's.

    By the table's first metric of which higher values are better, beyond both 95 % intervals where
    there are such. Nothing where there is no such loss, or no untrained row.
    """
    rows = {row.loss: row for row in table.rows}
    metric = next((metric for metric in table.metrics if metric.better == "higher"), None)
    if metric is None or UNTRAINED not in rows:
        return []
    found = []
    for category in table.categories:
        untrained = rows[UNTRAINED].cells[category, metric.name]
        for loss, row in rows.items():
            cell = row.cells[category, metric.name]
            if loss not in BASELINES and _is_below(cell, untrained):
                found.append(
                    f"{loss} {category} ({_shown(cell, metric)} against "
                    f"{_shown(untrained, metric)})"
                )
    if not found:
        return []
    causes = ["the loss", "its ranges", "learning rates that are too high"]
    study = table.study
    if not (study.trains_head_alone or study.freeze_trunk or study.freeze_batch_norm):
        causes.append("BatchNorm, which takes the statistics of these images (freeze_batch_norm)")
    return [
        f"BELOW UNTRAINED: {', '.join(found)} by {metric.title}: training left the network worse "
        f"than it was. Before comparing, find out why: {', '.join(causes[:-1])} or {causes[-1]}."
    ]


def _is_below(cell: Cell, untrained: Cell) -> bool:
    if not cell.scores or not untrained.scores:
        return False
    widths = [one.interval.half_width if one.interval else 0.0 for one in (cell, untrained)]
    return cell.mean + widths[0] < untrained.mean - widths[1]


def _shown(cell: Cell, metric: Metric) -> str:
    return format(metric.scale * cell.mean, metric.spec)
