"""What the name of a dataset says beside the dataset: `folder:PATH+shuffle_classes=7+skip_bad`.

It stands in the name so that every process reads the same images in the same order, and records of
one reading never join those of another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_OPTION = re.compile(r"\+(?:shuffle_classes=([0-9]+)|(skip_bad))$")


@dataclass(frozen=True)
class Reading:
    """A dataset and how it is read: classes in the order of a seed, bad images left out."""

    name: str
    shuffle: int | None = None
    skip_bad: bool = False

    def __str__(self) -> str:
        shuffle = "" if self.shuffle is None else f"+shuffle_classes={self.shuffle}"
        return f"{self.name}{shuffle}{'+skip_bad' if self.skip_bad else ''}"

    @property
    def folder(self) -> Path | None:
        """The folder of a `folder:PATH`, with ~ expanded; None for other datasets."""
        if not self.name.startswith("folder:"):
            return None
        return Path(self.name.removeprefix("folder:")).expanduser()


def read(name: str) -> Reading:
    """The reading that a name says."""
    shuffle, skip_bad = None, False
    while (match := _OPTION.search(name)) is not None:
        name = name[: match.start()]
        if match[2]:
            skip_bad = True
        else:
            shuffle = int(match[1])
    return Reading(name, shuffle, skip_bad)
