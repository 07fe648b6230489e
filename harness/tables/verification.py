"""Recorded models on pairs of images: accuracy in ten folds, rates of errors, the ROC.

After Table V of DeMoor and Prevost 2024, arXiv 2408.15656 (there one model a loss, trained on
MS1MV2), and the measures of the face-recognition toolkits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.measure import verification
from harness.measure.verification import Verification
from harness.tables import markup, mean_text, statement
from harness.tables.figure import save
from harness.tables.metrics import AS_SHARES, IN_PERCENT
from harness.tables.statement import Statement

TEST = "test classes"
WARPED = "warped"
# Another loss -> the benchmarks of the paper's table on which the warped softmax is not above it.
RIVALS: Mapping[str, tuple[str, ...]] = {
    "euclidean_softmax": (),
    "normalized_softmax": (),
    "sphereface": ("agedb_30", "calfw"),
    "arcface": ("agedb_30", "calfw"),
    "cosface": ("agedb_30", "calfw"),
    "magface": ("agedb_30", "calfw"),
}
COLUMNS: Mapping[str, tuple[str, int]] = {  # title, and what a value is multiplied by
    "accuracy": ("accuracy", 100),
    "equal_error_rate": ("EER", 100),
    "true_accepts_at_1e3": ("TAR at FAR 1e-3", 100),
    "true_accepts_at_1e4": ("TAR at FAR 1e-4", 100),
    "d_prime": ("d'", 1),
}
POINTS = 400  # of a curve of the figure

Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """One model on some pairs: its numbers, and its ROC, false and true accepts [t]."""

    numbers: Verification
    roc: tuple[Rates, Rates]


def scored(similarities: Rates, genuine: npt.NDArray[np.bool_], accuracy: float) -> Scored:
    """What is shown of a model's similarities [n] of pairs, with their accuracy in folds."""
    roc = verification.roc(similarities, genuine)
    return Scored(verification.rates(similarities, genuine, roc, accuracy), roc)


