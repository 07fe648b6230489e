"""Text on terminals that cannot show all of it: a sign that is not there is spelled another way."""

from __future__ import annotations

import codecs
import io
import sys

SPELLED = {"±": "+-", "≈": "~", "≤": "<=", "≥": ">=", "\u00d7": "x", "·": ".", "\u2013": "-"}
NAME = "harness-terminal"


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
