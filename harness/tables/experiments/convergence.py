"""The page of `convergence`: held-out R@1 over steps and seconds, and how soon levels are reached.

Findings of Movshovitz-Attias et al. 2017, arXiv 1703.07464 (Proxy-NCA).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.measure import convergence, intervals
from harness.protocol import plan
from harness.schema import BASELINES, Record, Study
from harness.tables import mean_text
from harness.tables.experiments import _convergence_figure, _sheet
from harness.tables.experiments._curves import Runs, runs_of
from harness.tables.page import Page
from harness.tables.statement import Statement, Verdict, joint
from harness.tables.table_caption import warnings

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of R@1
SHOWN = 3  # levels at most, the highest that all losses reach or else that some do
FAST, BASELINE_LOSSES = "proxy_nca", ("triplet", "npair", "lifted_structure")
FACTOR = 3.0


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The table by loss, the curves as the figure, the paper's findings judged."""
    runs = {loss: runs_of(study, loss, records[loss]) for loss in records if loss not in BASELINES}
    levels = shown_levels(runs)
    head = ["loss", "best R@1"]
    head += [f"{unit} to {100 * level:g} %" for unit in (step_of(study), "s") for level in levels]
    head.append(f"s per 100 {step_of(study)}")
    order = sorted(runs, key=lambda loss: -_mean(runs[loss].best))
    lines = [
        f"R@1 of the classes that a fold holds out, mean over the {study.folds} folds of a repeat. "
        f"{step_of(study)} to a level: until R@1 is first at it, at the resolution of the "
        f"evaluations; 2 of {study.repeats}: the other repeats have a fold that never is, and the "
        "mean without them is too low. s: wall time of a run over its "
        f"{step_of(study)}, evaluations included.",
        *_at_the_end(runs),
        *notes,
        *(
            line
            for loss in order
            for line in warnings(loss, plan.progress(study.for_loss(loss), loss, records[loss]))
        ),
    ]
    return _sheet.page(
        head,
        [_row(loss, runs[loss], levels) for loss in order],
        caption=_sheet.caption(study, dataset, records, lines),
        statements=statements(study, runs),
        data={
            "study": study.name,
            "dataset": dataset,
            "rows": [_data(loss, runs[loss], levels) for loss in order],
        },
        draw=lambda path: _draw(study, dataset, {loss: runs[loss] for loss in order}, path),
    )


def step_of(study: Study) -> str:
    """What a step is: a batch where the study says how many an epoch has."""
    return "epochs" if study.iterations is None else "steps"


def shown_levels(runs: Mapping[str, Runs]) -> list[float]:
    """The highest levels that every repeat of every loss reaches; where there are none, the lowest.

    They depend on all losses together, so no loss is favoured by them.
    """
    folds = [curves for of_loss in runs.values() for curves in of_loss.curves.values()]
    bests = [max(score for _, score in curve) for curves in folds for curve in curves]
    reached = [level for level in LEVELS if bests and level <= min(bests)]
    return reached[-SHOWN:] or list(LEVELS[:1])


def _at_the_end(runs: Mapping[str, Runs]) -> list[str]:
    """The line on folds whose best R@1 is their last: they had not converged."""
    counts = []
    for loss, of_loss in runs.items():
        curves = [curve for folds in of_loss.curves.values() for curve in folds]
        last = sum(curve[-1][1] == max(score for _, score in curve) for curve in curves)
        counts += [f"{loss} {last} of {len(curves)}"] if last else []
    return [f"AT THE END, best R@1 at the last evaluation: {', '.join(counts)} runs."] * bool(
        counts
    )


def _mean(values: Mapping[int, float]) -> float:
    return math.fsum(values.values()) / len(values) if values else -math.inf


def _row(loss: str, runs: Runs, levels: Sequence[float]) -> list[str]:
    pace, n = runs.seconds_per_step, len(runs.curves)
    steps = [runs.steps_to(level) for level in levels]
    row = [loss, _sheet.cell(runs.best, runs.failed)]
    row += [_count_cell(values, n, spec=".0f") for values in steps]
    for values in steps:
        seconds = {repeat: value * pace[repeat] for repeat, value in values.items()}
        row.append(_count_cell(seconds, n, spec=".1f"))
    per_100 = {repeat: 100 * value for repeat, value in pace.items()}
    return [*row, _count_cell(per_100, n, spec=".2f")]


