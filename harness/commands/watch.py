"""What a person sees while a study runs: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.engines.conductor import Job
from harness.records import folder
from harness.schema import Record, Run

PLAIN_SECONDS = 30.0  # between two plain lines


def progress_of(results: Path, run: Run) -> Mapping[str, Any] | None:
    """What a run in flight last said of itself, or None before its first epoch."""
    where = folder.folder_of(results, run.study.name, run.dataset) / "work" / run.loss
    try:
        told: dict[str, Any] = json.loads((where / f"{run.key}.progress.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return told


class Watch:
    """Receives what the conductor tells; one of live, plain, JSON lines or nothing is shown."""

    def __init__(self, console: Console, results: Path, *, quiet: bool, as_json: bool) -> None:
        self.console, self.results = console, results
        self.quiet, self.as_json = quiet, as_json
        self.jobs: Sequence[Job] = ()
        self.flying: Sequence[Run] = ()
        self.begun = time.monotonic()
        self.shown = 0.0
        self.new_seconds: dict[str, list[float]] = {}
        live = console.is_terminal and not quiet and not as_json
        self.live = Live(console=console, refresh_per_second=4, transient=True) if live else None

    def __enter__(self) -> Watch:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def __call__(self, event: str, *told: Any) -> None:
        """Show an event: line, jobs, started, record, waiting, stopping."""
        if event == "jobs":
            self.jobs = told[0]
        elif event == "line":
            self._line(told[0])
        elif event == "stopping":
            self._line(told[0], always=True)
        elif event == "record":
            self._record(*told)
        elif event == "waiting":
            self.flying = told[0]
        if self.live is not None:
            self.live.update(self._panel())

    def _line(self, text: str, *, always: bool = False) -> None:
        if self.as_json:
            self.console.file.write(json.dumps({"event": "line", "text": text}) + "\n")
            self.console.file.flush()
        elif always or not self.quiet:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _record(self, job: Job, record: Record) -> None:
        self.new_seconds.setdefault(record.stage, []).append(record.seconds)
        if self.as_json:
            told = {
                "event": "record",
                "loss": record.loss,
                "dataset": record.dataset,
                "key": record.key,
                "failure": record.failure,
                "map_at_r": record.scores.get("map_at_r"),
                "seconds": round(record.seconds, 3),
            }
            self.console.file.write(json.dumps(told) + "\n")
            self.console.file.flush()
            return
        if record.failure is not None:
            self._line(f"{record.loss} {record.key}: {record.failure}")
        now = time.monotonic()
        last = job.progress().finished
        if self.live is None and not self.quiet and (last or now - self.shown > PLAIN_SECONDS):
            self.shown = now
            self._line(f"[{_clock(now - self.begun)}] {self._summary(job)}{self._left()}")

    def _summary(self, job: Job) -> str:
        progress = job.progress()
        counts = ", ".join(
            f"{stage} {progress.done[stage]}/{planned}"
            for stage, planned in progress.planned.items()
        )
        best = (
            f"; best held-out MAP@R {100 * progress.best_score:.2f} % (trial {progress.best_trial})"
            if progress.best_score is not None
            else ""
        )
        return f"{job.dataset} {job.loss}: {counts}{best}"

    def _left(self) -> str:
        """Time left, from the mean seconds of each stage's runs so far (of any, where none ran)."""
        every = [seconds for values in self.new_seconds.values() for seconds in values]
        if not every:
            return ""
        elapsed = time.monotonic() - self.begun
        pace = elapsed / sum(every)  # below 1 where runs go on side by side
        left = 0.0
        for job in self.jobs:
            progress = job.progress()
            for stage, planned in progress.planned.items():
                known = self.new_seconds.get(stage) or every
                left += max(0, planned - progress.done[stage]) * sum(known) / len(known)
        return f"; about {_clock(left * pace)} left" if left else ""

    def _panel(self) -> Table:
        """The losses at work, the runs in flight, the time."""
        table = Table.grid(padding=(0, 2))
        at_work = {(run.dataset, run.loss) for run in self.flying}
        for job in self.jobs:
            if (job.dataset, job.loss) in at_work:
                table.add_row(Text(self._summary(job)))
        for run in self.flying:
            told = progress_of(self.results, run) or {}
            epoch = f"{told['phase']} epoch {told['epoch']}/{told['of']}" if told else "starting"
            held = f", held-out MAP@R {100 * told['map_at_r']:.2f} %" if "map_at_r" in told else ""
            table.add_row(Text(f"  {run.loss} {_name(run)}: {epoch}{held}"))
        finished = sum(job.progress().finished for job in self.jobs)
        clock = f"{_clock(time.monotonic() - self.begun)} so far{self._left()}"
        table.add_row(Text(f"{finished} of {len(self.jobs)} rows finished; {clock}", style="dim"))
        return table


def _name(run: Run) -> str:
    parts = [f"trial {run.trial}" if run.stage == "search" else run.stage]
    if run.repeat is not None:
        parts.append(f"{run.repeat}")
    if run.fold is not None:
        parts.append(f"fold {run.fold}")
    return " ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
