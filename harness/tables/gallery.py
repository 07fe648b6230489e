"""Strips of what queries retrieve: the query, its first neighbours, right and wrong marked.

As the figures of Movshovitz-Attias et al. 2017 (Proxy-NCA, arXiv 1703.07464). The marks differ in
colour, in line and in sign, so that they can be told apart without colour.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.tables import markup
from harness.tables.figure import save

SMALL = 96  # pixels of the longer side of a picture on a page
RIGHT, WRONG = ("#0072b2", "-", "✓"), ("#d55e00", "--", "✗")  # of Okabe and Ito's palette


@dataclass(frozen=True)
class Picture:
    """An image [H, W, channels], the name of its class, and whether that is the query's."""

    image: npt.NDArray[Any]
    name: str
    right: bool


@dataclass(frozen=True)
class Strip:
    """A query of a kind (best, median, worst), its own AP@R as a share of 1, and its neighbours."""

    kind: str
    score: float
    query: Picture
    neighbours: Sequence[Picture]


def text(strips: Sequence[Strip], address: str, *, same: bool) -> str:
    """The strips as a markdown table, a row a query."""
    count = max((len(strip.neighbours) for strip in strips), default=0)
    head = ("query", "AP@R", "class", *(str(rank) for rank in range(1, count + 1)))
    body = [
        [
            strip.kind,
            f"{100 * strip.score:.2f}",
            strip.query.name,
            *_padded([_mark(each) + _name_of(each) for each in strip.neighbours], count),
        ]
        for strip in strips
    ]
    return markup.markdown(head, body, caption(address, same=same))


def caption(address: str, *, same: bool) -> str:
    """What the strips are of."""
    scores = (
        "its scores are the recorded ones exactly"
        if same
        else "its scores are NOT exactly the recorded ones: another machine, version or code"
    )
    return (
        f"{address}, trained again; {scores}. Test images; {RIGHT[2]}: of the query's class, "
        f"{WRONG[2]}: of another, which is named. AP@R of the query in %."
    )


def as_data(
    strips: Sequence[Strip], address: str, *, same: bool, pixels: bool = False
) -> dict[str, Any]:
    """The strips; `pixels`: with small pictures, as addresses that a page can show."""

    def shown(picture: Picture, **more: Any) -> dict[str, Any]:
        image = {"image": _data_address(picture.image)} if pixels else {}
        return {"class": picture.name, **more, **image}

    return {
        "record": address,
        "same": same,
        "strips": [
            {
                "query": strip.kind,
                "ap_at_r": strip.score,
                **shown(strip.query),
                "neighbours": [shown(each, right=each.right) for each in strip.neighbours],
            }
            for strip in strips
        ],
    }


KEPT = ("record", "same", "strips", "points", "classes", "variance_share")  # what a file holds


def kept_path(where: Path, loss: str) -> Path:
    """Where, in a results folder, `gallery --keep` leaves what `report` shows of a loss's model."""
    return where / "gallery" / f"{loss}.json"


def _data_address(image: npt.NDArray[Any]) -> str:
    """An image, made small, as a data: address; PNG where that loses nothing, else JPEG."""
    from PIL import Image

    grey = image.shape[-1] == 1
    picture = Image.fromarray(np.squeeze(image, -1) if grey else image)
    small = max(picture.size) <= SMALL
    picture.thumbnail((SMALL, SMALL))
    kind, stream = ("PNG" if small else "JPEG"), io.BytesIO()
    picture.save(stream, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def draw(strips: Sequence[Strip], address: str, path: Path) -> None:
    """Write the strips to `path` (PNG, PDF or SVG by its ending), whole or not at all."""
    from matplotlib.figure import Figure

    count = max(len(strip.neighbours) for strip in strips)
    figure = Figure(figsize=(1.15 * (count + 1.6), 1.35 * len(strips) + 0.6), layout="constrained")
    panels = figure.subplots(len(strips), count + 1, squeeze=False)
    for row, strip in zip(panels, strips, strict=True):
        _show(row[0], strip.query.image, "black", "-")
        row[0].set_ylabel(f"{strip.kind}\nAP@R {100 * strip.score:.0f} %", fontsize="small")
        row[0].set_title(f"query: {_drawable(strip.query.name)}", fontsize="small")
        for panel, picture in zip(row[1:], strip.neighbours, strict=False):
            colour, line, sign = RIGHT if picture.right else WRONG
            _show(panel, picture.image, colour, line)
            name = "" if picture.right else f" {_drawable(picture.name)}"
            panel.set_title(f"{sign}{name}", fontsize="small", color=colour)
        for panel in row[1 + len(strip.neighbours) :]:
            panel.axis("off")
    figure.suptitle(f"{address}: first neighbours among the test images", fontsize="medium")
    save(figure, path)


def _show(panel: Any, image: npt.NDArray[Any], colour: str, line: str) -> None:
    """An image in a frame."""
    grey = image.shape[-1] == 1
    panel.imshow(np.squeeze(image, -1) if grey else image, cmap="gray" if grey else None)
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set(color=colour, linestyle=line, linewidth=2.5)


def _mark(picture: Picture) -> str:
    return RIGHT[2] if picture.right else WRONG[2]


def _name_of(picture: Picture) -> str:
    return "" if picture.right else f" {picture.name}"


def _drawable(name: str) -> str:
    """A class's name, short."""
    return name if len(name) <= 14 else f"{name[:13]}…"


def _padded(cells: list[str], count: int) -> list[str]:
    return cells + [""] * (count - len(cells))
