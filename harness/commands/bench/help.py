"""What a user waits for at a prompt: `python -m harness --help`."""

from __future__ import annotations

from harness.commands.bench.processes import output_of
from harness.commands.bench.timing import Comparison, Setting, alone, seconds
from harness.schema import Problem


def measure(setting: Setting) -> list[Comparison]:
    """Seconds of `python -m harness --help`, the interpreter's start included."""
    values = alone(lambda: seconds(_help, setting.device), setting.rounds)
    return [Comparison(name="help", what="--help", unit="s", ours=tuple(values), most=0.5)]


def _help() -> None:
    text = output_of("--help", "-m", "harness", "--help")
    if "usage" not in text.lower():
        raise Problem(f"bench: --help printed no usage, but {text.strip()[-200:]!r}")
