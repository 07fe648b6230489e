"""Scores of recorded models on corrupted test images: a row a loss, a column a corruption.

After Table IV of DeMoor and Prevost 2024, arXiv 2408.15656 (there one model a loss, on CUB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.measure import intervals
from harness.tables import figure, markup, mean_text, statement
from harness.tables.metrics import AS_SHARES, IN_PERCENT
from harness.tables.statement import Statement, Verdict

CLEAN = "clean"
METRIC = "precision_at_1"
# What the paper's table has for the warped softmax against another loss: where it is not better.
RIVALS: Mapping[str, tuple[str, ...]] = {
    "euclidean_softmax": (),
    "proxy_nca_pp": (),
    "hist": ("cutout", "jigsaw"),
}
WARPED = "warped"
WORDS: Mapping[Verdict, str] = {
    "agrees": "better",
    "disagrees": "worse",
    "undecided": "not to be told apart",
}


@dataclass(frozen=True)
class Robustness:
    """Loss -> corruption (or CLEAN) -> repeat -> P@1 as a share of 1, of one study and dataset.

    failed: loss -> repeats that failed when they were recorded, so that its means are of survivors.
    """

    address: str
    scores: Mapping[str, Mapping[str, Mapping[int, float]]]
    unlike: Sequence[str]  # records whose clean scores are not the recorded ones exactly
    failed: Mapping[str, int] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """CLEAN and the corruptions, in the order of the first loss."""
        return list(next(iter(self.scores.values())))

    @property
    def repeats(self) -> str:
        """Over how many repeats the means are, in words."""
        counts = sorted({len(by_column[CLEAN]) for by_column in self.scores.values()})
        return f"{' or '.join(map(str, counts))} repeats"


def text(robustness: Robustness, made_by: str) -> str:
    """The table in markdown, with its caption and its sentences."""
    columns = robustness.columns
    body = [
        [
            loss,
            *(
                mean_text.text(
                    list(by_column[column].values()), failed=robustness.failed.get(loss, 0)
                )
                for column in columns
            ),
        ]
        for loss, by_column in robustness.scores.items()
    ]
    return markup.markdown(("loss", *columns), body, caption(robustness, made_by))


def caption(robustness: Robustness, made_by: str, unit: str = IN_PERCENT) -> str:
    """What the columns, in `unit`, are, and the sentences with their rules."""
    lines = [
        f"{robustness.address}: test P@1 (R@1) {unit} of recorded models, trained again, on "
        "clean and corrupted test images; queries and gallery are corrupted alike, each image by "
        "its own position and the same for every model. Mean ± half-width of the 95 % t "
        f"interval over {robustness.repeats}. The strengths are the defaults of imgaug 0.4.0 "
        "(harness/data/corruptions.py).",
        *statement.lines(statements(robustness)),
    ]
    if robustness.unlike:
        lines.append(
            f"UNLIKE: the clean scores of {', '.join(robustness.unlike)} are not exactly the "
            "recorded ones: another machine, version or code."
        )
    return "\n".join([*lines, made_by])


def statements(robustness: Robustness) -> list[Statement]:
    """The paper's comparison of the warped softmax with each of RIVALS of which no run failed."""
    whole = {loss for loss in robustness.scores if not robustness.failed.get(loss)}
    if WARPED not in whole:
        return []
    made = []
    for rival, exceptions in RIVALS.items():
        if rival not in whole:
            continue
        columns = [c for c in robustness.columns if c != CLEAN and c not in exceptions]
        warped, other = robustness.scores[WARPED], robustness.scores[rival]
        verdicts = [statement.paired(warped[name], other[name])[1] for name in columns]
        counts = ", ".join(f"{verdicts.count(one)} {word}" for one, word in WORDS.items())
        but = f" on all but {' and '.join(exceptions)}" if exceptions else " on every corruption"
        made.append(
            Statement(
                f"{WARPED} is better than {rival}{but} (Table IV)",
                f"of {len(columns)} corruptions it is on {counts}",
                statement.joint(verdicts),
                "by the 95 % t interval of the paired difference on each; agrees if all lie above "
                "0, disagrees if one lies below",
            )
        )
    return made


def as_data(robustness: Robustness, made_by: str) -> dict[str, Any]:
    """The table for --json."""
    return {
        "address": robustness.address,
        "scores": robustness.scores,
        "failed": robustness.failed,
        "statements": statement.as_data(statements(robustness)),
        "caption": caption(robustness, made_by, AS_SHARES),
    }


def draw(robustness: Robustness, path: Path) -> None:
    """Write the figure to `path` (PNG, PDF or SVG by its ending), whole or not at all."""
    figure.save(dots(robustness), path)


def dots(robustness: Robustness) -> Any:
    """A column of the table a line, as a matplotlib figure: every loss a dot, clean at the top.

    Dots are mean P@1 in %, bars their 95 % t intervals. Of few repeats each is a small tick,
    without a bar.
    """
    from matplotlib.figure import Figure

    columns, losses = robustness.columns, list(robustness.scores)
    few = any(len(by[CLEAN]) < mean_text.FEW for by in robustness.scores.values())
    canvas = Figure(figsize=(8, 1.6 + 0.16 * (len(losses) + 1) * len(columns)))
    canvas.set_layout_engine("constrained")
    panel = canvas.subplots()
    step = 0.7 / len(losses)
    for number, (loss, by_column) in enumerate(robustness.scores.items()):
        heights = [-line + 0.35 - step * (number + 0.5) for line in range(len(columns))]
        values = [[100 * score for score in by_column[name].values()] for name in columns]
        colour = f"C{number % 10}"
        panel.errorbar(
            list(map(fmean, values)),
            heights,
            xerr=None if few else [intervals.t_interval(of_one).half_width for of_one in values],
            fmt="osD^vP*X"[number % 8],
            markersize=4,
            color=colour,
            capsize=2,
            label=loss,
        )
        if few:
            for height, of_one in zip(heights, values, strict=True):
                panel.plot(of_one, [height] * len(of_one), "|", color=colour, markersize=7)
    for line in range(1, len(columns)):
        panel.axhline(0.5 - line, color="0.9", linewidth=1, zorder=0)
    panel.set_yticks([-line for line in range(len(columns))], columns)
    panel.set_ylim(0.5 - len(columns), 0.5)
    panel.set_xlabel("P@1 (R@1) in %")
    panel.grid(axis="x", alpha=0.3)
    panel.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    bars = "each repeat (ticks)" if few else "95 % interval"
    canvas.suptitle(
        f"{robustness.address}: corrupted test images, mean and {bars} over {robustness.repeats}",
        fontsize="medium",
    )
    return canvas
