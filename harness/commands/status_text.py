"""The rows of `status` as lines of text, and as tables on a terminal."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options, progress, study_choice
from harness.schema import BASELINES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = Mapping[str, Any]
WIDTH = 120  # of the page, in letters
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="5">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>How far studies are</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 monospace; margin: 2rem; }}
pre {{ font: inherit; overflow-x: auto; }}
</style>
</head>
<body><pre>{code}</pre></body>
</html>
"""


def lines(rows: Sequence[Row], results: Path) -> list[str]:
    """The rows, each followed by its torn line, its writer and its runs; then what comes next."""
    text = []
    for of_folder in by_folder(rows):
        for row in of_folder:
            text.append(_summary(row))
            text += [f"  {line}" for line in (*_torn(row), *_writer(row), *_runs(row))]
        text += _ahead(of_folder, results)
    return text


def show(console: Console, rows: Sequence[Row], results: Path) -> None:
    """Print a table for each study on a dataset, what runs, the time left, the next command."""
    from rich.text import Text

    for of_folder in by_folder(rows):
        first = of_folder[0]
        console.print(Text(f"study {first['study']} on {first['dataset']}", style="bold"))
        console.print(_grid(of_folder))
        below = [f"{row['loss']}: {line}" for row in of_folder for line in _torn(row)]
        below += dict.fromkeys(line for row in of_folder for line in _writer(row))
        below += [f"  {row['loss']} {line}" for row in of_folder for line in _runs(row)]
        for line in (*below, *_ahead(of_folder, results)):
            console.print(Text(line), soft_wrap=line.startswith("next: "))


def page(rows: Sequence[Row], results: Path) -> str:
    """What `show` shows as an HTML page, which asks for itself again every five seconds."""
    from rich.console import Console

    console = Console(record=True, width=WIDTH, file=io.StringIO())
    show(console, rows, results)
    return console.export_html(inline_styles=True, code_format=PAGE)


def _grid(rows: Sequence[Row]) -> Table:
    """A line for each row: its state, the runs of each stage, the held-out score if it searches."""
    from rich import box
    from rich.table import Table

    stages = list(dict.fromkeys(stage for row in rows for stage in row["planned"]))
    scored = ["best held-out MAP@R"] if any(map(_best, rows)) else []
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("loss", no_wrap=True, min_width=max(len(row["loss"]) for row in rows))
    for name in ("state", *stages, *scored):
        grid.add_column(name)
    for row in rows:
        counts = [
            f"{row['done'][stage]}/{row['planned'][stage]}" if stage in row["planned"] else ""
            for stage in stages
        ]
        state = _state(row) + (f", {row['failures']} failed" if row["failures"] else "")
        cells = [row["loss"], state, *counts, *[_best(row).partition(" (")[0]] * len(scored)]
        grid.add_row(*cells, style="dim" if row["loss"] in BASELINES else None)
    return grid


def by_folder(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each study on each dataset."""
    return [list(group) for _, group in groupby(rows, lambda row: (row["study"], row["dataset"]))]


def _torn(row: Row) -> list[str]:
    return [row["torn"]] if row["torn"] else []


def _writer(row: Row) -> Iterator[str]:
    """Who writes a row's records now."""
    if writer := row["writer"]:
        yield (
            f"written by process {writer['pid']} on {writer.get('host', '?')} since "
            f"{writer.get('since', '?')}"
        )


def _runs(row: Row) -> Iterator[str]:
    """What runs of a loss, and how far each run is."""
    for key, written in row["in_flight"].items() if row["writer"] else ():
        yield f"{key}: {progress.epoch(written)}"


def _summary(row: Row) -> str:
    counts = ", ".join(
        f"{stage} {row['done'][stage]}/{planned}" for stage, planned in row["planned"].items()
    )
    summary = f"{row['study']} {row['dataset']} {row['loss']}: {_state(row)}; {counts}"
    if row["failures"]:
        summary += f"; {row['failures']} failed"
    return summary + (f"; best held-out MAP@R {best}" if (best := _best(row)) else "")


def _state(row: Row) -> str:
    if row["finished"]:
        return "finished"
    if row["writer"]:
        return "running" if row["in_flight"] or any(row["done"].values()) else "waiting"
    return "stopped" if any(row["done"].values()) else "not started"


def _best(row: Row) -> str:
    """The held-out score of the best trial, or nothing."""
    if row["best_held_out_map_at_r"] is None:
        return ""
    return f"{100 * row['best_held_out_map_at_r']:.2f} % (trial {row['best_trial']})"


def _ahead(rows: Sequence[Row], results: Path) -> Iterator[str]:
    """The time that a running study has left, and the next command to type."""
    study, dataset = rows[0]["study"], rows[0]["dataset"]
    is_running = any(row["writer"] for row in rows)
    n_runs = sum(len(row["in_flight"]) for row in rows if row["writer"])
    left = [row["run_seconds_left"] for row in rows if row["writer"]]
    if is_running and None not in left and sum(left):
        beside = f", with {n_runs} runs side by side as now" if n_runs > 1 else ""
        yield f"about {progress.clock(sum(left) / max(1, n_runs))} left{beside}"
    where = options.results_given(results)
    if is_running:
        words = ["report", f"{study}/{dataset}", "--watch", *where]
        yield f"next: {_command(words)}  (a page that follows it)"
    elif all(row["finished"] for row in rows):
        yield f"next: {_command(['table', '--study', study, '--dataset', dataset, *where])}"
    else:
        given = rows[0]["options_given"]
        unfinished = [row["loss"] for row in rows if not row["finished"]]
        command = study_choice.command(study, dataset, unfinished, given, results)
        unknown = f"; studies/{study}.py cannot be read: give the options that you gave before"
        yield f"next: {command}  (it carries on{unknown if given is None else ''})"


def _command(words: Sequence[str]) -> str:
    return f"python -m harness {shlex.join(words)}"
