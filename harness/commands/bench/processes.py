"""Python processes that a measurement starts, so that it finds nothing of another in memory."""

from __future__ import annotations

import subprocess
import sys

from harness.files import CHECKOUT
from harness.schema import Problem


def output_of(what: str, *arguments: str) -> str:
    """Standard output of `python ARGUMENTS`; if it fails, a Problem with its last line of error."""
    process = subprocess.run(
        [sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    if process.returncode:
        errors = process.stderr.strip().splitlines() or ["no message"]
        raise Problem(f"bench: {what} failed: {errors[-1]}")
    return process.stdout
