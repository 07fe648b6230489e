"""Images, or features of them; their classes; and which of them a training may see."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


Bools = npt.NDArray[np.bool_]


Floats = npt.NDArray[np.float32]


class Images(typing.Protocol):
    """Decoded images by index: images[i] is uint8 [height, width, channels]; or Features."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class Features:
    """What a frozen trunk made of images, in place of the images: features[i] is float32 [F].

    `rows` [n, F] are those of the images as they are evaluated. `augmented` [n, N, F] are those of
    N random crops of each, of which training draws one in place of its row. `origin` says in words
    which trunk made them and how.
    """

    rows: Floats
    origin: str
    augmented: Floats | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Floats:
        row: Floats = self.rows[index]
        return row

    @property
    def dim(self) -> int:
        """The number of features of an image."""
        return int(self.rows.shape[1])


@dataclass(frozen=True)
class Part:
    """Some classes of a dataset, and nothing of the others: what a training or a test may see."""

    images: Images
    index: Ints  # [n] positions in `images`
    labels: Ints  # [n] 0-based within the part, contiguous
    groups: Ints | None = None  # [n] as in Dataset

    def __post_init__(self) -> None:
        if self.index.shape != self.labels.shape:
            raise ValueError(f"index {self.index.shape} and labels {self.labels.shape} differ")
        if self.groups is not None and self.groups.shape != self.labels.shape:
            raise ValueError(f"groups {self.groups.shape} and labels {self.labels.shape} differ")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_classes(self) -> int:
        """How many classes the part holds."""
        return int(self.labels.max()) + 1 if len(self.labels) else 0

    def take(self, chosen: Ints) -> Part:
        """The images at positions `chosen` of this part, their classes numbered anew from 0."""
        labels = np.unique(self.labels[chosen], return_inverse=True)[1].astype(np.int64)
        groups = None if self.groups is None else self.groups[chosen]
        return Part(self.images, self.index[chosen], labels, groups)


@dataclass(frozen=True)
class Dataset:
    """A dataset as it lies: images, labels [n] 0-based in the order of the sorted classes, halves.

    `is_test` [n] is the dataset's own division into trainval and test classes. `is_query` [n] marks
    test images that are queries where the dataset separates queries from a gallery (In-Shop).
    `is_gallery` [n] marks test images of the gallery; an image may be both. None: all that are no
    query, or all images where `is_query` is None too. `groups` [n] is the camera or session of an
    image, -1 for none: a query's gallery leaves out the images of its class and group.
    """

    name: str
    images: Images
    labels: Ints
    is_test: Bools
    class_names: Sequence[str]
    fingerprint: str
    is_query: Bools | None = None
    is_gallery: Bools | None = None
    groups: Ints | None = None


@dataclass(frozen=True)
class Split:
    """Class-disjoint positions within the trainval part: what trains, what is held out."""

    train: Ints
    held_out: Ints
