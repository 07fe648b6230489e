"""How far studies are, read from their folders by anyone at any time. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import plan, records
from harness.schema import Problem


def told(where: Path, losses: Sequence[str] | None) -> list[dict[str, Any]]:
    """One row per loss with records below results/<study>/<dataset>."""
    description = records.read_description(where)
    if description is None:
        raise Problem(f"{where} holds no study.json; run the study again, it writes it")
    study = records.study_of(description)
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
                "writer": records.holder_of(path),
                "in_flight": _in_flight(where / "work" / path.stem),
            }
        )
    return rows


def _in_flight(work: Path) -> dict[str, Any]:
    flying = {}
    for path in sorted(work.glob("*.progress.json")):
        try:
            flying[path.name.removesuffix(".progress.json")] = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
    return flying


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows as text."""
    said = []
    for row in rows:
        counts = ", ".join(f"{s} {row['done'][s]}/{n}" for s, n in row["planned"].items())
        state = "finished" if row["finished"] else "running" if row["writer"] else "stopped"
        best = row["best_held_out_map_at_r"]
        said.append(
            f"{row['study']} {row['dataset']} {row['loss']}: {state}; {counts}"
            + (f"; {row['failures']} failed" if row["failures"] else "")
            + (
                f"; best held-out MAP@R {100 * best:.2f} % (trial {row['best_trial']})"
                if best is not None
                else ""
            )
        )
        if row["torn"]:
            said.append(f"  {row['torn']}")
        if row["writer"]:
            holder = row["writer"]
            said.append(
                f"  written by process {holder['pid']} on {holder['host']} since {holder['since']}"
            )
            for key, now in row["in_flight"].items():
                score = f", MAP@R {100 * now['map_at_r']:.2f} %" if "map_at_r" in now else ""
                said.append(f"  {key}: {now['phase']} epoch {now['epoch']}/{now['of']}{score}")
    return said
