"""The page of `nir`: proxy losses with and without non-isotropy regularisation, pair by pair.

Findings of Roth, Vinyals and Akata 2022, arXiv 2203.08547.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.measure import convergence, intervals
from harness.measure.convergence import Curve
from harness.schema import Problem, Record, Study
from harness.tables.experiments import _sheet
from harness.tables.experiments._sheet import Column, Runs
from harness.tables.figure import save
from harness.tables.page import Page
from harness.tables.statement import Statement, Verdict, joint

PREFIX = "nir_"  # of the regularised form of a loss
SCORE = "precision_at_1"
SLOWER = 0.2  # of the plain loss's epochs: more than this is no longer "as fast"


@dataclass(frozen=True)
class Quantity:
    """A column: its title, where it stands in a record, which way NIR is said to move it."""

    title: str
    column: Column
    sign: int
    share: bool
    finding: str


QUANTITIES = (
    Quantity("R@1", _sheet.score(SCORE), 1, True, "NIR raises R@1 of every proxy loss"),
    Quantity("MAP@R", _sheet.score("map_at_r"), 1, True, "NIR raises MAP@R of every proxy loss"),
    Quantity(
        "uniformity",
        _sheet.diagnostic("uniformity"),
        -1,
        False,
        "NIR makes embeddings more uniform (a lower value)",
    ),
    Quantity(
        "spectral decay",
        _sheet.diagnostic("spectral_decay"),
        -1,
        False,
        "NIR makes features more varied (a lower spectral decay)",
    ),
    Quantity(
        "density ratio",
        _sheet.diagnostic("density_ratio"),
        1,
        False,
        "NIR clusters classes less tightly (a higher density ratio)",
    ),
    Quantity(
        "spread of class sizes",
        _sheet.diagnostic("class_size_spread"),
        1,
        False,
        "NIR lets the sizes of classes vary more",
    ),
)


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The table by loss, the learning curves as the figure, the paper's findings judged."""
    names = [name for name in study.losses if name in records]
    runs = {name: _sheet.complete_runs(study, records[name]) for name in names}
    curves = {name: fold_curves(study, records[name]) for name in names}
    body = [_row(name, runs[name]) for name in names]
    lines = [
        "Numbers of Complete runs on test classes. Epochs to the shared level are those of fold "
        f"models, until R@1 of their held-out classes reaches {100 * convergence.SHARE:g} % of the "
        "lowest best value among the runs of a pair.",
        *notes,
    ]
    return _sheet.page(
        ["loss", *(quantity.title for quantity in QUANTITIES)],
        body,
        caption=_sheet.caption(study, dataset, records, lines),
        statements=statements(runs, curves),
        data={"study": study.name, "dataset": dataset, "rows": [_data(n, runs[n]) for n in names]},
        draw=lambda path: _draw(curves, path, f"{dataset}, study {study.name}"),
    )


def fold_curves(study: Study, records: Sequence[Record]) -> dict[int, list[Curve]]:
    """Repeat -> held-out R@1 over epochs of its fold models, of repeats with all of them."""
    by_repeat: dict[int, list[Curve]] = {}
    for record in records:
        curve = [(e["epoch"], e[SCORE]) for e in record.curve if SCORE in e]
        if record.stage == "repeat" and curve and record.repeat is not None:
            by_repeat.setdefault(record.repeat, []).append(curve)
    return {n: folds for n, folds in sorted(by_repeat.items()) if len(folds) == study.folds}


def statements(
    runs: Mapping[str, Runs], curves: Mapping[str, Mapping[int, Sequence[Curve]]]
) -> list[Statement]:
    """The paper's findings that the records can judge, each over all pairs that there are."""
    pairs = [(name.removeprefix(PREFIX), name) for name in runs if name.startswith(PREFIX)]
    pairs = [pair for pair in pairs if pair[0] in runs]
    judged = [_moved(quantity, runs, pairs) for quantity in QUANTITIES]
    judged.append(_as_fast(curves, pairs))
    return [one for one in judged if one is not None]


