"""Images that cannot be decoded: left out by --skip-bad, and remembered beside the cache."""

from __future__ import annotations

import dataclasses
import errno
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.data import Say, halves, refused
from harness.data.listing import Listing, named
from harness.files import write_text
from harness.schema import Problem

_IN_MEMORY = re.compile(r"<_io\.BytesIO object at \w+>")
NO_FILE = frozenset(  # errors of the system that are the image's own: there is no such file
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
FEWEST = 2  # images of a class that lost some: with one there is nothing to retrieve


class Undecodable(Problem):
    """Images of a listing cannot be decoded; `reasons` says why, by their positions."""

    def __init__(self, text: str, reasons: Mapping[int, str]) -> None:
        super().__init__(text)
        self.reasons = dict(reasons)


def check_is_of_image(error: Exception, place: Path) -> None:
    """Problem unless an error lies in the image itself: a link to nothing, damaged or odd bytes."""
    refused.check_is_own(error, place, NO_FILE)


def reason(error: Exception, place: Path, word: str) -> str:
    """Why an image cannot be decoded, with a word instead of the place that it was read from."""
    text = str(error).replace(str(place), word)
    return f"{type(error).__name__}: {_IN_MEMORY.sub('its bytes', text)}"


def read(path: Path) -> dict[int, str]:
    """The positions and reasons that `write` wrote, or none."""
    try:
        return {int(i): str(why) for i, why in json.loads(path.read_text("utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise Problem(f"{path} is not readable ({error}); remove it") from None


def write(path: Path, reasons: Mapping[int, str]) -> None:
    """Remember which images cannot be decoded, so that they are tried once only."""
    write_text(path, json.dumps(reasons, indent=1) + "\n")


def without(listing: Listing, reasons: Mapping[int, str], say: Say) -> Listing:
    """The listing without the images at these positions, and says so.

    A class that loses images and is left with fewer than two goes with them. Problem where what is
    left of a half cannot be trained on or tested.
    """
    keep = np.ones(len(listing), np.bool_)
    keep[list(reasons)] = False
    n_left = np.bincount(listing.labels[keep], minlength=len(listing.class_names))
    lost_some = np.zeros(len(listing.class_names), np.bool_)
    lost_some[listing.labels[~keep]] = True
    gone = lost_some & (n_left < FEWEST)
    keep &= ~gone[listing.labels]
    kept = np.flatnonzero(keep)
    if not len(kept):
        raise Problem(f"{listing.name}: no image can be decoded: {named(list(reasons.values()))}")
    say(f"NOTE: {listing.name}: bad images are left out: {named(list(reasons.values()))}")
    names = [listing.class_names[i] for i in np.flatnonzero(gone)]
    if names:
        say(f"NOTE: {listing.name}: classes with fewer than {FEWEST} whole images: {named(names)}")
    contents = listing.contents
    labels = np.unique(listing.labels[kept], return_inverse=True)[1].astype(np.int64)
    left = dataclasses.replace(
        listing,
        name=f"{listing.name} (without {len(listing) - len(kept)} images that cannot be decoded)",
        paths=tuple(listing.paths[i] for i in kept),
        labels=labels,
        is_test=listing.is_test[kept],
        is_query=None if listing.is_query is None else listing.is_query[kept],
        is_gallery=None if listing.is_gallery is None else listing.is_gallery[kept],
        groups=None if listing.groups is None else listing.groups[kept],
        boxes=None if listing.boxes is None else listing.boxes[kept],
        contents=None if contents is None else lambda i: contents(int(kept[i])),
        class_names=tuple(
            name for name, left in zip(listing.class_names, ~gone, strict=True) if left
        ),
        versions=listing.versions[kept],
    )
    in_test = halves.classes_in_test(len(left.class_names), labels, left.is_test)
    halves.check_classes(left.name, in_test)
    halves.check_pairs(left.name, labels, left.is_test)
    return left
