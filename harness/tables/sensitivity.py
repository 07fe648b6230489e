"""How much recorded scores hang on the learning rates: a row a loss, a column a factor.

Of Complete runs on test classes, where nothing may be chosen by them, or of the searches' best
trials on the held-out classes, where they say whether a search was long enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.measure import intervals
from harness.measure.rank_correlation import RankCorrelation, rank_correlation
from harness.tables import markup, mean_text
from harness.tables.metrics import Metric

LISTED = 4  # runs that a caption names
ByRepeat = Mapping[int, float]  # repeat -> score; of a search, fold -> score


@dataclass(frozen=True)
class Sensitivity:
    """Recorded scores of Complete runs, and those at learning rates times a factor.

    recorded: loss -> repeat -> score. again: the same, trained again as recorded, so that what a
    factor changes is not mixed with what another machine does. at: factor -> loss -> repeat ->
    score; a run that failed has none. unlike: records that did not repeat exactly. failed: loss ->
    repeats that failed when they were recorded, so that its mean is of survivors.

    held_out: they are held-out scores of the best trial of each search, by fold in place of repeat,
    and were trained again for up to `longer` times the epochs.
    """

    address: str
    metric: Metric
    recorded: Mapping[str, ByRepeat]
    again: Mapping[str, ByRepeat]
    at: Mapping[float, Mapping[str, ByRepeat]]
    unlike: Sequence[str]
    failed: Mapping[str, int] = field(default_factory=dict)
    held_out: bool = False
    longer: int = 1

    @property
    def losses(self) -> list[str]:
        """The losses, the best as recorded first, those of survivors last."""
        means, sign, failed = _means(self.recorded), self.metric.sign, self.failed
        return sorted(means, key=lambda a: (failed.get(a, 0) > 0, -sign * means[a], a))

    def agreement(self, factor: float) -> RankCorrelation | None:
        """Of the recorded order with that at a factor, over the losses of which no run failed."""
        here, recorded = _means(self.at[factor]), _means(self.recorded)
        whole = [
            loss
            for loss, scores in self.recorded.items()
            if not self.failed.get(loss) and self.at[factor][loss].keys() == scores.keys()
        ]
        return rank_correlation([recorded[one] for one in whole], [here[one] for one in whole])


def _means(scores: Mapping[str, ByRepeat]) -> dict[str, float]:
    return {loss: sum(of.values()) / len(of) for loss, of in scores.items() if of}


def text(sensitivity: Sensitivity, made_by: str) -> str:
    """The table in markdown, with its caption."""
    factors = list(sensitivity.at)
    head = ["loss", "as recorded", *(["again"] if sensitivity.unlike else [])]
    for factor in factors:
        head += [f"rates x {factor:g}", f"x {factor:g} - again"]
    body = []
    for loss in sensitivity.losses:
        failed = sensitivity.failed.get(loss, 0)
        cells = [loss, _text(sensitivity, sensitivity.recorded[loss], failed)]
        if sensitivity.unlike:
            cells.append(_text(sensitivity, sensitivity.again[loss], failed))
        for factor in factors:
            scores = sensitivity.at[factor][loss]
            lost = failed + len(sensitivity.recorded[loss]) - len(scores)
            cells += [_text(sensitivity, scores, lost), _difference(sensitivity, loss, factor)]
        body.append(cells)
    return markup.markdown(head, body, caption(sensitivity, made_by))


def _text(sensitivity: Sensitivity, scores: ByRepeat, failed: int = 0) -> str:
    metric = sensitivity.metric
    values = mean_text.in_order(scores)
    return mean_text.text(values, failed=failed, spec=metric.spec, scale=metric.scale)


def _difference(sensitivity: Sensitivity, loss: str, factor: float) -> str:
    """Paired over the repeats that both have, with its 95 % t interval."""
    metric = sensitivity.metric
    difference = intervals.paired_repeats(sensitivity.at[factor][loss], sensitivity.again[loss])
    if difference is None or difference.half_width is None:
        return "-"
    mean, half = metric.scale * difference.mean, metric.scale * difference.half_width
    return f"{mean:+{metric.spec}} ± {half:{metric.spec}}"


def caption(sensitivity: Sensitivity, made_by: str) -> str:
    """What the columns are, how far the order stays, and what the numbers may not be used for."""
    title = sensitivity.metric.title
    counts = sorted({len(of) for of in sensitivity.recorded.values()})
    n = " or ".join(map(str, counts))
    if sensitivity.held_out:
        longer = sensitivity.longer
        epochs = f"up to {longer} times the epochs" if longer > 1 else "the same limits of epochs"
        what = (
            f"held-out {title} of the best trial of each loss's first search over {n} folds, as "
            "recorded, and trained again with the learning rates of network and loss times a "
            f"factor and {epochs}; all else is as recorded. Differences are from the same trained "
            "again as recorded, paired by fold, with 95 % t intervals over the folds. The best of "
            "many trials is lucky too: another draw of its training noise tends to lie lower."
        )
        few = "In brackets each fold."
        use = (
            "No test class was read. A loss that gains was searched too briefly, or trained too "
            "briefly, and may rank higher than it does; to take the better rates over for it alone "
            "would tune it more than the others: give all of them more trials."
        )
    else:
        what = (
            f"test {title} of Complete runs over {n} repeats, as recorded, and trained again with "
            "the learning rates of network and loss times a factor; all else is as recorded, the "
            "epochs too. Differences are from the same trained again as recorded, paired, with "
            "95 % t intervals given the configuration searched."
        )
        few = mean_text.FEW_REPEATS
        use = (
            "Nothing may be chosen by these numbers: they are of test classes. They say how much "
            "hangs on the rates, and are no results."
        )
    lines = [
        f"{sensitivity.address}: {what}",
        *([few] if counts[0] < mean_text.FEW else []),
        *(_agreement(sensitivity, factor) for factor in sensitivity.at),
        use,
    ]
    if sensitivity.unlike:
        more = ", ..." if len(sensitivity.unlike) > LISTED else ""
        lines.append(
            f"UNLIKE: trained again as recorded, {len(sensitivity.unlike)} runs "
            f"({', '.join(sensitivity.unlike[:LISTED])}{more}) did not score exactly the same: "
            "another machine, version or code. Differences are from the scores again."
        )
    return "\n".join([*lines, made_by])


def _agreement(sensitivity: Sensitivity, factor: float) -> str:
    found = sensitivity.agreement(factor)
    if found is None:
        return f"At {factor:g}: too few losses, or too alike, to compare their order."
    interval = f" ({found.bounds})" if found.bounds else ""
    lost = len(sensitivity.recorded) - found.n
    without = f" (without {lost} of which a run failed)" if lost else ""
    return (
        f"At {factor:g}: Kendall's tau of the order with the recorded one {found.tau:.2f}"
        f"{interval}, {found.n} losses{without}."
    )


def as_data(sensitivity: Sensitivity, made_by: str) -> dict[str, Any]:
    """The table for --json."""
    return {
        "address": sensitivity.address,
        "metric": sensitivity.metric.name,
        "classes": "held-out" if sensitivity.held_out else "test",
        "longer": sensitivity.longer,
        "recorded": sensitivity.recorded,
        "again": sensitivity.again,
        "failed": sensitivity.failed,
        "at": {f"{factor:g}": scores for factor, scores in sensitivity.at.items()},
        "tau": {
            f"{factor:g}": found and found.tau
            for factor in sensitivity.at
            for found in [sensitivity.agreement(factor)]
        },
        "caption": caption(sensitivity, made_by),
    }
