"""Two ways to do the same thing, measured in turn; medians, ratios and their spread."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.engines.execute import Places
from harness.engines.process import prepare
from harness.schema import Study
from harness.training.precision import allow_tf32

Measure = Callable[[], float]
GOALS = "set for 2 cores without a GPU"  # as modules of measures have them


@dataclass(frozen=True)
class Setting:
    """How to measure: rounds, device, a temporary folder; `say` takes a line on progress."""

    rounds: int
    device: torch.device
    folder: Path
    say: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One thing measured, ours and the baseline's, one value each per round.

    `unit` is of the values; `rising` says that more is better (img/s), else less is (s, MB). A
    goal is the least ratio to the baseline, the least share of the limit or, without a baseline,
    the largest value.
    `limit` is what the machine itself can do in the same rounds, and `limit_is` says of what.
    """

    name: str
    what: str
    unit: str
    ours: tuple[float, ...]
    baseline: tuple[float, ...] = ()
    rising: bool = False
    least_ratio: float | None = None
    most: float | None = None
    least_share: float | None = None
    limit: tuple[float, ...] = ()
    limit_is: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.ours or (self.baseline and len(self.baseline) != len(self.ours)):
            raise ValueError(
                f"{self.name}: {len(self.ours)} values of ours, {len(self.baseline)} of the "
                "baseline; every round gives one of each"
            )
        if self.limit and (len(self.limit) != len(self.ours) or not self.limit_is):
            raise ValueError(f"{self.name}: a limit has one value a round, and limit_is")

    @property
    def ratios(self) -> tuple[float, ...]:
        """Per round, how many times better ours was; rounds are paired because machines drift."""
        return self._times_better(self.baseline)

    @property
    def share(self) -> float | None:
        """How much of the machine's limit ours reaches, 1 for all: the median of the rounds."""
        return statistics.median(self._times_better(self.limit)) if self.limit else None

    def _times_better(self, others: tuple[float, ...]) -> tuple[float, ...]:
        pairs = zip(self.ours, others, strict=True) if others else ()
        return tuple(ours / other if self.rising else other / ours for ours, other in pairs)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios) if self.baseline else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest of the rounds' ratios."""
        return (min(self.ratios), max(self.ratios)) if self.baseline else None

    @property
    def reached(self) -> bool | None:
        """Whether the medians reach the goal; None without one."""
        if self.least_ratio is not None and self.ratio is not None:
            return self.ratio >= self.least_ratio
        if self.least_share is not None and self.share is not None:
            return self.share >= self.least_share
        if self.most is not None:
            return statistics.median(self.ours) <= self.most
        return None


@dataclass(frozen=True)
class Report:
    """Everything measured in one run, on what, and what was missing to measure or compare with.

    `goals` says for what machine the goals are set.
    """

    comparisons: tuple[Comparison, ...]
    machine: dict[str, str]
    missing: tuple[str, ...]
    goals: str = GOALS


def in_turn(
    ours: Measure, baseline: Measure, rounds: int, *, warm_up: bool = True
) -> tuple[list[float], list[float]]:
    """Values of both, as `each_in_turn`."""
    values = each_in_turn((ours, baseline), rounds, warm_up=warm_up)
    return values[0], values[1]


def each_in_turn(
    measures: Sequence[Measure], rounds: int, *, warm_up: bool = True
) -> list[list[float]]:
    """Values of each measure, one a round; who goes first alternates.

    A measure does its work once and returns its value: seconds, or a rate. `warm_up` adds a first
    round that is thrown away; measures that start from nothing every time need none.
    """
    values: list[list[float]] = [[] for _ in measures]
    sides = list(zip(values, measures, strict=True))
    for number in range(-int(warm_up), rounds):
        for side_values, measure in reversed(sides) if number % 2 else sides:
            value = measure()
            if number >= 0:
                side_values.append(value)
    return values


