"""The search of a loss as parallel coordinates: a line for each trial, over all params at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution

from harness.protocol import search
from harness.protocol.search import Trial
from harness.report import drawing
from harness.report.sources import shown
from harness.report.svg import BLUE, GREEN, INK, RULE, SOFT

WIDTH, HEIGHT = 760.0, 230.0
STAGGERED = 6  # axes in one figure; the names of more stand in two lines
WIDER = 1.06  # than from the first axis to the last, for the last one's name
FEWEST = 3  # trials with a score; fewer are read better in the panels
SHARE = 0.25  # of the trials, those with the highest scores, that stand out
SCORE = "held-out MAP@R, %"

Scale = Callable[[Any], float]  # a value -> its height on an axis, 0 to 1


def figure(
    done: Mapping[int, Trial], params: Sequence[str], space: search.Space, best: int | None
) -> Any:
    """An axis for each param and one for the score; None where there is too little to draw.

    The best trial is green, the best quarter blue; failed trials are dotted and reach no score.
    """
    scored = {n: trial for n, trial in done.items() if trial.score is not None}
    drawn = [name for name in params if any(name in trial.params for trial in done.values())]
    if len(scored) < FEWEST or len(drawn) < 2:
        return None
    top = 48 if len(drawn) + 1 > STAGGERED else 34
    chart, panel = drawing.axes(WIDTH, HEIGHT, left=50, bottom=30, top=top)
    panel.grid(visible=False)
    panel.set_axis_off()
    panel.set_xlim(0, len(drawn) * WIDER)
    panel.set_ylim(0, 1)
    scales = [_draw_axis(panel, i, name, done, space.get(name)) for i, name in enumerate(drawn)]
    values = [100 * (trial.score or 0.0) for trial in scored.values()]
    low, high = drawing.limits(values)
    _draw_ends(panel, len(drawn), SCORE, f"{low:.2f}", f"{high:.2f}")
    order = sorted(scored, key=lambda n: scored[n].score or 0.0)
    leading = set(order[-max(1, math.ceil(SHARE * len(order))) :])
    for number in [*(n for n in done if n not in scored), *order]:
        trial = done[number]
        heights = [
            scale(trial.params[name]) if name in trial.params else math.nan
            for scale, name in zip(scales, drawn, strict=True)
        ]
        if trial.score is not None:
            heights.append((100 * trial.score - low) / (high - low))
        panel.plot(
            range(len(heights)), heights, clip_on=False, **_look(trial, number, best, leading)
        )
    return chart


def _look(trial: Trial, number: int, best: int | None, leading: set[int]) -> dict[str, Any]:
    if number == best:
        return {"color": GREEN, "lw": 2.2, "zorder": 4}
    if trial.score is None:
        return {"color": INK, "lw": 0.9, "ls": ":", "zorder": 2}
    if number in leading:
        return {"color": BLUE, "lw": 1.1, "alpha": 0.85, "zorder": 3}
    return {"color": SOFT, "lw": 0.8, "alpha": 0.45, "zorder": 1}


def _draw_axis(
    panel: Any,
    place: int,
    name: str,
    done: Mapping[int, Trial],
    distribution: BaseDistribution | None,
) -> Scale:
    """Draw a param's axis from the lowest to the highest value; gives its scale."""
    values = [trial.params[name] for trial in done.values() if name in trial.params]
    if not all(isinstance(value, (int, float)) for value in values):
        names = sorted({str(value) for value in values})
        _draw_ends(panel, place, name, shown(names[0], 12), shown(names[-1], 12))
        last = max(1, len(names) - 1)
        return lambda value: names.index(str(value)) / last
    given = [getattr(distribution, end, None) for end in ("low", "high")]
    low = min([*values, *(end for end in given[:1] if end is not None)])
    high = max([*values, *(end for end in given[1:] if end is not None)])
    _draw_ends(panel, place, name, f"{low:.3g}", f"{high:.3g}")
    if high == low:
        return lambda _: 0.5
    if getattr(distribution, "log", False) and low > 0:
        return lambda value: math.log(value / low) / math.log(high / low)
    return lambda value: (value - low) / (high - low)


def _draw_ends(panel: Any, place: int, name: str, low: str, high: str) -> None:
    """Draw an axis with its name above and its lowest and highest value at the ends."""
    panel.plot([place, place], [0, 1], color=RULE, lw=1.4, clip_on=False, zorder=0)
    n_axes = round(panel.get_xlim()[1] / WIDER) + 1
    lines = 2 if n_axes > STAGGERED else 1
    raised = 14 * (place % lines)
    most = int(lines * WIDTH / n_axes / 4.5)  # letters for which there is room
    for text, height, offset, colour in (
        (low, 0, -11, SOFT),
        (high, 1, 5, SOFT),
        (shown(name, most), 1, 17 + raised, INK),
    ):
        panel.annotate(
            text,
            (place, height),
            xytext=(0, offset),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
            annotation_clip=False,
        )
