"""What ends a run or a command: what a user reads, what becomes a failure, what was asked for."""

from __future__ import annotations


class Problem(Exception):
    """The only exception a user is meant to read: one line, what was given, allowed, to do next."""


class Diverged(Exception):
    """A training that produced NaN or infinite values; becomes a record with a failure."""


class Stopped(Exception):
    """A run that ended early because it was asked to; goes on from its checkpoint next time."""
