"""`export`: write the searches as Optuna studies into a database."""

from __future__ import annotations

import argparse

from harness.commands import options as shared

HELP = "write the searches as Optuna studies"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "--optuna", required=True, metavar="URL", help="sqlite:///study.db, postgresql://..."
    )
    shared.add_selection(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Bring the database up to the selected records, and print what became of each study."""
    from harness.commands import optuna_studies

    for where in shared.selected_folders(options):
        for exported in optuna_studies.export(where, options.loss, options.optuna):
            new = exported.trials - exported.before
            how = "written anew" if exported.anew else f"{new} new"
            print(f"{exported.name}: {exported.trials} trials ({how})")
