"""`status`: how far studies are, read from their results folders at any time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared
from harness.commands import progress as how_far
from harness.commands import selection, study_choice, terminal, unused

if TYPE_CHECKING:
    from harness.schema import Study

HELP = "print how far studies are, from any terminal"
EPILOG = """\
A row for each loss that has records or is being computed; where there is none yet, for each loss of
the study. Scores here are held-out ones, which choose the params: `table` has those of the test
classes. Behind the rows: what runs now, the time left, and the next command."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="a JSON list of objects, one per loss")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="serve it on 127.0.0.1 instead, as a page that refreshes itself while studies run",
    )
    shared.add_port(parser)
    selection.add(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print how far the selected studies are."""
    from harness.commands import status_text

    if options.watch:
        unused.refuse(options, add_options, {"--json": "prints rows, and --watch serves a page"})
    else:
        unused.refuse(options, add_options, {"--port": "says where --watch serves; give both"})

    if options.loss is not None:
        names = sorted(
            {name for where in selection.folders_of(options) for name in losses_of(where)}
        )
        for loss in options.loss:
            shared.known("loss", loss, names)

    def now() -> list[dict[str, Any]]:
        folders = selection.folders_of(options)
        return [row for where in folders for row in rows_of(where, options.loss)]

    if options.watch:
        from harness.commands import page_server

        page_server.serve(
            lambda: status_text.page(now(), options.results),
            lambda: _version(selection.folders_of(options)),
            port=options.port,
            say=lambda line: print(line, flush=True),
        )
        return
    rows = now()
    if options.json:
        print(json.dumps(rows))
    elif terminal.is_terminal():
        from rich.console import Console

        status_text.show(Console(), rows, options.results)
    else:
        print("\n".join(status_text.lines(rows, options.results)))


def rows_of(where: Path, losses: Sequence[str] | None) -> list[dict[str, Any]]:
    """One row per loss of the folder results/<study>/<dataset>, as `losses_in` has them."""
    from harness.protocol import plan
    from harness.records import folder, records

    description = shared.read_description(where)
    study = folder.study_of(description)
    rows = []
    options_given = study_choice.options_given(study, description["dataset"])
    run_seconds = how_far.RunSeconds()
    for name in losses_in(where, study):
        path = where / f"{name}.jsonl"
        contents = records.read(path, curves=False)
        for record in contents.records:
            run_seconds.add(record)
        if losses is not None and name not in losses:
            continue
        progress = plan.progress(study, name, contents.records)
        rows.append(
            {
                "study": study.name,
                "dataset": description["dataset"],
                "loss": name,
                "done": dict(progress.done),
                "planned": dict(progress.planned),
                "finished": progress.finished,
                "failures": progress.failures,
                "best_trial": progress.best_trial,
                "best_held_out_map_at_r": progress.best_score,
                "torn": contents.torn,
                "writer": folder.holder_of(path),
                "in_flight": _in_flight(where / "work" / name),
                "options_given": None
                if options_given is None
                else [*options_given, *study_choice.threads_given(contents.records)],
            }
        )
    return [
        row
        | {
            "run_seconds_left": run_seconds.left(
                row["dataset"], row["loss"], row["planned"], row["done"]
            )
        }
        for row in rows
    ]


def _version(folders: Sequence[Path]) -> str:
    """A text that changes with records, the progress of runs and who writes; reads no records."""
    from harness.commands import page_server
    from harness.records import folder

    work = [path for where in folders for path in where.glob("work/*")]
    locks = [path for where in folders for path in sorted(where.glob("*.lock"))]
    writers = json.dumps([folder.holder_of(path.with_suffix(".jsonl")) for path in locks])
    return f"{page_server.version_of([*folders, *work])} {writers}"


def losses_of(where: Path) -> list[str]:
    """losses_in of the study that the folder's study.json describes."""
    from harness.records import folder

    return losses_in(where, folder.study_of(shared.read_description(where)))


def losses_in(where: Path, study: Study) -> list[str]:
    """The losses that have records or are being computed; before there are any, those that were.

    That is, the losses of which a study has held the files, or else the study's own.
    """
    from harness.records import folder, packed
    from harness.schema import BASELINES

    names = {path.stem for path in packed.record_files(where)}
    locks = [path.with_suffix(".jsonl") for path in where.glob("*.lock")]
    names |= {path.stem for path in locks if folder.holder_of(path) is not None}
    if names - set(BASELINES):
        return sorted(names)
    begun = {path.stem for path in locks} - set(BASELINES)
    return sorted(names | (begun or set(study.losses)))


def _in_flight(work: Path) -> dict[str, Any]:
    """The progress that each run in flight wrote last, by the run's key."""
    progress = {}
    for path in sorted(work.glob("*.progress.json")):
        try:
            written = json.loads(path.read_text())
            if {"phase", "epoch", "of"} <= set(written):
                progress[path.name.removesuffix(".progress.json")] = written
        except (
            OSError,
            ValueError,
            TypeError,
        ):  # the run has just ended, or is just beginning to write
            continue
    return progress
