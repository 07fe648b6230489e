"""Groups of a user's images (cameras, sessions) from texts to numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from harness.schema import Ints


def numbered(texts: Sequence[str], none: Collection[str]) -> Ints:
    """The number of each group [n], in the order of the sorted texts; -1 for a text in `none`."""
    numbers = {text: i for i, text in enumerate(sorted(set(texts) - set(none)))}
    return np.array([numbers.get(text, -1) for text in texts], np.int64)
