"""The study `toy_embedding`: classes in two dimensions, the warped softmax beside the plain one.

Figure 10 of DeMoor and Prevost 2024, arXiv 2408.15656, which shows pictures and no numbers. The
numbers here are those of harness/measure/clusters.py, of the embeddings of training images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.measure import intervals
from harness.measure.clusters import MEASURES, Clusters
from harness.tables import markup, statement
from harness.tables.figure import save
from harness.tables.statement import Statement, Verdict

OVERFIT = 0.95  # share of images nearest to their own proxy from which a training has overfitted
MARKERS = "os^vD<>pPX*hHd8"


@dataclass(frozen=True)
class Toy:
    """Variant -> repeat -> clusters; the first variant is the plain softmax."""

    dataset: str
    clusters: Mapping[str, Sequence[Clusters]]
    epochs: int

    @property
    def values(self) -> dict[str, dict[str, list[float]]]:
        """Variant -> measure -> its value in each repeat."""
        measured = {name: [one.measures() for one in each] for name, each in self.clusters.items()}
        return {
            name: {measure: [one[measure] for one in each] for measure in MEASURES}
            for name, each in measured.items()
        }


def statements(toy: Toy) -> list[Statement]:
    """The paper's sentence on its Figure 10, for each warped variant."""
    values = toy.values
    plain, *warped = values
    made = []
    for name in warped:
        verdict, ratio = _compared(values[name]["ratio"], values[plain]["ratio"])
        _, separation = _compared(values[name]["separation"], values[plain]["separation"])
        least = min(min(values[each]["overfit"]) for each in (name, plain))
        overfit = "" if least >= OVERFIT else f"; NOT OVERFIT: as few as {100 * least:.0f} %"
        made.append(
            Statement(
                "the warp separates the clusters better and keeps them compact (Fig. 10)",
                f"{name} minus {plain}, paired over {len(toy.clusters[name])} seeds: ratio {ratio}"
                f" (separation in its own units {separation}){overfit}",
                "undecided" if overfit else verdict,
                "agrees if the 95 % t interval of the difference of ratios lies below 0, disagrees "
                f"if above; undecided where a training has not overfitted, with less than "
                f"{100 * OVERFIT:.0f} % of its images nearest to their own proxy",
            )
        )
    return made


def _compared(a: Sequence[float], b: Sequence[float]) -> tuple[Verdict, str]:
    """The verdict on "a is below b", and the difference a - b with its interval as text."""
    if len(a) < 2:
        return "undecided", f"{a[0] - b[0]:+.3f} (one seed)"
    difference = intervals.paired_difference(a, b)
    if difference.half_width is None:
        return "undecided", f"{difference.mean:+.3f} (no spread)"
    half = difference.half_width
    verdict = statement.by_interval(-difference.mean - half, -difference.mean + half)
    return verdict, f"{difference.mean:+.3f} ± {half:.3f}"


def text(toy: Toy, made_by: str, form: str) -> str:
    """The page in one of markup.FORMATS; `made_by` names the code."""
    head = ("loss", *MEASURES)
    body = [
        [name, *(_mean(of_variant[measure]) for measure in MEASURES)]
        for name, of_variant in toy.values.items()
    ]
    return markup.FORMATS[form](head, body, caption(toy, made_by))


def caption(toy: Toy, made_by: str) -> str:
    """What the columns are, and the sentences with their rules."""
    n = len(next(iter(toy.clusters.values())))
    one = next(iter(toy.clusters.values()))[0]
    lines = [
        f"toy_embedding: two-dimensional embeddings of the {len(one.labels)} training images of "
        f"{len(one.proxies)} classes of {toy.dataset}, after {toy.epochs} epochs; mean ± "
        f"half-width of the 95 % t interval over {n} seeds, the same for every loss. separation: "
        "mean distance between the means of two classes. nearest: of a class's mean to the nearest "
        "other one. compactness: of an embedding to its class's mean. ratio: compactness / "
        "separation, which the scale does not change. overfit: share of images nearest to their "
        "own proxy.",
        *statement.lines(statements(toy)),
        made_by,
    ]
    return "\n".join(lines)


def as_data(toy: Toy, made_by: str) -> dict[str, Any]:
    """The page for --json."""
    return {
        "study": "toy_embedding",
        "dataset": toy.dataset,
        "rows": [{"loss": name, **of_variant} for name, of_variant in toy.values.items()],
        "statements": statement.as_data(statements(toy)),
        "caption": caption(toy, made_by),
    }


def draw(toy: Toy, path: Path) -> None:
    """Write the figure to `path` (PNG, PDF or SVG by its ending), whole or not at all.

    A panel a variant, of the first seed, all on one scale: a colour and a form a class, black stars
    for the proxies.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(toy.clusters), 4.9), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(toy.clusters), sharex=True, sharey=True))
    for panel, (name, each) in zip(panels, toy.clusters.items(), strict=True):
        one = each[0]
        for c in range(len(one.proxies)):
            rows = one.embeddings[one.labels == c]
            marker = MARKERS[c % len(MARKERS)]
            panel.plot(*rows.T, marker, color=f"C{c % 10}", markersize=4, alpha=0.7)
        panel.plot(*one.proxies.T, "*", color="black", markersize=9)
        panel.set_title(f"{name}\nratio {one.measures()['ratio']:.3f}", fontsize="medium")
        panel.set_aspect("equal")
        panel.grid(alpha=0.3)
    figure.suptitle(
        f"{toy.dataset}: training images in two dimensions, first seed; stars: proxies",
        fontsize="medium",
    )
    save(figure, path, bbox_inches="tight")  # panels of equal scales leave much of it empty


def _mean(values: Sequence[float]) -> str:
    interval = intervals.t_interval(values)
    if len(values) == 1:
        return f"{interval.mean:.3f} (one seed)"
    return f"{interval.mean:.3f} ± {interval.half_width:.3f}"
