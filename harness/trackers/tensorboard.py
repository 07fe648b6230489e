"""Runs as TensorBoard's event files: scalars by epoch, and params with scores under HPARAMS."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard import summary as summaries

from harness.records import folder
from harness.trackers.entry import Entry


class TensorBoard:
    """Event files in FOLDER/STUDY/DATASET/LOSS/KEY."""

    def __init__(self, where: Path) -> None:
        self.where = where

    @property
    def place(self) -> str:
        """Where the runs lie and how to look at them."""
        return f"{self.where}; look at it with: tensorboard --logdir {self.where}"

    def write(self, entry: Entry) -> None:
        """Write a run's folder, whole or not at all; it replaces an older one of that key."""
        target = folder.folder_of(self.where, entry.study, entry.dataset) / entry.loss / entry.key
        target.parent.mkdir(parents=True, exist_ok=True)
        # Outside of the folder that TensorBoard looks through.
        with tempfile.TemporaryDirectory(dir=self.where.parent, prefix=".tensorboard.") as name:
            temporary = Path(name) / "run"
            _write_events(entry, temporary)
            shutil.rmtree(target, ignore_errors=True)
            temporary.rename(target)


def _write_events(entry: Entry, where: Path) -> None:
    writer: Any = SummaryWriter(str(where))
    try:
        for step, values in entry.steps:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
        columns = {**entry.params, **entry.settings}
        hparams: Any = summaries.hparams
        for summary in hparams(columns, dict(entry.scores)):
            writer.file_writer.add_summary(summary)
        for name, value in entry.scores.items():
            writer.add_scalar(name, value, len(entry.steps))
        if entry.failure is not None:
            writer.add_text("failure", entry.failure)
    finally:
        writer.close()
