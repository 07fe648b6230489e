"""What a user sees while a study runs: a live panel on a terminal, else plain lines or JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.commands.events import Events
from harness.engines.jobs import Job
from harness.records import folder
from harness.schema import Record, Run

PLAIN_SECONDS = 30.0  # between two plain lines


def progress_of(results: Path, run: Run) -> dict[str, Any] | None:
    """The progress that a run in flight wrote last, or None before its first epoch."""
    try:
        progress: dict[str, Any] = json.loads(folder.progress_path(results, run).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return progress


class Watch:
    """Receives the conductor's events and shows them: live, as plain lines, as JSON, or not."""

    def __init__(self, console: Console, results: Path, *, quiet: bool, as_json: bool) -> None:
        self.console, self.results = console, results
        self.quiet = quiet
        self.events = Events(self._write, partial(progress_of, results)) if as_json else None
        self.jobs: Sequence[Job] = ()
        self.in_flight: Sequence[Run] = ()
        self.started = time.monotonic()
        self.first_started: float | None = None  # when the first run began
        self.line_shown = 0.0  # when the last plain line about progress was shown
        self.seconds_by_stage: dict[str, list[float]] = {}  # of the runs that ended since the start
        is_live = console.is_terminal and not quiet and not as_json
        self.live = Live(console=console, refresh_per_second=4, transient=True) if is_live else None

    def __enter__(self) -> Watch:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def __call__(self, event: str, *values: Any) -> None:
        """Show an event of the conductor; its comment on Notify lists events and values."""
        if event == "jobs":
            self.jobs = values[0]
        elif event == "line":
            self._show_line(values[0])
        elif event == "stopping":
            self.say(values[0])
        elif event == "record":
            self._show_record(*values)
        elif event == "started":
            self.first_started = self.first_started or time.monotonic()
            if self.events is not None:
                self.events.started(values[0])
        elif event == "waiting":
            self.in_flight = values[0]
            if self.events is not None:
                self.events.epochs(self.in_flight)
        if self.live is not None:
            self.live.update(self._panel())

    def say(self, text: str) -> None:
        """Show a line that also those want to read who want no progress."""
        self._show_line(text, even_if_quiet=True)

    def _show_line(self, text: str, *, even_if_quiet: bool = False) -> None:
        if self.events is not None:
            self.events.line(text)
        elif even_if_quiet or not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _show_record(self, job: Job, record: Record) -> None:
        self.seconds_by_stage.setdefault(record.stage, []).append(record.seconds)
        if self.events is not None:
            self.events.finished(record)
            return
        if record.failure is not None:
            self._show_line(f"{record.loss} {record.key}: {record.failure}")
        if self.live is not None or self.quiet:
            return
        now = time.monotonic()
        if job.progress().finished or now - self.line_shown > PLAIN_SECONDS:
            self.line_shown = now
            self._show_line(f"[{_clock(now - self.started)}] {_summary(job)}{self._time_left()}")

    def _write(self, text: str) -> None:
        self.console.file.write(text)
        self.console.file.flush()

    def _time_left(self) -> str:
        """Words on the time left, or nothing before the first record.

        Each run still to do counts the mean seconds of the runs of its stage, or of all runs where
        its stage has none yet.
        """
        every_run = [seconds for runs in self.seconds_by_stage.values() for seconds in runs]
        if not every_run:
            return ""
        run_seconds = 0.0
        for job in self.jobs:
            progress = job.progress()
            for stage, planned in progress.planned.items():
                runs = self.seconds_by_stage.get(stage) or every_run
                run_seconds += max(0, planned - progress.done[stage]) * sum(runs) / len(runs)
        # Without what came before the first run: images that were read or drawn.
        elapsed = time.monotonic() - (self.first_started or self.started)
        wall_per_run_second = elapsed / sum(every_run)  # below 1 where runs go on side by side
        return f"; about {_clock(run_seconds * wall_per_run_second)} left" if run_seconds else ""

    def _panel(self) -> Table:
        """A line per loss with runs in flight, a line per run in flight, the time."""
        table = Table.grid(padding=(0, 2))
        at_work = {(run.dataset, run.loss) for run in self.in_flight}
        for job in self.jobs:
            if (job.dataset, job.loss) in at_work:
                table.add_row(Text(_summary(job)))
        for run in self.in_flight:
            progress = progress_of(self.results, run)
            table.add_row(Text(f"  {run.loss} {_run_title(run)}: {_epoch(progress)}"))
        finished = sum(job.progress().finished for job in self.jobs)
        clock = f"{_clock(time.monotonic() - self.started)} so far{self._time_left()}"
        table.add_row(Text(f"{finished} of {len(self.jobs)} rows finished; {clock}", style="dim"))
        return table


def _summary(job: Job) -> str:
    progress = job.progress()
    counts = ", ".join(
        f"{stage} {progress.done[stage]}/{planned}" for stage, planned in progress.planned.items()
    )
    best = ""
    if progress.best_score is not None:
        score = f"{100 * progress.best_score:.2f} %"
        best = f"; best held-out MAP@R {score} (trial {progress.best_trial})"
    return f"{job.dataset} {job.loss}: {counts}{best}"


def _run_title(run: Run) -> str:
    parts = [f"trial {run.trial}" if run.stage == run.study.trial_stage else run.stage]
    if run.repeat is not None:
        parts.append(f"{run.repeat}")
    if run.fold is not None:
        parts.append(f"fold {run.fold}")
    return " ".join(parts)


def _epoch(progress: Mapping[str, Any] | None) -> str:
    if progress is None:
        return "starting"
    epoch = f"{progress['phase']} epoch {progress['epoch']}/{progress['of']}"
    if "map_at_r" in progress:
        epoch += f", held-out MAP@R {100 * progress['map_at_r']:.2f} %"
    return epoch


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
