"""What a table of some losses alone must say: its tests know nothing of the others."""

from __future__ import annotations

from collections.abc import Collection

from harness.schema import BASELINES

CHOSEN = "CHOSEN"  # how the line begins


def notes(shown: Collection[str], every: Collection[str]) -> list[str]:
    """A line where two losses or more are compared, and there are records of more of them."""
    shown = set(shown) - set(BASELINES)
    every = set(every) - set(BASELINES)
    if len(shown) < 2 or shown >= every:
        return []
    return [
        f"{CHOSEN}: {len(shown)} of {len(every)} losses with records, by --loss. Tests are "
        "corrected over these alone: they hold if these losses were chosen before any score was "
        "seen, and are too easily passed otherwise."
    ]
