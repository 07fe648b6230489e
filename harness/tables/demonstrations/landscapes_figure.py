"""The figure of the study `landscapes`: after Figures 1 to 5, 11 and 12 of arXiv 2408.15656."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from harness.measure.distance_functions import power, sine
from harness.measure.landscapes import Landscape, Minima, order
from harness.tables.demonstrations.landscapes import Numbers
from harness.tables.figure import save

REACH = 6.0  # of a panel, from its middle
GRID = 201  # points a side
LEVELS = 24
ARROWS = 11


def draw(numbers: Numbers, path: Path) -> None:
    """Write the figure to `path` (PNG, PDF or SVG by its ending), whole or not at all.

    Contours hold equal shares of the panel's area: dark is low. A star is the image's proxy,
    squares are the others, crosses the ends of searches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 11.5), layout="constrained")
    panels = figure.subplots(3, 4)
    for panel, case in zip(panels[:2].flat, numbers.cases, strict=True):
        f1, f2 = case.landscape.f1.name, case.landscape.f2.name
        title = f"{case.name}\nf1 = {f1}, f2 = {f2}".replace("inf", "∞")
        _contours(panel, case.landscape, case.minima, title)
    for panel, (name, landscape, minima) in zip(panels[2, :2], numbers.four[:2], strict=True):
        _contours(panel, landscape, minima, f"four proxies (Fig. 5)\n{name}")
    _draw_circle(panels[2, 2])
    warped = next(case.landscape for case in numbers.cases if case.name.startswith("warp"))
    _draw_ray(panels[2, 3], warped)
    figure.suptitle(
        "Where the loss of one image is lowest. Dark: low; star: the image's proxy; squares: "
        "others; white crosses: ends of searches; arrows: down the gradient",
        fontsize="large",
    )
    save(figure, path)


def _contours(panel: Any, landscape: Landscape, minima: Minima, title: str) -> None:
    side = np.linspace(-REACH, REACH, GRID)
    points = np.stack(np.meshgrid(side, side), axis=-1)
    height = landscape.height(points)
    levels = np.unique(np.quantile(height, np.linspace(0, 1, LEVELS)).round(9))
    panel.contourf(side, side, height, levels=levels, cmap="cividis")
    panel.contour(side, side, height, levels=levels, colors="black", linewidths=0.3)
    coarse = np.linspace(-REACH, REACH, ARROWS + 2)[1:-1]
    tails = np.stack(np.meshgrid(coarse, coarse), axis=-1)
    # moved a little, so that none lies on a proxy
    slopes = -landscape.gradient(tails + 1e-6)
    lengths = np.linalg.norm(slopes, axis=-1, keepdims=True)
    arrows = np.where(lengths > 1e-6, slopes / np.maximum(lengths, 1e-6), 0.0)
    panel.quiver(
        *np.moveaxis(tails, -1, 0), *np.moveaxis(arrows, -1, 0), color="0.85", scale=22, width=0.004
    )
    panel.plot(*landscape.others.T, "s", color="tab:orange", mec="black", markersize=8)
    panel.plot(*landscape.proxy, "*", color="tab:orange", mec="black", markersize=15)
    inside = minima.places[np.all(np.abs(minima.places) <= REACH, axis=1)]
    panel.plot(*inside.T, "x", color="white", markersize=9, mew=2.5)
    panel.set_title(title, fontsize="medium")
    panel.set_aspect("equal")
    panel.set_xlim(-REACH, REACH)
    panel.set_ylim(-REACH, REACH)


def _draw_circle(panel: Any) -> None:
    """Heights on a circle around the other proxy: the lemma kept and broken (Fig. 11)."""
    distance, radius = 2.0, 3.0
    angles = np.linspace(0, math.pi, 400)
    points = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    proxy, other = np.array([distance, 0.0]), np.zeros((1, 2))
    for f, line in ((power(1), "-"), (power(2), "--"), (sine(1.0, 3.0), ":")):
        heights = Landscape(proxy, other, f, f).height(points)
        scaled = (heights - heights.min()) / np.ptp(heights)
        panel.plot(
            np.degrees(angles), scaled, line, color="C0" if line != ":" else "C1", label=f.name
        )
    panel.set_title(
        "on a circle around the other proxy (Fig. 11)\nlowest at 0°, highest at 180° "
        "if f never falls",
        fontsize="medium",
    )
    panel.set_xlabel("angle to the image's proxy, degrees")
    panel.set_ylabel("height, scaled to 0..1")
    panel.legend(frameon=False)
    panel.grid(alpha=0.3)


def _draw_ray(panel: Any, landscape: Landscape) -> None:
    """Height along the ray, with the order of the derivatives (Fig. 12)."""
    distance = float(np.linalg.norm(landscape.proxy - landscape.others[0]))
    t = np.linspace(1e-6, REACH - distance / 2, 400)
    points = landscape.proxy + t[:, None] * np.array([1.0, 0.0])
    heights = landscape.height(points)
    signs = order(landscape.f1, landscape.f2, distance, t)
    for sign, line, label in ((-1, "-", "f1' < f2': downhill"), (1, "--", "f1' > f2': uphill")):
        panel.plot(t[signs == sign], heights[signs == sign], line, linewidth=2.5, label=label)
    panel.set_title(
        f"outward along the line (Fig. 12)\nf1 = {landscape.f1.name}, f2 = {landscape.f2.name}",
        fontsize="medium",
    )
    panel.set_xlabel("t, distance from the proxy")
    panel.set_ylabel("height")
    panel.legend(frameon=False)
    panel.grid(alpha=0.3)
