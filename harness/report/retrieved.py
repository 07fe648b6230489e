"""What a model retrieves: strips of neighbours, and the test classes in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report import drawing
from harness.report.sources import Render, Source, shown, slug
from harness.report.svg import BLUE, GREEN, ORANGE, SOFT

KINDS = {"best": (BLUE, "o"), "median": (GREEN, "D"), "worst": (ORANGE, "s")}


@dataclass(frozen=True)
class Retrieved:
    """A model on a page: of which record, its strips as they were kept, its plane as a figure."""

    loss: str
    record: str
    same: bool
    strips: Sequence[Mapping[str, Any]]
    figure: str
    share: float  # of the variance that the figure's two axes hold


def retrieved(source: Source, render: Render) -> list[Retrieved]:
    """The losses of which `gallery --keep` left something, in the order of the table."""
    return [
        _retrieved(source, loss, number, source.galleries[loss], render)
        for number, loss in enumerate(source.losses)
        if loss in source.galleries
    ]


def _retrieved(
    source: Source, loss: str, number: int, kept: Mapping[str, Any], render: Render
) -> Retrieved:
    name = f"{slug(source.address)}_plane_{number}_{slug(loss)}"
    label = f"test images in the two widest directions of the embeddings of {loss}"
    return Retrieved(
        loss=loss,
        record=kept["record"],
        same=kept["same"],
        strips=kept["strips"],
        figure=render(name, label, _figure(kept)),
        share=kept["variance_share"],
    )


def _figure(kept: Mapping[str, Any]) -> Any:
    """Every image grey, and in colour the classes of the best, the median and the worst query."""
    figure, panel = drawing.axes(400, 330, left=16, bottom=62, top=12)
    points = kept["points"]
    panel.plot(*zip(*points, strict=True), ".", color=SOFT, ms=3, mew=0, alpha=0.35)
    for kind, (colour, marker) in KINDS.items():
        of_class = next((s["class"] for s in kept["strips"] if s["query"] == kind), None)
        chosen = [p for p, name in zip(points, kept["classes"], strict=True) if name == of_class]
        if chosen:
            label = f"{kind}: {shown(str(of_class), 12)}"
            look = {"color": colour, "ms": 5, "mew": 0, "alpha": 0.9, "label": label}
            panel.plot(*zip(*chosen, strict=True), marker, **look)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.legend(loc="upper left", bbox_to_anchor=(0, -0.03), ncols=3, handletextpad=0.2)
    return figure
