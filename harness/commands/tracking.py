"""`study --log`: records to trackers, beside the study and never in its way."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.schema import Record
    from harness.trackers.entry import Tracker
    from harness.trackers.ledger import Ledger

# A tracker's name -> its class in harness/trackers/NAME.py, and the package that has it.
TRACKERS = {
    "tensorboard": ("TensorBoard", "tensorboard"),
    "wandb": ("WandB", "wandb"),
    "mlflow": ("MLflow", "mlflow"),
}
FOLDER = "logs"  # in RESULTS
MOST_ERRORS = 3  # in a row, after which nothing more is written by this call
SILENT_SECONDS = 2.0  # that the end of a study waits for a tracker before it says so
PATIENCE_SECONDS = 5.0  # that a study which was stopped waits for the run being written


def add(parser: argparse.ArgumentParser) -> None:
    """--log: where records go beside the results."""
    parser.add_argument(
        "--log",
        nargs="+",
        action="extend",
        choices=list(TRACKERS),
        metavar="NAME",
        help=f"also write every run to {', '.join(TRACKERS)} (see below)",
    )


def open_all(
    names: Sequence[str] | None, results: Path, say: Callable[[str], None]
) -> list[Tracking]:
    """The trackers of these names, each once; Problem where one of them cannot be had."""
    return [_open(name, results / FOLDER / name, say) for name in dict.fromkeys(names or ())]


def _open(name: str, where: Path, say: Callable[[str], None]) -> Tracking:
    from harness.schema import Problem
    from harness.trackers.ledger import Ledger

    class_name, package = TRACKERS[name]
    if importlib.util.find_spec(package) is None:
        raise Problem(
            f"--log {name} needs the package {package}, which is not installed: "
            f"python -m pip install {package}"
        )
    try:
        tracker = getattr(importlib.import_module(f"harness.trackers.{name}"), class_name)(where)
        place = hashlib.sha256(tracker.place.encode()).hexdigest()[:8]
        ledger = Ledger(where / f".written-{place}")
    except Problem:
        raise
    except Exception as error:
        raise Problem(f"--log {name} cannot be used: {_in_words(error)}") from None
    say(f"{name}: {tracker.place}")
    return Tracking(name, tracker, ledger, say)


def to_all(receivers: Sequence[Callable[..., None]]) -> Callable[..., None]:
    """What hands an event of the conductor to each of the receivers."""

    def notify(event: str, *values: Any) -> None:
        for receive in receivers:
            receive(event, *values)

    return notify


class Tracking:
    """A thread that writes the records of a study to a tracker, in the order in which they come.

    It receives the conductor's events, and never raises: an error is said once, and what is not
    written by the end is written by the next call.
    """

    def __init__(
        self, name: str, tracker: Tracker, ledger: Ledger, say: Callable[[str], None]
    ) -> None:
        self.name, self.tracker, self.ledger, self.say = name, tracker, ledger, say
        self.records: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self.pending = 0  # records that are not written yet
        self.errors_in_row = 0
        self.has_said_error = False
        self.is_stopping = threading.Event()
        self.thread = threading.Thread(target=self._write_all, daemon=True)

    def __enter__(self) -> Tracking:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End with the run that is being written, which gets a few seconds."""
        self.is_stopping.set()
        self.records.put(None)
        self.thread.join(PATIENCE_SECONDS)
        if self.pending:
            self.say(
                f"{self.name}: {self.pending} runs are not written there; the same command "
                "writes them"
            )

    def finish(self) -> None:
        """Wait until all records are written or left out."""
        self.records.put(None)
        self.thread.join(SILENT_SECONDS)
        if self.thread.is_alive():
            self.say(
                f"{self.name}: {self.pending} runs are still to be written; Ctrl-C leaves them"
            )
            self.thread.join()

    def __call__(self, event: str, *values: Any) -> None:
        """Take what is there when the study starts, then every record as it comes."""
        if event == "jobs":
            records = [record for job in values[0] for record in job.records]
        else:
            records = [values[1]] if event == "record" else []
        self.pending += len(records)
        for record in records:
            self.records.put(record)

    def _write_all(self) -> None:
        from harness.trackers.entry import entry_of

        while (record := self.records.get()) is not None:
            entry = entry_of(record)
            if entry.identifier not in self.ledger.written:
                if self.is_stopping.is_set() or self.errors_in_row >= MOST_ERRORS:
                    continue
                try:
                    self.tracker.write(entry)
                    self.ledger.add(entry.identifier)
                except Exception as error:  # whatever a tracker raises must not end the study
                    self.errors_in_row += 1
                    self._say_error(error)
                    continue
                self.errors_in_row = 0
            self.pending -= 1

    def _say_error(self, error: Exception) -> None:
        if not self.has_said_error:
            self.say(f"{self.name}: {_in_words(error)}; the study goes on")
        elif self.errors_in_row == MOST_ERRORS:
            self.say(f"{self.name}: {MOST_ERRORS} errors in a row; nothing more is written there")
        self.has_said_error = True


def _in_words(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'without a message'}"[:300]
