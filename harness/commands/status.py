"""`status`: how far studies are, read from their results folders at any time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.commands import options as shared

HELP = "print how far studies are, from any terminal"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="a JSON list of objects, one per loss")
    shared.add_selection(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print how far the selected studies are."""
    folders = shared.selected_folders(options)
    rows = [row for where in folders for row in rows_of(where, options.loss)]
    if options.json:
        print(json.dumps(rows))
    else:
        print("\n".join(lines(rows)))


def rows_of(where: Path, losses: Sequence[str] | None) -> list[dict[str, Any]]:
    """One row per loss with records in the folder results/<study>/<dataset>."""
    from harness.protocol import plan
    from harness.records import folder, packed, records

    description = shared.read_description(where)
    study = folder.study_of(description)
    rows = []
    for path in packed.record_files(where):
        if losses is not None and path.stem not in losses:
            continue
        contents = records.read(path, curves=False)
        progress = plan.progress(study, path.stem, contents.records)
        rows.append(
            {
                "study": study.name,
                "dataset": description["dataset"],
                "loss": path.stem,
                "done": dict(progress.done),
                "planned": dict(progress.planned),
                "finished": progress.finished,
                "failures": progress.failures,
                "best_trial": progress.best_trial,
                "best_held_out_map_at_r": progress.best_score,
                "torn": contents.torn,
                "writer": folder.holder_of(path),
                "in_flight": _in_flight(where / "work" / path.stem),
            }
        )
    return rows


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


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows as lines of text, each followed by its torn line, its writer and its runs."""
    text = []
    for row in rows:
        text.append(_summary(row))
        if row["torn"]:
            text.append(f"  {row['torn']}")
        writer = row["writer"]
        if writer:
            text.append(
                f"  written by process {writer['pid']} on {writer.get('host', '?')} since "
                f"{writer.get('since', '?')}"
            )
            for key, progress in row["in_flight"].items():
                epoch = f"{progress['phase']} epoch {progress['epoch']}/{progress['of']}"
                if "map_at_r" in progress:
                    epoch += f", MAP@R {100 * progress['map_at_r']:.2f} %"
                text.append(f"  {key}: {epoch}")
    return text


def _summary(row: dict[str, Any]) -> str:
    state = "finished" if row["finished"] else "running" if row["writer"] else "stopped"
    counts = ", ".join(
        f"{stage} {row['done'][stage]}/{planned}" for stage, planned in row["planned"].items()
    )
    summary = f"{row['study']} {row['dataset']} {row['loss']}: {state}; {counts}"
    if row["failures"]:
        summary += f"; {row['failures']} failed"
    if row["best_held_out_map_at_r"] is not None:
        score = f"{100 * row['best_held_out_map_at_r']:.2f} %"
        summary += f"; best held-out MAP@R {score} (trial {row['best_trial']})"
    return summary