def alone(measure: Measure, rounds: int) -> list[float]:
    """Values of something that has no baseline, after one round to warm up."""
    return [measure() for _ in range(rounds + 1)][1:]


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of the work, until the device has finished it."""
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - start


@contextlib.contextmanager
def as_runs_execute(study: Study, device: torch.device) -> Iterator[None]:
    """Torch set up as for a run of the study, for our side alone; the baseline keeps its defaults.

    Those are TF32 in convolutions, where the device has it.
    """
    cudnn: Any = torch.backends.cudnn
    kinds = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before, precisions = cudnn.benchmark, [kind.fp32_precision for kind in kinds]
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    mode = torch.get_deterministic_debug_mode()
    prepare(Places(Path(), Path(), threads=torch.get_num_threads()))
    allow_tf32(study, device)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        memory.fill_uninitialized_memory = filled
        cudnn.benchmark = before
        for kind, fp32_precision in zip(kinds, precisions, strict=True):
            kind.fp32_precision = fp32_precision


def finish(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def text(report: Report) -> str:
    """The report as a table for a terminal, one line per comparison, notes below."""
    lines: list[tuple[str, ...]] = [
        ("measured", "ours", "baseline", "ratio", "lowest-highest", "goal", "", "of the limit")
    ]
    for item in report.comparisons:
        ratio = "" if item.ratio is None else f"{item.ratio:.2f}x"
        spread = "" if item.spread is None else f"{item.spread[0]:.2f}-{item.spread[1]:.2f}"
        verdict = {None: "", True: "reached", False: "MISSED"}[item.reached]
        measured = (_value(item, item.ours), _value(item, item.baseline))
        share = "" if item.share is None else f"{100 * item.share:.0f} %"
        compared = (*measured, ratio, spread, _goal(item), verdict, share)
        lines.append((f"{item.name}: {item.what}", *compared))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, tuple("-" * width for width in widths))
    rows = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rounds = sorted({len(item.ours) for item in report.comparisons})
    rows.append("")
    rows.append(
        f"Medians of {' or '.join(map(str, rounds)) or 0} rounds, ours and the baseline in turn. "
        "Ratio: median over rounds of how many times better ours is, with the lowest and highest. "
        f"Goals are {report.goals}."
    )
    limits = dict.fromkeys(
        f"{item.name}: {item.limit_is}" for item in report.comparisons if item.limit
    )
    if limits:
        rows.append("Of the limit: the share of what the machine itself does in the same rounds.")
        rows += [f"  {limit}" for limit in limits]
    rows += [f"{name}: {value}" for name, value in report.machine.items()]
    rows += [f"{item.name}: {note}" for item in report.comparisons for note in item.notes]
    rows += [f"NOT THERE: {line}" for line in report.missing]
    return "\n".join(rows) + "\n"


def sentence(item: Comparison) -> str:
    """One comparison in a line, for those who wait for the table."""
    line = f"{item.name}: {item.what}: {_value(item, item.ours)}"
    if item.ratio is not None and item.spread is not None:
        low, high = item.spread
        line += (
            f", baseline {_value(item, item.baseline)}, {item.ratio:.2f}x ({low:.2f}-{high:.2f})"
        )
    return line


def as_data(report: Report) -> dict[str, Any]:
    """The report for machines: every round's values, their medians and ratios."""
    return {
        "machine": report.machine,
        "missing": list(report.missing),
        "comparisons": [
            {
                "name": item.name,
                "what": item.what,
                "unit": item.unit,
                "more_is_better": item.rising,
                "ours": list(item.ours),
                "baseline": list(item.baseline),
                "ours_median": statistics.median(item.ours),
                "baseline_median": statistics.median(item.baseline) if item.baseline else None,
                "ratio": item.ratio,
                "ratio_lowest": item.spread[0] if item.spread else None,
                "ratio_highest": item.spread[1] if item.spread else None,
                "goal_least_ratio": item.least_ratio,
                "goal_most": item.most,
                "goal_least_share_of_limit": item.least_share,
                "reached": item.reached,
                "limit": list(item.limit),
                "limit_is": item.limit_is,
                "share_of_limit": item.share,
                "notes": list(item.notes),
            }
            for item in report.comparisons
        ],
    }


def _value(item: Comparison, values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4g} {item.unit}" if values else ""


def _goal(item: Comparison) -> str:
    if item.least_ratio is not None:
        return f">= {item.least_ratio:g}x"
    if item.least_share is not None:
        return f">= {100 * item.least_share:g} % of the limit"
    return "" if item.most is None else f"<= {item.most:g} {item.unit}"
