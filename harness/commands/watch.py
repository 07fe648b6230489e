"""What a user sees while a study runs: a live panel on a terminal, else plain lines or JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.commands import progress
from harness.commands.events import Events
from harness.engines.jobs import Job
from harness.records import folder
from harness.schema import Record, Run

PLAIN_SECONDS = 30.0  # between two plain lines


def progress_of(results: Path, run: Run) -> dict[str, Any] | None:
    """The progress that a run in flight wrote last, or None before its first epoch."""
    try:
        written: dict[str, Any] = json.loads(folder.progress_path(results, run).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return written


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
        self.run_seconds = progress.RunSeconds()
        self.ended_seconds = 0.0  # of the runs that ended since the start
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
            for job in self.jobs:
                for record in job.records:
                    self.run_seconds.add(record)
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
        self.run_seconds.add(record)
        self.ended_seconds += record.seconds
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
            self._show_line(
                f"[{progress.clock(now - self.started)}] {_summary(job)}{self._time_left()}"
            )

    def _write(self, text: str) -> None:
        self.console.file.write(text)
        self.console.file.flush()

    def _time_left(self) -> str:
        """Words on the time left, or nothing before runs tell how long those to do take."""
        run_seconds = 0.0
        for job in self.jobs:
            of_job = job.progress()
            left = self.run_seconds.left(job.dataset, job.loss, of_job.planned, of_job.done)
            if left is None:
                return ""
            run_seconds += left
        if not run_seconds or not self.ended_seconds:
            return ""
        # Without what came before the first run: images that were read or drawn.
        elapsed = time.monotonic() - (self.first_started or self.started)
        wall_per_run_second = elapsed / self.ended_seconds  # below 1 where runs go on side by side
        return f"; about {progress.clock(run_seconds * wall_per_run_second)} left"

    def _panel(self) -> Table:
        """A line per loss with runs in flight, a line per run in flight, the time."""
        table = Table.grid(padding=(0, 2))
        at_work = {(run.dataset, run.loss) for run in self.in_flight}
        for job in self.jobs:
            if (job.dataset, job.loss) in at_work:
                table.add_row(Text(_summary(job)))
        for run in self.in_flight:
            written = progress_of(self.results, run)
            epoch = "starting" if written is None else progress.epoch(written)
            table.add_row(Text(f"  {run.loss} {_run_title(run)}: {epoch}"))
        finished = sum(job.progress().finished for job in self.jobs)
        clock = f"{progress.clock(time.monotonic() - self.started)} so far{self._time_left()}"
        table.add_row(Text(f"{finished} of {len(self.jobs)} rows finished; {clock}", style="dim"))
        return table


def _summary(job: Job) -> str:
    of_job = job.progress()
    counts = ", ".join(
        f"{stage} {of_job.done[stage]}/{planned}" for stage, planned in of_job.planned.items()
    )
    best = ""
    if of_job.best_score is not None:
        score = f"{100 * of_job.best_score:.2f} %"
        best = f"; best held-out MAP@R {score} (trial {of_job.best_trial})"
    return f"{job.dataset} {job.loss}: {counts}{best}"


def _run_title(run: Run) -> str:
    parts = [f"trial {run.trial}" if run.stage == run.study.trial_stage else run.stage]
    if run.repeat is not None:
        parts.append(f"{run.repeat}")
    if run.fold is not None:
        parts.append(f"fold {run.fold}")
    return " ".join(parts)
