"""Each tracker with its real package, offline: what is written is read back by the package."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.trackers.entry import entry_of
from tests.trackers.entries import record

SEARCHED = entry_of(record(0))
FAILED = entry_of(replace(record(1), failure="Diverged: the loss became nan", scores={}))
CURVE_MAP_AT_R = [(1, 0.25), (3, 0.5)]


def test_tensorboard_reads_curve_params_and_scores_of_every_run(tmp_path):
    reason = "TensorBoard is not tried: python -m pip install tensorboard"
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason=reason
    )
    from tensorboard.plugins.hparams import plugin_data_pb2 as pb2

    from harness.trackers.tensorboard import TensorBoard

    tracker = TensorBoard(tmp_path / "tensorboard")
    for entry in (SEARCHED, FAILED, SEARCHED):  # the last one again, after a kill
        tracker.write(entry)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    where = tmp_path / "tensorboard" / "tiny" / "glyphs" / "made"
    assert [path.parent for path in files] == [where / "search-t0-f0", where / "search-t0-f1"]
    events = accumulator.EventAccumulator(str(where / "search-t0-f0"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("curve/map_at_r")] == CURVE_MAP_AT_R
    (score,) = events.Scalars("held_out/map_at_r")
    assert score.value == pytest.approx(SEARCHED.scores["held_out/map_at_r"])
    data = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    params = pb2.HParamsPluginData.FromString(data).session_start_info.hparams
    assert params["lr"].number_value == 1e-4
    assert params["loss"].string_value == "made"


@pytest.mark.slow
def test_mlflow_reads_curve_params_and_scores_of_every_run_once(tmp_path, monkeypatch):
    reason = "MLflow is not tried: python -m pip install mlflow-skinny"
    mlflow = pytest.importorskip("mlflow", reason=reason)
    from harness.trackers.mlflow import MLflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = MLflow(tmp_path / "mlflow")
    for entry in (SEARCHED, FAILED):
        tracker.write(entry)
    tracker = MLflow(tmp_path / "mlflow")
    tracker.write(SEARCHED)  # once more, after a kill
    client = mlflow.MlflowClient((tmp_path / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("tiny/glyphs")
    runs = client.search_runs([experiment.experiment_id], "tags.loss = 'made'")
    by_key = {run.data.tags["key"]: run for run in runs}
    assert (len(runs), set(by_key)) == (2, {"search-t0-f0", "search-t0-f1"})
    run = by_key["search-t0-f0"]
    assert (run.data.params, run.info.status) == ({"x": "0.5", "lr": "0.0001"}, "FINISHED")
    history = client.get_metric_history(run.info.run_id, "curve/map_at_r")
    assert [(one.step, one.value) for one in history] == CURVE_MAP_AT_R
    assert run.data.metrics["held_out/map_at_r"] == SEARCHED.scores["held_out/map_at_r"]
    assert by_key["search-t0-f1"].info.status == "FAILED"


@pytest.mark.slow
def test_wandb_keeps_curve_params_and_scores_of_every_run_once_offline(tmp_path, monkeypatch):
    reason = "Weights & Biases is not tried: python -m pip install wandb"
    pytest.importorskip("wandb", reason=reason)
    from harness.trackers.wandb import WandB
    from tests.trackers.wandb_files import run_in

    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracker = WandB(tmp_path / "wandb")
    for entry in (SEARCHED, FAILED, SEARCHED):  # the last one again, after a kill
        tracker.write(entry)
    files = sorted((tmp_path / "wandb").rglob("*.wandb"))
    assert len(files) == 2
    (run,) = (run_in(path) for path in files if SEARCHED.identifier in path.name)
    assert (run.group, run.job_type, run.name) == ("glyphs/made", "search", "made search-t0-f0")
    assert run.config["params"] == {"x": 0.5, "lr": 1e-4}
    curve = [
        (row["_step"], row["curve/map_at_r"]) for row in run.history if "curve/map_at_r" in row
    ]
    assert curve == CURVE_MAP_AT_R
    assert run.summary["held_out/map_at_r"] == SEARCHED.scores["held_out/map_at_r"]


@pytest.mark.slow
def test_wandb_online_without_a_key_is_refused_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="Weights & Biases is not tried: pip install wandb")
    from harness.schema import Problem
    from harness.trackers.wandb import WandB

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(Problem, match="run `wandb login`"):
        WandB(tmp_path)
