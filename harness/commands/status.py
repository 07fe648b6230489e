"""`status`: how far studies are, read from their folders by anyone at any time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.commands import options as shared

HELP = "how far studies are, from any terminal"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="one JSON object")
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
    """One row per loss with records below results/<study>/<dataset>."""
    from harness.protocol import plan
    from harness.records import folder, records
    from harness.schema import Problem

    description = folder.read_description(where)
    if description is None:
        raise Problem(f"{where} holds no study.json; run the study again, it writes it")
    study = folder.study_of(description)
    rows = []
    for path in sorted(where.glob("*.jsonl")):
        if losses is not None and path.stem not in losses:
            continue
        read = records.read(path, curves=False)
        progress = plan.progress(study, path.stem, read.records)
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
                "torn": read.torn,
                "writer": folder.holder_of(path),
                "in_flight": _in_flight(where / "work" / path.stem),
            }
        )
    return rows


def _in_flight(work: Path) -> dict[str, Any]:
    """What each run in flight last wrote about its progress, by the run's key."""
    runs = {}
    for path in sorted(work.glob("*.progress.json")):
        try:
            runs[path.name.removesuffix(".progress.json")] = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
    return runs


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows as text."""
    text = []
    for row in rows:
        counts = ", ".join(f"{s} {row['done'][s]}/{n}" for s, n in row["planned"].items())
        state = "finished" if row["finished"] else "running" if row["writer"] else "stopped"
        best = row["best_held_out_map_at_r"]
        line = f"{row['study']} {row['dataset']} {row['loss']}: {state}; {counts}"
        if row["failures"]:
            line += f"; {row['failures']} failed"
        if best is not None:
            line += f"; best held-out MAP@R {100 * best:.2f} % (trial {row['best_trial']})"
        text.append(line)
        if row["torn"]:
            text.append(f"  {row['torn']}")
        if row["writer"]:
            holder = row["writer"]
            text.append(
                f"  written by process {holder['pid']} on {holder['host']} since {holder['since']}"
            )
            for key, now in row["in_flight"].items():
                score = f", MAP@R {100 * now['map_at_r']:.2f} %" if "map_at_r" in now else ""
                text.append(f"  {key}: {now['phase']} epoch {now['epoch']}/{now['of']}{score}")
    return text
