"""Which datasets of a study are not there, and what gets them: asked before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.data import datasets, moved
from harness.data.named_options import Reading
from harness.schema import Problem


def check(names: Sequence[str], root: Path) -> None:
    """Problem with every dataset that cannot be read below the data folder `root`."""
    wrong = lines(names, root)
    if len(wrong) == 1 and len(names) == 1:
        raise Problem(wrong[0])
    if wrong:
        raise Problem(
            f"{len(wrong)} of {len(names)} datasets cannot be read, and nothing was started: "
            + "; ".join(wrong)
        )


def lines(names: Sequence[str], root: Path) -> list[str]:
    """A line for each dataset that cannot be read below the data folder `root`, or none.

    Of several datasets each one is listed. Of a single one only its place is looked at: to read it
    is the first thing that a study does.
    """
    readings = [datasets.known(name) for name in names]
    every = (_line(reading, root, is_alone=len(readings) == 1) for reading in readings)
    return [line for line in every if line is not None]


def _line(reading: Reading, root: Path, *, is_alone: bool) -> str | None:
    """What is wrong with a dataset and what to do about it, or None."""
    if datasets.is_drawn(reading):
        return None
    if reading.kind is None and not _holds_something(root / reading.name):
        return (
            f"{reading.name} is not in {root / reading.name}: get it with `python -m harness data "
            f"fetch {reading.name} --data {root}`"
        )
    if is_alone:
        return None
    if reading.kind == "features":  # which are read at once, not listed
        path = moved.place_of(reading.source.resolve(), root)
        return None if path.is_file() else f"{reading.name} is not there: correct the path"
    try:
        datasets.listed(reading, root)
    except Problem as problem:
        return str(problem)
    return None


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
