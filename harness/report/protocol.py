"""What a study does with a loss, as one picture: folds, search, repeats, categories, test."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.report.svg import BLUE, GREEN, INK, ORANGE, SOFT
from harness.schema import Problem, Study

WIDTH, HEIGHT = 800, 604  # pixels at which the picture is meant to be seen
POINT = 100 / 72  # pixels a point
PALE = "#cfe3f1"  # blue where text stands on it


def figure(study: Study) -> Any:
    """The picture, with the study's own numbers; the dots of its trials and scores are made up.

    Problem for a study that searches nothing or has no folds.
    """
    from matplotlib.figure import Figure

    if not study.searches or study.test_scored:
        raise Problem(
            f"study {study.name!r} does not search on held-out classes and then repeat the best "
            "trial; --protocol draws studies that do, such as appendix_d"
        )
    picture = Figure(figsize=(WIDTH / 100, HEIGHT / 100), facecolor="white")
    panel = picture.add_axes((0, 0, 1, 1))
    panel.set_xlim(0, WIDTH)
    panel.set_ylim(HEIGHT, 0)  # pixels, from the top
    panel.set_axis_off()
    _draw_classes(panel, study)
    _draw_search(panel, study)
    _draw_repeats(panel, study)
    _draw_test(panel, study)
    return picture


def _text(panel: Any, x: float, y: float, text: str, size: float = 12.5, **look: Any) -> None:
    """Text whose letters have a size in pixels."""
    look = {"color": INK, "va": "center", "ha": "left", **look}
    panel.text(x, y, text, fontsize=size / POINT, **look)


def _step(panel: Any, number: int, y: float, title: str) -> None:
    """The head of a step: its number in a circle, and what it does."""
    panel.plot([34], [y], "o", color=INK, ms=22 / POINT)
    _text(panel, 34, y + 0.5, str(number), 13, color="white", ha="center", weight="bold")
    _text(panel, 54, y, title, 15, weight="bold")


def _box(panel: Any, x: float, y: float, width: float, height: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    panel.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="white", lw=1.2))


def _arrow(panel: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    panel.annotate("", end, start, arrowprops=look)


def _draw_classes(panel: Any, study: Study) -> None:
    """The classes in two halves, the first of them in folds."""
    _step(panel, 1, 28, "Split the classes")
    width = 352 / study.folds
    for fold in range(study.folds):
        _box(panel, 54 + fold * width, 48, width, 30, PALE)
        name = f"fold {fold + 1}" if study.folds <= 6 else str(fold + 1)
        _text(panel, 54 + (fold + 0.5) * width, 63, name, ha="center")
    _box(panel, 416, 48, 346, 30, INK)
    _text(panel, 589, 63, "test classes", color="white", ha="center", weight="bold")
    _text(panel, 54, 91, "half of the classes, for search and training", color=SOFT)
    _text(panel, 416, 91, "the other half: nothing is chosen on them", color=SOFT)


def _draw_search(panel: Any, study: Study) -> None:
    """The trainings of a trial, the trials, the best of them."""
    trials = f"{study.trials} trial{'s' * (study.trials > 1)}"
    title = f"Search: {trials} \N{MULTIPLICATION SIGN} {study.folds} folds"
    _step(panel, 2, 134, f"{title}, the same budget for every loss")
    width, height = 176 / study.folds, 84 / study.folds
    for row in range(study.folds):
        for fold in range(study.folds):
            colour = ORANGE if fold == row else BLUE
            _box(panel, 54 + fold * width, 160 + row * height, width, height, colour)
    _text(panel, 54, 257, f"one trial: {study.folds} trainings;", color=SOFT)
    _text(panel, 54, 274, "trained on", color=BLUE, weight="bold")
    _text(panel, 132, 274, "and", color=SOFT)
    _text(panel, 163, 274, "held out", color="#b34700", weight="bold")
    _arrow(panel, (246, 202), (286, 202))
    xs = np.linspace(310, 570, study.trials)
    # As a search does: worse in the beginning, never all alike.
    rng = np.random.default_rng(study.trials)
    ys = 172 + 62 * rng.random(study.trials) ** np.linspace(0.6, 1.8, study.trials)
    best = int(ys.argmin())
    panel.plot([300, 300, 580], [162, 246, 246], color=SOFT, lw=1)
    panel.plot(xs, ys, "o", color=BLUE, ms=4 / POINT, mew=0)
    panel.plot(xs[best], ys[best], "D", color=GREEN, ms=10 / POINT, mew=0)
    _text(panel, 300, 257, f"trials 1 to {study.trials}, by held-out MAP@R", color=SOFT)
    _arrow(panel, (xs[best] + 10, ys[best]), (614, ys[best]))
    _text(panel, 622, ys[best], "the best trial's", color="#00704f", weight="bold")
    _text(panel, 622, ys[best] + 17, "hyperparameters", color="#00704f", weight="bold")


def _draw_repeats(panel: Any, study: Study) -> None:
    """The three categories of final runs."""
    _step(panel, 3, 316, f"Train with them again: {study.repeats} repeats, each with a new seed")
    width, height, joined = 160 / study.folds, 48 / study.folds, study.folds * study.dim
    left, middle, right = 54, 300, 546
    on_blue: dict[str, Any] = {"ha": "center", "color": "white", "weight": "bold"}
    for fold in range(study.folds):
        for row in range(study.folds):
            colour = ORANGE if fold == row else BLUE
            _box(panel, left + fold * width, 340 + row * height, width, height, colour)
        _box(panel, middle + fold * width, 352, width, 24, BLUE)
        _text(panel, middle + (fold + 0.5) * width, 364.5, str(fold + 1), **on_blue)
    _box(panel, right, 352, 216, 24, BLUE)
    _text(panel, right + 108, 364.5, f"all {study.folds} folds", **on_blue)
    for x, name, lines in (
        (left, "Aggregate", (f"mean score of {study.folds} fold models,", f"{study.dim}-d each")),
        (middle, "Ensemble", ("their embeddings", f"joined, {joined}-d")),
        (right, "Complete", ("one model trained on", f"them all, {study.complete_dim}-d")),
    ):
        _text(panel, x, 403, name, 14, weight="bold")
        for i, line in enumerate(lines):
            _text(panel, x, 422 + 17 * i, line, color=SOFT)


def _draw_test(panel: Any, study: Study) -> None:
    """Scores on the test classes with intervals, loss beside loss; what it takes."""
    _step(panel, 4, 482, "Open the test classes, score, compare")
    rng = np.random.default_rng(study.repeats)
    for name, y, colour, centre in (("loss A", 518, BLUE, 330), ("loss B", 548, ORANGE, 230)):
        values = centre + 34 * rng.standard_normal(study.repeats)
        half = 2.3 * values.std(ddof=1) / study.repeats**0.5 if study.repeats > 1 else 0
        _text(panel, 54, y, name)
        panel.plot(values, [y] * study.repeats, "o", color=colour, alpha=0.4, ms=5 / POINT, mew=0)
        panel.plot([values.mean() - half, values.mean() + half], [y, y], color=colour, lw=2.5)
        panel.plot([values.mean()], [y], "D", color=colour, ms=9 / POINT, mew=0)
    panel.plot([110, 410], [566, 566], color=SOFT, lw=1)
    _text(panel, 110, 581, "test MAP@R of every repeat, mean, 95 % interval", color=SOFT)
    trainings = study.trials * study.folds + study.repeats * (study.folds + 1)
    for i, line in enumerate(
        (
            f"mean ± 95 % interval over {study.repeats} repeats,",
            "losses paired by seed, p after Holm,",
            f"{trainings} trainings for each loss",
        )
    ):
        _text(panel, 470, 518 + 19 * i, line, 13)
