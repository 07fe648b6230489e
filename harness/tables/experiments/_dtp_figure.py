"""The figure of distances to proxies over a run, a panel for each group of losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.schema import Problem
from harness.tables.experiments._sheet import Runs
from harness.tables.figure import save

LINES = ("-", "--", ":", "-.")


def draw(panels: Mapping[str, Mapping[str, Runs]], path: Path, title: str) -> None:
    """Write the figure to `path`, whole or not at all: AvgDTP over epochs, mean over repeats.

    Bands go from the lowest to the highest repeat. Problem where no curve has the values.
    """
    from matplotlib.figure import Figure

    if not any(_curves(runs) for panel in panels.values() for runs in panel.values()):
        raise Problem("--figure: no run has distances to proxies in its curve yet; run the study")
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for panel, (name, losses) in zip(axes, panels.items(), strict=True):
        for number, (loss, runs) in enumerate(losses.items()):
            curves = _curves(runs)
            if not curves:
                continue
            epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
            values = np.array([[curve[epoch] for epoch in epochs] for curve in curves])
            line = LINES[number // 10 % len(LINES)] if number > 9 else LINES[number % 2]
            panel.plot(epochs, values.mean(0), line, color=f"C{number}", label=loss)
            panel.fill_between(epochs, values.min(0), values.max(0), color=f"C{number}", alpha=0.2)
        panel.set_yscale("log")
        panel.set_title(name, fontsize="medium")
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
        panel.legend(
            fontsize="small",
            frameon=False,
            ncols=3,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
        )
    axes[0].set_ylabel("mean distance to the own proxy")
    figure.suptitle(f"{title}: distance of training images to their proxies", fontsize="medium")
    save(figure, path)


def _curves(runs: Runs) -> list[dict[int, float]]:
    """Epoch -> AvgDTP of each run that ended, in its first phase."""
    curves = [
        {e["epoch"]: e["avg_dtp"] for e in r.curve if "avg_dtp" in e and e["phase"] == "normal"}
        for r in runs.done.values()
    ]
    return [curve for curve in curves if curve]
