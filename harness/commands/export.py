"""`export`: write searches as Optuna studies into a database."""

from __future__ import annotations

import argparse

from harness.commands import options as shared

HELP = "write searches as Optuna studies into a database"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "--optuna", required=True, metavar="URL", help="sqlite:///study.db, postgresql://..."
    )
    shared.add_selection(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Bring the database up to date with the selected records; print a line for each study."""
    from harness.commands import optuna_studies  # loads Optuna, SQLAlchemy and torch

    for where in shared.selected_folders(options):
        for exported in optuna_studies.export(where, options.loss, options.optuna):
            new = exported.trials - exported.trials_before
            change = "all rewritten" if exported.rewritten else f"{new} new"
            print(f"{exported.name}: {exported.trials} trials ({change})")
