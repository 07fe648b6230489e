"""Operations of a run that may give other numbers next time, as torch itself warns of them.

A process asks torch for deterministic algorithms everywhere (harness/engines/process.py). Where an
operation has none on a device, torch warns and goes on; the record of the run names it then.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import TextIO

ALERT = re.compile(r"(\w+) does not have a deterministic implementation")


@contextlib.contextmanager
def nondeterministic_operations() -> Iterator[set[str]]:
    """Collect the names of operations that torch warns of in the context; other warnings go on."""
    names: set[str] = set()
    with matching_warnings(ALERT, lambda alert: names.add(alert[1])):
        yield names


@contextlib.contextmanager
def matching_warnings(
    pattern: re.Pattern[str], found: Callable[[re.Match[str]], None]
) -> Iterator[None]:
    """Hand every warning in the context that begins as the pattern to `found`; others go on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=pattern.pattern)
        show = warnings.showwarning

        def note(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            match = pattern.match(str(message))
            if match is None:
                show(message, category, filename, lineno, file, line)
            else:
                found(match)

        warnings.showwarning = note
        yield
