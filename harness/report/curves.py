"""Learning curves of the best trial's fold models: mean and range over runs, both phases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.protocol import trials
from harness.protocol.plateau import PHASES
from harness.report import drawing
from harness.report.sources import Render, Source, shown, slug
from harness.report.svg import BLUE, GREEN, SOFT
from harness.schema import Record

Band = Mapping[int, tuple[float, float, float]]  # epoch -> lowest, mean, highest


@dataclass(frozen=True)
class Bands:
    """Of how many runs, and a band for each phase."""

    n_runs: int
    phases: Sequence[Band]


@dataclass(frozen=True)
class Curve:
    """The learning curves of a loss, as a figure."""

    loss: str
    figure: str


def curves(source: Source, render: Render) -> list[Curve]:
    """The losses whose best trial has fold models with held-out scores."""
    by_loss = bands_by_loss(source)
    span = span_of(by_loss)
    return [
        Curve(
            loss,
            render(
                f"{slug(source.address)}_curve_{number}_{slug(loss)}",
                f"held-out MAP@R of {loss} by epoch, {bands.n_runs} runs, both phases",
                figure_of(loss, bands, span),
            ),
        )
        for number, (loss, bands) in enumerate(by_loss.items())
    ]


def bands_by_loss(source: Source) -> dict[str, Bands]:
    """The bands of the losses whose best trial has fold models with held-out scores."""
    by_loss = {}
    for loss in source.losses:
        winner = trials.winner_of(source.study.for_loss(loss), loss, source.records[loss])
        runs = [
            record
            for record in source.records[loss]
            if record.stage == "repeat" and record.trial == winner and not record.search_repeat
            if record.failure is None and record.curve
        ]
        phases = [_band(runs, phase) for phase in PHASES]
        if phases[0]:
            by_loss[loss] = Bands(len(runs), phases)
    return by_loss


def span_of(by_loss: Mapping[str, Bands]) -> tuple[float, float]:
    """The range of scores that all losses share."""
    bands = [band for of_loss in by_loss.values() for band in of_loss.phases]
    return drawing.limits([value for band in bands for v in band.values() for value in v])


def _band(runs: Sequence[Record], phase: str) -> Band:
    """Held-out MAP@R in % by epoch, while at least half of the phase's runs go on."""
    values: dict[int, list[float]] = {}
    entered = 0
    for run in runs:
        entries = [entry for entry in run.curve if entry.get("phase") == phase]
        entered += bool(entries)
        for entry in entries:
            score = entry.get("map_at_r")
            if score is not None and math.isfinite(score):
                values.setdefault(int(entry["epoch"]), []).append(100 * score)
    return {
        epoch: (min(scores), math.fsum(scores) / len(scores), max(scores))
        for epoch, scores in sorted(values.items())
        if 2 * len(scores) >= entered
    }


def figure_of(loss: str, bands: Bands, span: tuple[float, float]) -> Any:
    """The learning curves of a loss, mean and range.

    The follow-up phase goes on to the right of the line that marks the switch.

    `span` is the range of scores, which all losses share.
    """
    figure, panel = drawing.axes(250, 150, left=34, bottom=30)
    normal, followup = bands.phases
    switch = max(normal)
    for band, start, colour in zip(bands.phases, (0, switch), (BLUE, GREEN), strict=True):
        if not band:
            continue
        epochs = [start + epoch for epoch in band]
        low, mean, high = zip(*band.values(), strict=True)
        panel.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(epochs, mean, color=colour, lw=1.6, marker="o" if len(epochs) < 3 else "")
    if followup:
        panel.axvline(switch, color=SOFT, lw=1, ls=(0, (3, 3)))
    panel.set_title(shown(loss, 34))
    panel.set_xlabel("epochs")
    panel.set_ylim(span)
    panel.locator_params(nbins=5)
    return figure
