"""What ends a run or a command: what a user reads, what becomes a failure, what was asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Problem(Exception):
    """The only exception a user is meant to read: one line, what was given, allowed, to do next.

    It stays one line also where a name in it, out of somebody's file, holds line breaks.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


def meant(name: str, names: Iterable[str]) -> str:
    """The question which of the names was meant, to stand behind `;`; nothing if none is close."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" did you mean {close[0]!r}?" if close else ""


class Diverged(Exception):
    """A training that produced NaN or infinite values; becomes a record with a failure."""


class Stopped(Exception):
    """A run that ended early because it was asked to; goes on from its checkpoint next time."""
