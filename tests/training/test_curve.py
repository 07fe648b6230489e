"""What a study asks of the curve beside the held-out MAP@R, and that asking changes no training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data import datasets
from harness.engines.execute import Places, execute
from harness.protocol import splits
from harness.schema import Diverged, Part, Run
from harness.training import network, train
from tests.made import TINY, fit, images

PARAMS = {"lr": 1e-3, "loss_lr": 1e-2, "followup_lr_ratio": 0.1}
STUDY = replace(TINY, patience=9, followup=False, max_epochs=3)
ASKING = replace(STUDY, curve=("precision_at_1", "avg_dtp"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def trainval(folder, tmp_path_factory) -> Part:
    data = tmp_path_factory.mktemp("data")
    return splits.trainval_part(datasets.load(f"folder:{folder}", data, 32), "official")


def run_of(loss: str, study=ASKING, stage="repeat", dataset="made") -> Run:
    fold = 0 if stage == "repeat" else None
    epochs = (3, 0) if stage == "complete" else None
    made = {"stage": stage, "seed": 5, "params": PARAMS, "trial": 0, "repeat": 0}
    return Run(study=study, dataset=dataset, loss=loss, fold=fold, epochs=epochs, **made)


def test_asking_for_more_of_the_curve_changes_nothing_else_of_it(trainval):
    plain = fit(run_of("euclidean_softmax", STUDY), trainval).state.curve
    asked = fit(run_of("euclidean_softmax"), trainval).state.curve
    assert [set(entry) - set(before) for entry, before in zip(asked, plain, strict=True)] == [
        {"precision_at_1", "avg_dtp"}
    ] * 3
    assert [{name: entry[name] for name in plain[0]} for entry in asked] == plain


@pytest.mark.parametrize(("loss", "unit"), [("euclidean_softmax", False), ("proxy_nca_pp", True)])
def test_the_last_distance_is_that_of_the_images_to_their_proxies_as_the_loss_sees_both(
    trainval, loss, unit
):
    training = fit(run_of(loss, stage="complete"), trainval)
    assert training.models is not None
    raw = network.embed(training.network, trainval, STUDY, torch.device("cpu")).numpy()
    proxies = training.models.loss.proxies.detach().numpy()
    if unit:
        raw, proxies = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (raw, proxies))
    expected = np.linalg.norm(raw - proxies[trainval.labels], axis=1).mean()
    assert training.state.curve[-1]["avg_dtp"] == pytest.approx(expected, rel=1e-5)
    assert "map_at_r" not in training.state.curve[-1]


def test_a_loss_without_proxies_has_no_distance_to_them(trainval):
    curve = fit(run_of("contrastive"), trainval).state.curve
    assert all("precision_at_1" in entry and "avg_dtp" not in entry for entry in curve)


@pytest.mark.parametrize(("study", "kept"), [(ASKING, 2), (STUDY, 0)])
def test_a_run_that_diverges_keeps_its_curve_where_the_study_asks_for_one(
    folder, tmp_path, monkeypatch, study, kept
):
    finite, calls = train.finite_loss, []

    def diverging(*given):
        calls.append(1)
        if len(calls) > 2 * STUDY.iterations:
            raise Diverged("made up")
        return finite(*given)

    monkeypatch.setattr(train, "finite_loss", diverging)
    run = run_of("euclidean_softmax", study, "complete", f"folder:{folder}")
    record = execute(run, Places(tmp_path / "results", tmp_path / "data"))
    assert record.failure == "Diverged: made up"
    assert [entry["epoch"] for entry in record.curve] == list(range(1, kept + 1))
    assert all(entry["avg_dtp"] > 0 for entry in record.curve)
