"""Runs in Weights & Biases: offline unless WANDB_MODE says otherwise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import wandb

from harness.schema import Problem
from harness.trackers.entry import Entry

MODES = ("offline", "online", "shared", "disabled")
PROJECT = "metric_learning_reality_check"


class WandB:
    """Runs of a project, grouped by dataset and loss; W&B's own variables say which and where."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.mode: Any = os.environ.get("WANDB_MODE", "offline")
        self.project = os.environ.get("WANDB_PROJECT", PROJECT)
        if self.mode not in MODES:
            raise Problem(f"--log wandb: WANDB_MODE is {self.mode!r}; give {' or '.join(MODES)}")
        if self.mode == "online" and wandb.api.api_key is None:
            raise Problem(
                "--log wandb: WANDB_MODE is online and there is no key; run `wandb login`, or "
                "leave WANDB_MODE out to write offline"
            )

    @property
    def place(self) -> str:
        """Where the runs lie and how to look at them."""
        if self.mode == "offline":
            runs = self.where / "wandb" / "offline-run-*"
            return (
                f"{self.where}; upload it with: wandb sync {runs} (WANDB_MODE=online does at once)"
            )
        return f"project {self.project} ({self.mode})"

    def write(self, entry: Entry) -> None:
        """Write a run under the entry's identifier, which is the run's own at W&B too."""
        for left_behind in self.where.glob(f"wandb/*run-*-{entry.identifier}"):
            shutil.rmtree(left_behind)
        self.where.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            dir=self.where,
            mode=self.mode,
            project=self.project,
            id=entry.identifier,
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",
            name=f"{entry.loss} {entry.key}",
            group=entry.group,
            job_type=entry.stage,
            tags=[tag[:64] for tag in (entry.loss, entry.dataset, entry.stage)],
            config={**entry.settings, "params": dict(entry.params)},
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True
            ),
        )
        for step, values in entry.steps:
            run.log(dict(values), step=step)
        run.summary.update({**entry.scores, "failure": entry.failure})
        run.finish(exit_code=0 if entry.failure is None else 1)
