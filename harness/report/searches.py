"""The search of a loss: value by trial, value by each hyperparameter, and which of them matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution

from harness.protocol import search, trials
from harness.protocol.search import Trial
from harness.report import drawing, parallel
from harness.report.sources import Render, Source, shown, slug
from harness.report.svg import BLUE, GREEN, INK, ORANGE, SOFT

FEWEST = 10  # trials with a score from which importances are computed
COLUMNS = 4


@dataclass(frozen=True)
class Hyperparameter:
    """What was searched: its value in the best trial, and its importance where there is one."""

    name: str
    best: str
    importance: float | None


@dataclass(frozen=True)
class Search:
    """A loss's search on a page: its figure, its best trial in words, importances or why none."""

    loss: str
    summary: str
    figure: str
    parallel: str  # the same trials as parallel coordinates; "" where there are too few
    params: tuple[Hyperparameter, ...]
    why_none: str


def searches(source: Source, render: Render) -> list[Search]:
    """The first search of every loss that has a finished trial."""
    sections = []
    for number, loss in enumerate(source.losses):
        study = source.study.for_loss(loss)
        done = trials.trials_of(study, source.records[loss])
        if study.searches and done:
            sections.append(_search(source, loss, number, done, render))
    return sections


def _search(
    source: Source, loss: str, number: int, done: Mapping[int, Trial], render: Render
) -> Search:
    study = source.study.for_loss(loss)
    space = source.spaces.get(loss, {})
    params = search.searched_params(study, loss, done[max(done)].params)
    best = search.best(done)
    summary = f"{len(done)} of {study.trials} trials"
    failed = sum(trial.score is None for trial in done.values())
    raced = sum(trial.raced_out for trial in done.values())
    summary += f", {failed} failed" * bool(failed) + f", {raced} raced out" * bool(raced)
    if best is not None:
        score = done[best].score or math.nan
        summary += f"; best: trial {best} with held-out MAP@R {100 * score:.2f} %"
    importances, why_none = _importances(space, done)
    values = {} if best is None else done[best].params
    searched = [Hyperparameter(n, _text(values.get(n, "-")), importances.get(n)) for n in params]
    searched.sort(key=lambda one: -(one.importance or 0.0))
    name = f"{slug(source.address)}_search_{number}_{slug(loss)}"
    lines = parallel.figure(done, params, space, best)
    label = f"trials of {loss} as parallel coordinates, a line a trial"
    return Search(
        loss=loss,
        summary=summary,
        figure=render(name, f"search of {loss}: {summary}", _figure(loss, done, params, space)),
        parallel="" if lines is None else render(f"{name}_parallel", label, lines),
        params=tuple(searched),
        why_none=why_none,
    )


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _importances(space: search.Space, done: Mapping[int, Trial]) -> tuple[Mapping[str, float], str]:
    """Optuna's importances (PED-ANOVA); or why there are none.

    Source: Watanabe, Bansal and Hutter 2023.
    """
    import optuna

    if not space:
        return {}, "its file in losses/ is not there, which says what was searched"
    scored = [
        (params, trial.score)
        for trial in done.values()
        if trial.score is not None and (params := search.in_space(space, trial.params)) is not None
    ]
    if len(scored) < FEWEST:
        return {}, (
            f"{FEWEST} trials with a score, in the search space that its file has, are needed; "
            f"there are {len(scored)}"
        )
    if len({score for _, score in scored}) == 1:
        return {}, "every trial scored the same"
    with search.quiet(optuna.logging):
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            [
                optuna.trial.create_trial(value=score, params=params, distributions=dict(space))
                for params, score in scored
            ]
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        try:
            values = optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (ValueError, RuntimeError) as error:
            return {}, f"Optuna cannot compute it: {error}"
    return {name: value for name, value in values.items() if math.isfinite(value)}, ""


def _figure(
    loss: str, done: Mapping[int, Trial], params: Sequence[str], space: search.Space
) -> Any:
    """Value by trial above on the left, then a panel for each hyperparameter."""
    from matplotlib.figure import Figure

    width, height = 190.0, 150.0
    n_rows = math.ceil((len(params) + 2) / COLUMNS)
    size = (COLUMNS * width, n_rows * height)
    figure = Figure(figsize=(size[0] / drawing.POINT, size[1] / drawing.POINT))
    values = {n: 100 * t.score for n, t in done.items() if t.score is not None}
    span = drawing.limits(values.values())
    for place, name in enumerate(("", *params)):
        # The first panel is as wide as two.
        across, down = (place + 1 if place else 0) % COLUMNS, (place + 1 if place else 0) // COLUMNS
        panel = figure.add_axes(
            (
                (across * width + 40) / size[0],
                1 - ((down + 1) * height - 34) / size[1],
                (width * (1 if place else 2) - 52) / size[0],
                (height - 54) / size[1],
            )
        )
        panel.grid(linewidth=0.7)
        panel.set_axisbelow(True)
        panel.set_ylim(span)
        if place:
            _draw_param(panel, name, done, values, space.get(name))
        else:
            _draw_trials(panel, done, values)
    return figure


def _draw_trials(panel: Any, done: Mapping[int, Trial], values: Mapping[int, float]) -> None:
    best_so_far: list[float] = []
    for value in values.values():
        best_so_far.append(max(value, *best_so_far[-1:], value))
    raced = [n for n in values if done[n].raced_out]
    whole = [n for n in values if not done[n].raced_out]
    panel.plot(whole, [values[n] for n in whole], "o", color=BLUE, mew=0, alpha=0.6)
    panel.plot(raced, [values[n] for n in raced], "x", color=SOFT)
    panel.step(list(values), best_so_far, where="post", color=ORANGE, lw=1.5)
    failed = [n for n in done if n not in values]
    low = panel.get_ylim()[0]
    panel.plot(failed, [low] * len(failed), "v", color=INK, clip_on=False)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_title("held-out MAP@R, %, by trial; line: best so far")


def _draw_param(
    panel: Any,
    name: str,
    done: Mapping[int, Trial],
    values: Mapping[int, float],
    distribution: BaseDistribution | None,
) -> None:
    given = {n: done[n].params.get(name) for n in values}
    points = {n: value for n, value in given.items() if value is not None}
    numbers = all(isinstance(value, (int, float)) for value in points.values())
    if not numbers:
        points = {n: shown(str(value), 12) for n, value in points.items()}
    panel.plot(
        list(points.values()), [values[n] for n in points], "o", color=BLUE, mew=0, alpha=0.6
    )
    if getattr(distribution, "log", False):
        drawing.log_scale(panel)
    elif numbers:
        panel.locator_params(axis="x", nbins=4)
    best = max(points, key=values.__getitem__, default=None)
    if best is not None:
        panel.plot([points[best]], [values[best]], "D", color=GREEN, ms=6)
    panel.set_title(shown(name))
