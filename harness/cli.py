"""The command line: one verb per file in harness/commands, each with its own options."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from harness import __version__
from harness.commands import (
    audit,
    bench,
    check,
    compare,
    data,
    doctor,
    export,
    features,
    gallery,
    losses,
    order,
    pairs,
    report,
    robustness,
    score,
    sensitivity,
    status,
    studies,
    study,
    table,
    terminal,
    trunks,
    verify,
)

# In the order of `--help`: what a user does first comes first.
COMMANDS = {
    "study": study,
    "table": table,
    "compare": compare,
    "order": order,
    "report": report,
    "score": score,
    "status": status,
    "export": export,
    "losses": losses,
    "data": data,
    "studies": studies,
    "trunks": trunks,
    "features": features,
    "audit": audit,
    "check": check,
    "verify": verify,
    "gallery": gallery,
    "robustness": robustness,
    "sensitivity": sensitivity,
    "pairs": pairs,
    "bench": bench,
    "doctor": doctor,
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and exit.

    Exit codes: 0; 1 if a command's check fails or a download does; 2 for a user's mistake and for
    what the machine lacks, with one line on standard error; 130 or 143 if a signal stopped a
    command.
    """
    terminal.admit_every_text()
    try:
        options = _parser().parse_args(argv)
        _run(options)
    except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt as interrupt:
        sys.exit(interrupt.args[0] if interrupt.args else 130)
    except MemoryError:
        _fail(
            "the memory of this machine is too small for that; give fewer --workers, or free some"
        )
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("harness", "losses", "studies"):
            raise
        _fail(
            f"the package {error.name.split('.')[0]} is not installed; python -m pip install -r "
            "requirements.txt"
        )
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        _fail(
            f"{place}{error.strerror or error}; mend that (room on the disk, rights, a folder that "
            "is gone), then give the same command again"
        )
    sys.exit(0)


def _run(options: argparse.Namespace) -> None:
    """Run the command that the options are of; a Problem ends it with its line and exit code 2."""
    for name, value in vars(options).items():
        if value == []:  # what argparse makes of --dataset=--
            _fail(f"--{name.replace('_', '-')} has no value")
    from harness.schema import Problem  # after parsing: it loads numpy, which --help can do without

    try:
        options.run(options)
    except Problem as problem:
        _fail(str(problem))


def _fail(text: str) -> NoReturn:
    """Print one line on standard error and exit with code 2."""
    print(f"harness: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(2)


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line, with what was likely meant.

    A command takes its words in any order: `data verify --skip-bad cub` as `data verify cub
    --skip-bad`.
    """

    _within = False  # a call of argparse's own, which parses twice for that

    def error(self, message: str) -> NoReturn:
        """End with the mistake, what was likely meant and where all options are, exit code 2."""
        from harness.schema import meant

        question = ""
        if choice := re.fullmatch(r".*invalid choice: '(.*)' \(choose from (.*)\)", message, re.S):
            question = meant(choice[1], re.findall(r"[\w-]+", choice[2]))
            message = message.partition(" (choose from ")[0] if question else message
        _fail(f"{message};{question} `{self.prog} --help` says what there is")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse does, but an option that a command lacks ends it here, with the likeliest."""
        if self._within or self._subparsers is not None:
            known, rest = super().parse_known_args(args, namespace)
        else:
            self._within = True
            known, rest = super().parse_known_intermixed_args(args, namespace)
            self._within = False
        if self._within or not rest:
            return known, rest
        from harness.schema import meant  # it loads numpy, which --help can do without

        options = re.findall(r"(?<![\w-])--[a-z][\w-]*", self.format_help())
        given = next((word for word in rest if word.startswith("--")), rest[0])
        question = meant(given.partition("=")[0], dict.fromkeys(options))
        _fail(
            f"unrecognized arguments: {' '.join(rest)};{question} `{self.prog} --help` says what "
            "there is"
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m harness",
        description="Trained fairly, is this deep-metric-learning loss better than that one?",
    )
    parser.add_argument("--version", action=_Version, help="print version and commit, and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command_parser = commands.add_parser(
            name,
            help=command.HELP,
            description=f"{command.HELP[0].upper()}{command.HELP[1:]}.",
            epilog=getattr(command, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(command_parser)
        command_parser.set_defaults(run=command.run)
    return parser


class _Version(argparse.Action):
    """Print the version and the commit, which is looked up only then, and exit."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from harness.records.provenance import code_version

        code = code_version()
        changes = ", with changes that are not committed" if code["dirty"] else ""
        origin = code["commit"] if code["dirty"] is None else f"commit {code['commit']}{changes}"
        print(f"harness {__version__} ({origin})")
        parser.exit()