def _count_cell(values: Mapping[int, float], repeats: int, *, spec: str) -> str:
    """Mean and interval over the repeats that have a value, with how many do not."""
    listed = mean_text.in_order(values)
    return mean_text.text(listed, failed=repeats - len(values), spec=spec, scale=1)


def _data(loss: str, runs: Runs, levels: Sequence[float]) -> dict[str, object]:
    return {
        "loss": loss,
        "best_precision_at_1": runs.best,
        "steps": {f"{level:g}": runs.steps_to(level) for level in levels},
        "seconds_per_step": runs.seconds_per_step,
        "failed": runs.failed,
    }


def statements(study: Study, runs: Mapping[str, Runs]) -> list[Statement]:
    """The findings of Proxy-NCA that the records can judge: with two repeats of every loss."""
    losses = (FAST, *BASELINE_LOSSES)
    if any(loss not in runs or len(runs[loss].curves) < 2 for loss in losses):
        return []
    return [_three_times_as_fast(study, runs), _higher(runs)]


def _three_times_as_fast(study: Study, runs: Mapping[str, Runs]) -> Statement:
    """Steps to a level that both reach, as a ratio, one baseline after the other."""
    level = 1 - 0.05 / len(BASELINE_LOSSES)
    words, verdicts = [], list[Verdict]()
    for baseline in BASELINE_LOSSES:
        ratio = _speed_up(runs[FAST], runs[baseline], level)
        if ratio is None:
            words.append(f"{baseline} cannot be compared")
            verdicts.append("undecided")
            continue
        mean, low, high = ratio
        words.append(f"{mean:.2f} times as fast as {baseline} ({low:.2f} to {high:.2f})")
        verdicts.append("disagrees" if high < FACTOR else "agrees" if low > 1 else "undecided")
    return Statement(
        paper="Proxy-NCA converges about three times as fast as the baselines",
        here=f"{FAST} is {', '.join(words)}, by {step_of(study)} to "
        f"{100 * convergence.SHARE:g} % of the lowest best R@1 of both",
        verdict=joint(verdicts),
        rule="ratio of steps, geometric mean over repeats with its paired interval, together at "
        f"95 %; an interval above 1 that reaches {FACTOR:g} agrees, one below {FACTOR:g} "
        "disagrees, any other is undecided",
    )


def _speed_up(fast: Runs, slow: Runs, level: float) -> tuple[float, float, float] | None:
    """Steps of `slow` over those of `fast`: geometric mean and interval; None without one."""
    shared = sorted(set(fast.curves) & set(slow.curves))
    if len(shared) < 2:
        return None
    a, b = convergence.steps_to_shared_threshold(
        [fast.curves[n] for n in shared], [slow.curves[n] for n in shared]
    )
    logs = [math.log(y / x) for x, y in zip(a, b, strict=True)]
    interval = intervals.t_interval(logs, level)
    if intervals.without_spread(interval.standard_error, abs(interval.mean)):
        return None
    ends = (interval.mean, interval.mean - interval.half_width, interval.mean + interval.half_width)
    mean, low, high = (math.exp(end) for end in ends)
    return mean, low, high


def _higher(runs: Mapping[str, Runs]) -> Statement:
    level = 1 - 0.05 / len(BASELINE_LOSSES)
    words, verdicts = [], list[Verdict]()
    for baseline in BASELINE_LOSSES:
        gap = intervals.paired_repeats(runs[FAST].best, runs[baseline].best, level)
        if gap is None or gap.half_width is None:
            words.append(f"{baseline} cannot be compared")
            verdicts.append("undecided")
            continue
        words.append(f"{100 * gap.mean:+.2f} ± {100 * gap.half_width:.2f} to {baseline}")
        sure = abs(gap.mean) > gap.half_width
        verdicts.append("undecided" if not sure else "agrees" if gap.mean > 0 else "disagrees")
    return Statement(
        paper="and it results in higher R@1",
        here=f"best held-out R@1 of {FAST}, in points: {', '.join(words)}",
        verdict=joint(verdicts),
        rule="all differences above 0 by their paired t intervals, together at 95 %; one below 0 "
        "disagrees",
    )


def _draw(study: Study, dataset: str, runs: Mapping[str, Runs], path: Path) -> None:
    _convergence_figure.draw(
        {loss: of_loss.curves for loss, of_loss in runs.items()},
        {loss: _mean(of_loss.seconds_per_step) for loss, of_loss in runs.items()},
        path,
        title=f"{dataset}, study {study.name}: held-out R@1, mean of the repeats that are complete",
        step=step_of(study),
    )