@dataclass(frozen=True)
class OnPairs:
    """Loss -> file of pairs (or TEST) -> repeat -> its model's numbers; of one table.

    failed: loss -> repeats that failed when they were recorded, so that its means are of survivors.
    """

    address: str
    scores: Mapping[str, Mapping[str, Mapping[int, Scored]]]
    unlike: Sequence[str]  # records whose clean scores are not the recorded ones exactly
    n_pairs: Mapping[str, int]  # of each file
    failed: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The files, in the order of the first loss."""
        return list(next(iter(self.scores.values())))

    def values(self, loss: str, name: str, column: str) -> dict[int, float]:
        """Repeat -> a number of a loss on a file, where it is defined."""
        values = {n: getattr(one.numbers, column) for n, one in self.scores[loss][name].items()}
        return {n: value for n, value in values.items() if value is not None}


def text(on_pairs: OnPairs, made_by: str) -> str:
    """The table in markdown, with its caption and its sentences."""
    body = [
        [name, loss, *(_cell(on_pairs, loss, name, column) for column in COLUMNS)]
        for name in on_pairs.names
        for loss in on_pairs.scores
    ]
    head = ("pairs", "loss", *(title for title, _ in COLUMNS.values()))
    return markup.markdown(head, body, caption(on_pairs, made_by))


def _cell(on_pairs: OnPairs, loss: str, name: str, column: str) -> str:
    values = list(on_pairs.values(loss, name, column).values())
    failed = on_pairs.failed.get(loss, 0)
    return mean_text.text(values, failed=failed, scale=COLUMNS[column][1]) if values else "-"


def caption(on_pairs: OnPairs, made_by: str, unit: str = IN_PERCENT) -> str:
    """What the columns, in `unit`, are, and the sentences with their rules."""
    n = sorted({len(of_file) for by in on_pairs.scores.values() for of_file in by.values()})
    files = [f"{name}: {pairs:,} pairs" for name, pairs in on_pairs.n_pairs.items()]
    drawn = (
        f"accuracy on {2 * verification.FOLDS * verification.PAIRS:,} pairs drawn from the test "
        "classes, half of them genuine, in ten folds without a class in common; the rest on all "
        "pairs of up to 3,000 test images"
    )
    lines = [
        f"{on_pairs.address}: recorded models, trained again, on pairs of images of one class or "
        f"two ({'; '.join(files) or drawn}). Mean ± half-width of the 95 % t interval over "
        f"{' or '.join(map(str, n))} repeats, {unit} but for d'.",
        "accuracy: a fold's threshold is chosen on the nine others. EER: where false accepts equal "
        "false rejects. TAR at FAR f: the most true accepts with at most f false accepts; - where "
        "there are fewer than 1 / f impostor pairs. d': distance of the mean distances of both "
        "kinds over their pooled deviation. The last is scored once, at the end of training: not "
        "the peak over evaluations.",
        *statement.lines(statements(on_pairs)),
    ]
    if on_pairs.unlike:
        lines.append(
            f"UNLIKE: the scores of {', '.join(on_pairs.unlike)} are not exactly the recorded "
            "ones: another machine, version or code."
        )
    return "\n".join([*lines, made_by])


def statements(on_pairs: OnPairs) -> list[Statement]:
    """The paper's comparison of the warped softmax with each of RIVALS of which no run failed."""
    whole = {loss for loss in on_pairs.scores if not on_pairs.failed.get(loss)}
    if WARPED not in whole:
        return []
    made = []
    for rival, exceptions in RIVALS.items():
        names = [name for name in on_pairs.names if name not in exceptions]
        if rival not in whole or not names:
            continue
        compared = [
            statement.paired(*(on_pairs.values(loss, name, "accuracy") for loss in (WARPED, rival)))
            for name in names
        ]
        but = " on LFW, CFP-FP and CPLFW" if exceptions else " on all five benchmarks"
        made.append(
            Statement(
                f"{WARPED} verifies better than {rival}{but} (Table V)",
                "difference of the accuracies in points: "
                + ", ".join(
                    f"{name} {words}" for name, (words, _) in zip(names, compared, strict=True)
                ),
                statement.joint([verdict for _, verdict in compared]),
                "by the 95 % t interval of the paired difference on each; agrees if all lie above "
                "0, disagrees if one lies below",
            )
        )
    return made


def as_data(on_pairs: OnPairs, made_by: str) -> dict[str, Any]:
    """The table for --json."""
    return {
        "address": on_pairs.address,
        "scores": {
            loss: {
                name: {repeat: one.numbers._asdict() for repeat, one in of_file.items()}
                for name, of_file in by_file.items()
            }
            for loss, by_file in on_pairs.scores.items()
        },
        "failed": on_pairs.failed,
        "statements": statement.as_data(statements(on_pairs)),
        "caption": caption(on_pairs, made_by, AS_SHARES),
    }


def draw(on_pairs: OnPairs, path: Path) -> None:
    """The mean ROC over repeats of every loss, a panel for each file."""
    from matplotlib.figure import Figure

    names = on_pairs.names
    figure = Figure(figsize=(4.6 * len(names), 4.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    false = np.geomspace(1e-4, 1, POINTS)
    styles = ("-", "--", ":", "-.")
    for panel, name in zip(panels, names, strict=True):
        for number, (loss, by_file) in enumerate(on_pairs.scores.items()):
            curves = [_at(one.roc, false) for one in by_file[name].values()]
            panel.plot(false, 100 * np.mean(curves, axis=0), styles[number // 10 % 4], label=loss)
        panel.set_xscale("log")
        panel.set_xlabel("false accepts")
        panel.set_title(name, fontsize="medium")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("true accepts in %")
    panels[-1].legend(fontsize="small", frameon=False)
    figure.suptitle(f"{on_pairs.address}: ROC on pairs, mean over repeats", fontsize="medium")
    save(figure, path)


def _at(roc: tuple[Rates, Rates], false: Rates) -> Rates:
    """True accepts at most at each rate of false accepts: a step function."""
    return roc[1][np.searchsorted(roc[0], false * (1 + 1e-9), side="right") - 1]
