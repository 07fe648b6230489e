"""Studies that show something else than a comparison of losses: their own text and figure."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.report.sources import Source
from harness.schema import Problem
from harness.tables import experiments


@dataclass(frozen=True)
class Experiment:
    """An experiment: its text as `table` prints it, and its figure as a data address."""

    address: str
    text: str
    figure: str
    why_no_figure: str


def of(source: Source) -> Experiment | None:
    """The experiment that a study is; None for a comparison of losses."""
    module = experiments.load(source.study.name)
    if module is None:
        return None
    try:
        page = module.page(source.study, source.dataset, source.records, source.notes)
    except Problem as problem:
        return Experiment(source.address, "", "", str(problem))
    figure, why = "", ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        try:
            page.draw(path)
            figure = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
        except Problem as problem:
            why = str(problem)
    return Experiment(source.address, page.text("markdown"), figure, why)
