"""What `study --json` prints of a run, an object a line; results/EVENTS.md holds the fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.schema import Record, Run


class Events:
    """Lines of JSON on the runs of a study: their start, their epochs, their end."""

    def __init__(
        self,
        write: Callable[[str], object],
        progress_of: Callable[[Run], Mapping[str, Any] | None],
    ) -> None:
        self.write, self.progress_of = write, progress_of
        self.last_epochs: dict[str, Mapping[str, Any]] = {}  # by the run's name

    def line(self, text: str) -> None:
        """What a terminal would get as a line."""
        self._write("line", text=text)

    def started(self, run: Run) -> None:
        """A run begins, or goes on from its checkpoint."""
        self._write("started", **_names(run), seed=run.seed, params=dict(run.params))

    def epochs(self, runs: Sequence[Run]) -> None:
        """The newest epoch of each run in flight, once."""
        for run in runs:
            progress, names = self.progress_of(run), _names(run)
            name = "/".join(str(names[part]) for part in ("study", "dataset", "loss", "key"))
            if progress is None or progress == self.last_epochs.get(name):
                continue
            self.last_epochs[name] = progress
            values = {k: v for k, v in progress.items() if k not in ("phase", "epoch", "of")}
            self._write(
                "epoch",
                **names,
                phase=progress["phase"],
                epoch=progress["epoch"],
                of=progress["of"],
                values=values,
            )

    def finished(self, record: Record) -> None:
        """A run has its record."""
        self.last_epochs.pop(record.name, None)
        self._write(
            "finished",
            **_names(record),
            seed=record.seed,
            params=dict(record.params),
            scores=dict(record.scores),
            diagnostics=dict(record.diagnostics or {}),
            epochs=list(record.epochs),
            failure=record.failure,
            seconds=round(record.seconds, 3),
        )

    def _write(self, event: str, **fields: Any) -> None:
        self.write(json.dumps({"event": event, **fields}) + "\n")


def _names(run: Run | Record) -> dict[str, Any]:
    """What names a run, in the words of records."""
    study = run.study if isinstance(run, Record) else run.study.name
    names = ("dataset", "loss", "stage", "key", "search_repeat", "trial", "repeat", "fold")
    return {"study": study, **{name: getattr(run, name) for name in names}}
