"""What the system refuses to read, told apart from what is damaged."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from harness.schema import Problem


def check_is_own(error: Exception, place: Path, own: Collection[int]) -> None:
    """Problem unless an error lies in what is read: in its bytes, or by a number of errno in `own`.

    Missing rights, a disk that fails, too many open files or too little memory may be gone the next
    time: nothing may be left out, or deleted, for them.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or (number is not None and number not in own):
        why = type(error).__name__ if number is None else os.strerror(number)
        raise Problem(
            f"{place} cannot be read now ({why}), which says nothing of what it holds: put that "
            "right (rights, disk, memory, open files) and run this again"
        ) from None
