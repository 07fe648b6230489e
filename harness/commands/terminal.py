"""Whether standard output is a terminal, and text on one that cannot show all of its signs."""

from __future__ import annotations

import codecs
import io
import sys

SPELLED = {"±": "+-", "≈": "~", "≤": "<=", "≥": ">=", "\u00d7": "x", "·": ".", "\u2013": "-"}
NAME = "harness-terminal"


def is_terminal() -> bool:
    """Whether a person reads standard output on a screen: it is no file and no pipe."""
    return sys.stdout.isatty()


def admit_every_text() -> None:
    """Let standard output and error take every text, whatever their encoding is."""
    codecs.register_error(NAME, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=NAME)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """What stands for signs that an encoding lacks, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(SPELLED.get(sign, "?") for sign in signs), error.end