def _moved(
    quantity: Quantity, runs: Mapping[str, Runs], pairs: Sequence[tuple[str, str]]
) -> Statement | None:
    """Whether NIR moves a quantity as the paper says, in every pair."""
    scale = 100 if quantity.share else 1
    words, verdicts = [], list[Verdict]()
    for plain, with_nir in pairs:
        difference = intervals.paired_repeats(
            runs[with_nir].values(quantity.column),
            runs[plain].values(quantity.column),
            1 - 0.05 / len(pairs),
        )
        if difference is None or difference.half_width is None:
            return None
        mean, half = difference.mean, difference.half_width
        words.append(f"{plain} {scale * mean:+.2f} ± {scale * half:.2f}")
        moved = quantity.sign * mean
        verdicts.append("agrees" if moved > half else "disagrees" if moved < -half else "undecided")
    if not words:
        return None
    return Statement(
        paper=quantity.finding,
        here=f"{quantity.title} with NIR minus without: {', '.join(words)}",
        verdict=joint(verdicts),
        rule="all differences on that side of 0 by their paired t intervals, together at 95 %; one "
        "on the other side disagrees",
    )


def _as_fast(
    curves: Mapping[str, Mapping[int, Sequence[Curve]]], pairs: Sequence[tuple[str, str]]
) -> Statement | None:
    """Whether losses converge about as fast with NIR, in every pair."""
    words, verdicts = [], list[Verdict]()
    for plain, with_nir in pairs:
        shared = sorted(set(curves[plain]) & set(curves[with_nir]))
        if len(shared) < 2:
            return None
        without, regularised = convergence.steps_to_shared_threshold(
            [curves[plain][n] for n in shared], [curves[with_nir][n] for n in shared]
        )
        shares = np.array(regularised) / np.array(without) - 1
        interval = intervals.t_interval(shares, 1 - 0.05 / len(pairs))
        low, high = interval.mean - interval.half_width, interval.mean + interval.half_width
        words.append(f"{plain} {100 * interval.mean:+.0f} % ± {100 * interval.half_width:.0f}")
        decided: Verdict = "disagrees" if low > SLOWER else "undecided"
        verdicts.append("agrees" if high < SLOWER else decided)
    if not words:
        return None
    return Statement(
        paper="losses converge as fast with NIR, or faster",
        here=f"epochs to the shared level with NIR, against without: {', '.join(words)}",
        verdict=joint(verdicts),
        rule=f"at most {100 * SLOWER:g} % more epochs by every interval, together at 95 %; one "
        "that lies above disagrees",
    )


def _row(name: str, runs: Runs) -> list[str]:
    failed = len(runs.failed)
    cells = [
        _sheet.cell(runs.values(quantity.column), failed, share=quantity.share)
        for quantity in QUANTITIES
    ]
    return [name, *cells]


def _data(name: str, runs: Runs) -> dict[str, object]:
    values = {quantity.title: runs.values(quantity.column) for quantity in QUANTITIES}
    return {"loss": name, **values, "failed": dict(runs.failed)}


def _draw(curves: Mapping[str, Mapping[int, Sequence[Curve]]], path: Path, title: str) -> None:
    """Mean held-out R@1 over epochs, a panel for each pair."""
    from matplotlib.figure import Figure

    bases = [name for name in curves if not name.startswith(PREFIX)]
    if not any(curves.values()):
        raise Problem("--figure: no run has a curve yet; run the study on")
    figure = Figure(figsize=(3.6 * max(len(bases), 1), 3.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, max(len(bases), 1), sharey=True))
    for panel, base in zip(panels, bases, strict=False):
        for name, line in ((base, "--"), (f"{PREFIX}{base}", "-")):
            folds = [
                dict(curve) for of_repeat in curves.get(name, {}).values() for curve in of_repeat
            ]
            if folds:
                epochs = sorted(set.intersection(*(set(curve) for curve in folds)))
                means = [100 * float(np.mean([curve[e] for curve in folds])) for e in epochs]
                panel.plot(epochs, means, line, label=name)
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small", frameon=False)
    panels[0].set_ylabel("held-out R@1 in %")
    figure.suptitle(f"{title}: with and without NIR", fontsize="medium")
    save(figure, path)
