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
class Curve:
    """The learning curves of a loss, as a figure."""

    loss: str
    figure: str


def curves(source: Source, render: Render) -> list[Curve]:
    """The losses whose best trial has fold models with held-out scores."""
    of_losses = []
    for loss in source.losses:
        winner = trials.winner_of(source.study.for_loss(loss), loss, source.records[loss])
        runs = [
            record
            for record in source.records[loss]
            if record.stage == "repeat" and record.trial == winner and not record.search_repeat
            if record.failure is None and record.curve
        ]
        bands = [_band(runs, phase) for phase in PHASES]
        if bands[0]:
            of_losses.append((loss, len(runs), bands))
    every = [
        value for _, _, bands in of_losses for one in bands for v in one.values() for value in v
    ]
    span = drawing.limits(every)
    return [
        Curve(
            loss,
            render(
                f"{slug(source.address)}_curve_{number}_{slug(loss)}",
                f"held-out MAP@R of {loss} by epoch, {n_runs} runs, both phases",
                _figure(loss, bands, span),
            ),
        )
        for number, (loss, n_runs, bands) in enumerate(of_losses)
    ]


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


def _figure(loss: str, bands: Sequence[Band], span: tuple[float, float]) -> Any:
    """The follow-up phase goes on to the right of the line that marks the switch.

    `span` is the range of scores, which all losses share.
    """
    figure, panel = drawing.axes(250, 150, left=34, bottom=30)
    switch = max(bands[0])
    for band, start, colour in zip(bands, (0, switch), (BLUE, GREEN), strict=True):
        if not band:
            continue
        epochs = [start + epoch for epoch in band]
        low, mean, high = zip(*band.values(), strict=True)
        panel.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.plot(epochs, mean, color=colour, lw=1.6, marker="o" if len(epochs) < 3 else "")
    if bands[1]:
        panel.axvline(switch, color=SOFT, lw=1, ls=(0, (3, 3)))
    panel.set_title(shown(loss, 34))
    panel.set_xlabel("epochs")
    panel.set_ylim(span)
    panel.locator_params(nbins=5)
    return figure
