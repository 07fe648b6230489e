"""What the name of a dataset says beside the dataset: `folder:PATH+shuffle_classes=7+skip_bad`.

It stands in the name so that every process reads the same images in the same order, and records of
one reading never join those of another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.schema import Problem

# Datasets of the user's own, by a prefix and what is behind its colon: the module of the same name
# reads them.
KINDS = {"folder": "PATH", "table": "FILE", "features": "FILE", "hf": "NAME[:CONFIG]"}
TABLES = (".csv", ".tsv", ".parquet", ".pq")
FEATURES = (".npz", ".npy", ".safetensors")
_OPTION = re.compile(
    r"\+(?:shuffle_classes=(?P<seed>[0-9]+)|(?P<skip>skip_bad)"
    r"|image_column=(?P<image>[^+]+)|label_column=(?P<label>[^+]+))$"
)


@dataclass(frozen=True)
class Reading:
    """A dataset and how it is read.

    `shuffle` seeds the order of its classes, `skip_bad` leaves bad images out, the columns are
    those of an `hf:NAME` that has several of a kind.
    """

    name: str
    shuffle: int | None = None
    skip_bad: bool = False
    image_column: str | None = None
    label_column: str | None = None

    def __str__(self) -> str:
        shuffle = "" if self.shuffle is None else f"+shuffle_classes={self.shuffle}"
        image = "" if self.image_column is None else f"+image_column={self.image_column}"
        label = "" if self.label_column is None else f"+label_column={self.label_column}"
        return f"{self.name}{shuffle}{image}{label}{'+skip_bad' if self.skip_bad else ''}"

    @property
    def kind(self) -> str | None:
        """`folder` of `folder:PATH` and so on; None for a dataset that has a name of its own."""
        kind, colon, _ = self.name.partition(":")
        return kind if colon and kind in KINDS else None

    @property
    def source(self) -> Path:
        """What stands behind the colon, with ~ expanded and without the CONFIG of an `hf:NAME`."""
        text = self.name.partition(":")[2]
        return Path(text.partition(":")[0] if self.kind == "hf" else text).expanduser()

    @property
    def place(self) -> Path | None:
        """Where a dataset of the user's own lies.

        None for other datasets, and for an `hf:NAME` that is no folder but a name on the hub.
        """
        if self.kind is None:
            return None
        source = self.source
        is_on_hub = self.kind == "hf" and not source.is_absolute() and not source.is_dir()
        return None if is_on_hub else source

    @property
    def options(self) -> dict[str, Any]:
        """What `listing` of the dataset's module is given beside the place."""
        _, colon, config = self.name.partition(":")[2].partition(":")
        options = {
            "shuffle": self.shuffle,
            "image_column": self.image_column,
            "label_column": self.label_column,
            "config": config if self.kind == "hf" and colon else None,
            "skip_bad": True if self.skip_bad and self.kind in ("folder", "table") else None,
        }
        return {name: value for name, value in options.items() if value is not None}

    def at(self, place: Path) -> Reading:
        """The same reading of a dataset of the user's own, with another place in its name."""
        config = self.options.get("config")
        return replace(self, name=f"{self.kind}:{place}" + (f":{config}" if config else ""))

    def check(self) -> None:
        """Problem where no place is given, or an option is not for this kind of dataset."""
        if self.kind is not None and not self.name.partition(":")[2].strip():
            raise Problem(f"{self.name} says no place; give {self.kind}:{KINDS[self.kind]}")
        if self.shuffle is not None and self.kind is None:
            raise Problem(
                f"--shuffle-classes is for {', '.join(forms())}; the halves of {self.name} are "
                "fixed: leave it out"
            )
        if self.skip_bad and self.kind == "features":
            raise Problem(f"--skip-bad is for images; {self.name} holds none: leave it out")
        for option in ("image_column", "label_column"):
            if getattr(self, option) is not None and self.kind != "hf":
                raise Problem(
                    f"--{option.replace('_', '-')} is for hf:NAME; {self.name} has no columns to "
                    "choose from: leave it out"
                )


def read(name: str) -> Reading:
    """The reading that a name says."""
    shuffle, skip_bad, image, label = None, False, None, None
    while (match := _OPTION.search(name)) is not None:
        name = name[: match.start()]
        if match["seed"]:
            shuffle = int(match["seed"])
        skip_bad |= match["skip"] is not None
        image = match["image"] or image
        label = match["label"] or label
    return Reading(name, shuffle, skip_bad, image, label)


def form_of_path(name: str) -> str | None:
    """How a path without a prefix is spelled, `folder:birds/`; None for what is like no path."""
    path = Path(name)
    suffix = path.suffix.lower()
    if path.is_dir() or (name.endswith("/") and name.strip("/")):
        return f"folder:{name}"
    if suffix in TABLES:
        return f"table:{name}"
    return f"features:{name}" if suffix in FEATURES else None


def forms() -> list[str]:
    """How the datasets of the user's own are spelled: `folder:PATH`, ..."""
    return [f"{kind}:{rest}" for kind, rest in KINDS.items()]
