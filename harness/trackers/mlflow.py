"""Runs in MLflow: at MLFLOW_TRACKING_URI, or in files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from harness.trackers.entry import Entry

MOST_METRICS, MOST_PARAMS = 1000, 100  # in a call of log_batch, by MLflow's interface
MOST_CHARACTERS = 500  # of a param's value or a tag's, which every version of MLflow takes
TAG = "reality_check.identifier"


class MLflow:
    """Runs of the experiment STUDY/DATASET, with dataset, loss and stage as tags to group by."""

    def __init__(self, where: Path) -> None:
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or where.absolute().as_uri()
        if self.uri.startswith("file:"):
            # MLflow 3 asks whether files are really wanted in place of a database.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        # By default MLflow tries a server that does not answer for four minutes, each call anew.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        self.client = MlflowClient(tracking_uri=self.uri)
        self.experiments: dict[str, str] = {}

    @property
    def place(self) -> str:
        """Where the runs lie and how to look at them."""
        return f"{self.uri}; look at it with: mlflow ui --backend-store-uri {self.uri}"

    def write(self, entry: Entry) -> None:
        """Write a run, once what an interrupted attempt at it left behind is deleted."""
        experiment = self._experiment(f"{entry.study}/{entry.dataset}")
        for run in self.client.search_runs([experiment], f"tags.`{TAG}` = '{entry.identifier}'"):
            self.client.delete_run(run.info.run_id)
        tags = {TAG: entry.identifier, **{k: str(v) for k, v in entry.settings.items()}}
        run = self.client.create_run(
            experiment,
            run_name=f"{entry.loss} {entry.key}",
            tags={name: value[:MOST_CHARACTERS] for name, value in tags.items()},
        )
        self._log(run.info.run_id, entry)
        status = "FINISHED" if entry.failure is None else "FAILED"
        self.client.set_terminated(run.info.run_id, status=status)

    def _log(self, run_id: str, entry: Entry) -> None:
        """Log params and metrics, in calls of the size that MLflow takes."""
        params = [Param(k, str(v)[:MOST_CHARACTERS]) for k, v in entry.params.items()]
        for start in range(0, len(params), MOST_PARAMS):
            self.client.log_batch(run_id, params=params[start : start + MOST_PARAMS])
        metrics = list(_metrics(entry))
        for start in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(run_id, metrics=metrics[start : start + MOST_METRICS])

    def _experiment(self, name: str) -> str:
        """The identifier of the experiment of that name, which is made where there is none."""
        if name not in self.experiments:
            existing = self.client.get_experiment_by_name(name)
            self.experiments[name] = (
                self.client.create_experiment(name) if existing is None else existing.experiment_id
            )
        return self.experiments[name]


def _metrics(entry: Entry) -> Iterator[Metric]:
    """The curve's values at their steps, the final scores at the last one."""
    now = int(1000 * time.time())
    for step, values in entry.steps:
        for name, value in values.items():
            yield Metric(name, value, now, step)
    for name, value in entry.scores.items():
        yield Metric(name, value, now, len(entry.steps))
