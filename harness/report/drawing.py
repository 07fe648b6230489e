"""Axes for the report's figures, at the size in which they stand on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from harness.report.svg import INK, RULE

POINT = 72  # points an inch: a figure of 72 points is 72 pixels wide on the page
LETTER = 5.1  # points that a letter of a label takes


def axes(
    width: float, height: float, *, left: float = 46, bottom: float = 36, top: float = 22
) -> tuple[Any, Any]:
    """A figure of so many points, and axes in it with these margins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / POINT, height / POINT))
    right = 10
    panel = figure.add_axes(
        (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        )
    )
    panel.grid(color=RULE, linewidth=0.7)
    panel.set_axisbelow(True)
    return figure, panel


def rows(labels: Sequence[str], width: float, row: float = 17) -> tuple[Any, Any]:
    """A figure with a line for each label, the first one at the top."""
    left = 14 + LETTER * max((len(label) for label in labels), default=0)
    figure, panel = axes(width, 62 + row * len(labels), left=left)
    panel.set_yticks(range(len(labels)), labels)
    panel.set_ylim(len(labels) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", visible=False)
    return figure, panel


def log_scale(panel: Any) -> None:
    """A logarithmic x axis with a few plain numbers; the points are drawn already."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    panel.set_xscale("log")
    low, high = panel.get_xlim()
    decades = math.log10(high / low)
    few = LogLocator(subs=(1.0, 3.0) if decades < 1.8 else (1.0,), numticks=5)
    panel.xaxis.set_major_locator(few if decades > 1.2 else MaxNLocator(3))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.2g}".replace("e-0", "e-"))
    )


def labels_beside(panel: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Names at points (name, x, y), on the side where the axes, whose limits are set, have room."""
    middle = sum(panel.get_xlim()) / 2
    for name, x, y in points:
        panel.annotate(
            name,
            (x, y),
            xytext=(6 if x <= middle else -6, 3),
            textcoords="offset points",
            ha="left" if x <= middle else "right",
            fontsize=8,
            color=INK,
        )


def limits(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """The range of the finite values with a margin on either side; (0, 1) if there are none."""
    numbers = [value for value in values if math.isfinite(value)]
    if not numbers:
        return 0.0, 1.0
    low, high = min(numbers), max(numbers)
    margin = share * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
