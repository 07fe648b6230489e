"""The page of `warp_impact`: R@1 over alpha, k1, k2 and the margin, each shape judged.

Shapes of DeMoor and Prevost 2024, arXiv 2408.15656, section IV-D, Figs. 6 to 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.measure import shapes
from harness.schema import Problem, Record, Study
from harness.tables.experiments import _sheet
from harness.tables.experiments._sheet import Runs
from harness.tables.figure import save
from harness.tables.page import Page
from harness.tables.statement import Statement

BEST = "best"
R_AT_1 = _sheet.score("precision_at_1")
# parameter -> what the paper describes, and the tests of it
FINDINGS: Mapping[str, tuple[str, Callable[[shapes.Floats], tuple[shapes.Part, ...]]]] = {
    "alpha": ("over alpha R@1 rises, stays level, then falls", shapes.rise_plateau_fall),
    "k1": ("R@1 is higher and about level where k1 is away from 1", shapes.rise_then_plateau),
    "k2": ("R@1 is higher and about level where k2 is away from 1", shapes.rise_then_plateau),
    "margin": (
        "over the margin's multiplier R@1 rises, falls, then stays level",
        shapes.rise_fall_plateau,
    ),
}
RULE = (
    "each part by the 95 % t interval over repeats, with peaks chosen on the other repeats; level "
    f"is within {shapes.TOLERANCE:g} of the range of the means; all parts must agree, one that "
    "does not decides"
)


@dataclass(frozen=True)
class Sweep:
    """One parameter: its values in the order of the sweep, and R@1 by repeat at each of them."""

    param: str
    values: tuple[float, ...]
    runs: tuple[Runs, ...]

    @property
    def scores(self) -> shapes.Floats:
        """R@1 [R, K] of the repeats that every value has."""
        columns = [runs.values(R_AT_1) for runs in self.runs]
        shared = sorted(set.intersection(*(set(column) for column in columns))) if columns else []
        return np.array([[column[repeat] for column in columns] for repeat in shared], np.float64)


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The table by parameter and value, the sweeps as the figure, the paper's shapes judged."""
    runs = {name: _sheet.complete_runs(study, records[name]) for name in records}
    sweeps = [sweep(study, param, runs) for param in FINDINGS]
    best = study.variants[BEST]["params"]
    at_best = ", ".join(f"{param} = {best[param]:g}" for param in FINDINGS)
    body = [
        [one.param, f"{value:g}", _sheet.cell(of_value.values(R_AT_1), len(of_value.failed))]
        for one in sweeps
        for value, of_value in zip(one.values, one.runs, strict=True)
    ]
    lines = [
        f"One parameter at a time, the others at {at_best}. Slopes stand in the order of their "
        "distance from 1.",
        *notes,
    ]
    return _sheet.page(
        ("parameter", "value", "R@1"),
        body,
        caption=_sheet.caption(study, dataset, records, lines),
        statements=statements(sweeps),
        data={"study": study.name, "dataset": dataset, "sweeps": [_data(one) for one in sweeps]},
        draw=lambda path: _draw(sweeps, path, f"{dataset}, study {study.name}"),
    )


def sweep(study: Study, param: str, runs: Mapping[str, Runs]) -> Sweep:
    """The rows that differ from `best` in nothing but a parameter, and `best` itself."""
    best = study.variants[BEST]["params"]
    rows = {}
    for name, variant in study.variants.items():
        others = {key: value for key, value in variant["params"].items() if key != param}
        if name in runs and all(best[key] == value for key, value in others.items()):
            rows[float(variant["params"][param])] = runs[name]
    slope = param in ("k1", "k2")
    values = sorted(rows, key=lambda value: abs(value - 1) if slope else value)
    return Sweep(param, tuple(values), tuple(rows[value] for value in values))


def statements(sweeps: Sequence[Sweep]) -> list[Statement]:
    """The paper's shapes, of every sweep with enough repeats and values to judge one."""
    judged = []
    for one in sweeps:
        scores = one.scores
        if scores.ndim != 2 or min(scores.shape) < shapes.LEAST_LEVEL:
            continue
        paper, shape = FINDINGS[one.param]
        parts = shape(scores)
        here = "; ".join(map(_in_words, parts))
        judged.append(Statement(paper, f"{here}", shapes.joint(parts), RULE))
    return judged


def _in_words(part: shapes.Part) -> str:
    """A part with its quantity and interval: points of R@1, or a share of the range."""
    values = np.array([part.estimate, part.low, part.high])
    if part.name.startswith("plateau"):
        mean, low, high = values + shapes.TOLERANCE
        return (
            f"{part.name} {part.verdict}, within {mean:.2f} ({low:.2f} to {high:.2f}) of the range"
        )
    mean, low, high = 100 * values
    return f"{part.name} {part.verdict}, {mean:+.2f} ({low:+.2f} to {high:+.2f}) points"


def _data(one: Sweep) -> dict[str, object]:
    return {
        "parameter": one.param,
        "values": list(one.values),
        "precision_at_1": [runs.values(R_AT_1) for runs in one.runs],
        "failed": [dict(runs.failed) for runs in one.runs],
    }


def _draw(sweeps: Sequence[Sweep], path: Path, title: str) -> None:
    """A panel a parameter: the mean of the repeats, and each of them as a dot."""
    from matplotlib.figure import Figure

    if not any(one.scores.size for one in sweeps):
        raise Problem("--figure: no value of a sweep has a finished run yet; run the study on")
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(sweeps), sharey=True))
    for panel, one in zip(panels, sweeps, strict=True):
        order = np.argsort(one.values)
        columns = [list(one.runs[place].values(R_AT_1).values()) for place in order]
        values = [one.values[place] for place in order]
        for value, column in zip(values, columns, strict=True):
            panel.plot([value] * len(column), 100 * np.array(column), "o", color="C0", ms=3)
        means = [100 * float(np.mean(column)) if column else np.nan for column in columns]
        panel.plot(values, means, "-", color="C0")
        panel.set_xlabel(one.param)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("R@1 in %")
    figure.suptitle(f"{title}: one parameter of the warp at a time", fontsize="medium")
    save(figure, path)
