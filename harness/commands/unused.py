"""Options that a command would ignore are refused: whoever gives one means something by it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping


def refuse(
    options: argparse.Namespace,
    add_options: Callable[[argparse.ArgumentParser], None],
    flags: Mapping[str, str],
) -> None:
    """Problem for the first of the flags that has another value than its default.

    flags: what each flag is followed by in the message. `add_options` are the command's own, which
    know the defaults.
    """
    from harness.schema import Problem

    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    for flag, why in flags.items():
        name = attribute(flag)
        if getattr(options, name) != parser.get_default(name):
            raise Problem(f"{flag} {why}")


def attribute(flag: str) -> str:
    """Where argparse puts the value of a flag."""
    return flag.removeprefix("--").replace("-", "_")
