"""The figure of `convergence`: R@1 over steps, and over the seconds that these took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.measure.convergence import Curve
from harness.schema import Problem
from harness.tables.figure import save

MARKERS = "osv^D*PX<>"  # beside the colours, which not everybody tells apart


def draw(
    curves: Mapping[str, Mapping[int, Sequence[Curve]]],
    seconds_per_step: Mapping[str, float],
    path: Path,
    *,
    title: str,
    step: str,
) -> None:
    """Write the figure to `path`, whole or not at all.

    `curves` maps loss -> repeat -> the curves of its folds. A line is the mean over the repeats, a
    band goes from the lowest to the highest. Problem where there is no curve.
    """
    from matplotlib.figure import Figure

    if not any(curves.values()):
        raise Problem("--figure: no repeat of a loss is complete yet; run the study to its end")
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    by_step, by_second = figure.subplots(1, 2, sharey=True)
    for number, (loss, repeats) in enumerate(curves.items()):
        if not repeats:
            continue
        steps, values = _of_repeats(repeats)
        style = {"color": f"C{number % 10}", "marker": MARKERS[number % len(MARKERS)]}
        for panel, x in ((by_step, steps), (by_second, steps * seconds_per_step[loss])):
            panel.plot(x, 100 * values.mean(0), markersize=4, label=loss, **style)
            low, high = 100 * values.min(0), 100 * values.max(0)
            panel.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
            panel.grid(alpha=0.3)
    by_step.set_xlabel(step)
    by_second.set_xlabel("seconds of wall time, evaluations included")
    by_step.set_ylabel("held-out R@1, %")
    by_step.legend(fontsize="small", frameon=False)
    figure.suptitle(f"{title}; bands: lowest to highest", fontsize="medium")
    save(figure, path)


def _of_repeats(
    repeats: Mapping[int, Sequence[Curve]],
) -> tuple[np.ndarray, np.ndarray]:
    """Steps [s] that every curve has, and each repeat's mean over its folds there [repeats, s]."""
    by_step = [[dict(curve) for curve in folds] for folds in repeats.values()]
    shared = sorted(set.intersection(*(set(curve) for folds in by_step for curve in folds)))
    values = [[np.mean([curve[s] for curve in folds]) for s in shared] for folds in by_step]
    return np.array(shared), np.array(values)
