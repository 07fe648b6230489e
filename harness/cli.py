"""Names in, one call out: one verb per file in harness/commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness import __version__
from harness.commands import (
    audit,
    bench,
    compare,
    data,
    export,
    losses,
    status,
    study,
    table,
    verify,
)

# In the order of `--help`: what one does first stands first.
COMMANDS = {
    "study": study,
    "table": table,
    "compare": compare,
    "status": status,
    "export": export,
    "losses": losses,
    "data": data,
    "audit": audit,
    "verify": verify,
    "bench": bench,
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; exit 0, 2 for a user's mistake, 130 or 143 when stopped."""
    options = _parser().parse_args(argv)
    from harness.schema import Problem

    try:
        options.run(options)
    except Problem as problem:
        print(f"harness: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness",
        description="Trained fairly, is this deep-metric-learning loss better than that one?",
    )
    parser.add_argument("--version", action="version", version=f"harness {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        verb = verbs.add_parser(
            name,
            help=command.HELP,
            description=f"{command.HELP[0].upper()}{command.HELP[1:]}.",
            epilog=getattr(command, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(verb)
        verb.set_defaults(run=command.run)
    return parser
