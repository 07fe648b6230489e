"""What a user's files say of images in texts: labels that are none, groups (cameras, sessions)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.schema import Ints

# What pandas and others write where a label is missing. A class may well be called none or NA.
NO_LABEL = frozenset({"nan", "<na>"})
RENAME = "leave these rows out, or rename the class if there is one of that name"


def is_no_label(text: str) -> bool:
    """Whether a text stands for a missing label: nan or <NA>, in any case."""
    return text.strip().casefold() in NO_LABEL


# What stands for an image of no group, in any case: nothing, a missing value, or our own -1.
NO_GROUP = frozenset({"", "-1", "-1.0", "nan", "none", "null", "<na>", "na", "n/a"})


def numbered(texts: Sequence[str]) -> Ints:
    """The number of each group [n], in the order of the sorted texts; -1 for a text of NO_GROUP."""
    groups = {text for text in texts if text.strip().casefold() not in NO_GROUP}
    numbers = {text: i for i, text in enumerate(sorted(groups))}
    return np.array([numbers.get(text, -1) for text in texts], np.int64)
