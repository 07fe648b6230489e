"""Diagnostics of final runs: of the right embeddings, of no others, and refused beforehand."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.data import datasets
from harness.engines import diagnostics as of_runs
from harness.measure import clustering, geometry
from harness.protocol import splits
from harness.records import records
from harness.schema import DIAGNOSTICS, UNTRAINED, Problem, run_of
from harness.seeds import seed_from
from harness.training import proxies, transforms
from tests.made import TINY, comparable, fit, images, run

NAMES = ("nmi", "uniformity", "spectral_decay", "avg_dtp")
LOSSES = ("warped", "contrastive")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return images(tmp_path_factory.mktemp("images") / "tiny")


@pytest.fixture(scope="module")
def jobs(folder, tmp_path_factory):
    study = replace(TINY, diagnostics=NAMES)
    results = tmp_path_factory.mktemp("with") / "results"
    return {job.loss: job for job in run(study, folder, results, losses=LOSSES)}


def of_stage(job, stage):
    return [record for record in records.read(job.path).records if record.stage == stage]


def test_final_runs_have_the_diagnostics_that_are_defined_and_searches_none(jobs):
    for loss, job in jobs.items():
        assert all(record.diagnostics is None for record in of_stage(job, "search"))
        for stage in ("repeat", "ensemble", "complete"):
            has_proxies = loss == "warped" and stage != "ensemble"
            names = set(NAMES) - (set() if has_proxies else {"avg_dtp"})
            assert len(of_stage(job, stage))
            assert all(set(record.diagnostics) == names for record in of_stage(job, stage))


def test_they_are_of_the_embeddings_that_the_scores_are_of(jobs):
    """A fold model's from its kept embeddings, an ensemble's from theirs joined."""
    job = jobs["contrastive"]
    labels = np.repeat(np.arange(8), 4)
    for ensemble in of_stage(job, "ensemble"):
        joined = []
        for record in of_stage(job, "repeat"):
            if record.repeat != ensemble.repeat:
                continue
            path = job.path.parent / "work" / "contrastive" / f"{record.key}.npz"
            rows = np.load(path)["embeddings"]
            unit = torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))
            uniformity = geometry.uniformity(unit)
            assert record.diagnostics["uniformity"] == pytest.approx(uniformity, rel=1e-4)
            nmi = clustering.agreement(rows, labels, seed=seed_from(record.seed, "k-means")).nmi
            assert record.diagnostics["nmi"] == pytest.approx(nmi, abs=1e-9)
            joined.append(unit)
        value = geometry.spectral_decay(torch.cat(joined, dim=1))
        assert ensemble.diagnostics["spectral_decay"] == pytest.approx(value, rel=1e-4)


def test_avg_dtp_is_the_distance_of_the_training_images_to_the_proxies_of_the_kept_model(
    jobs, folder, tmp_path
):
    job = jobs["warped"]
    record = of_stage(job, "complete")[0]
    dataset = datasets.load(record.dataset, tmp_path, TINY.resize)
    training = fit(run_of(job.study, record), splits.trainval_part(dataset, "official"))
    with torch.no_grad():
        batch = transforms.test_batch(
            dataset.images, training.train.index, TINY, torch.device("cpu")
        )
        rows = training.network.eval()(batch)
    own = training.models.loss.proxies.detach()[training.train.labels]
    by_hand = float((rows - own).norm(dim=1).mean())
    assert record.diagnostics["avg_dtp"] == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.slow
def test_they_change_nothing_else_of_a_record(jobs, folder, tmp_path):
    plain = {job.loss: job for job in run(TINY, folder, tmp_path / "results", losses=LOSSES)}
    for loss in (*LOSSES, UNTRAINED):
        described = [replace(r, diagnostics=None) for r in records.read(jobs[loss].path).records]
        lines = plain[loss].path.read_bytes()
        assert comparable(described) == comparable(list(records.read(plain[loss].path).records))
        assert b"diagnostics" not in lines


def test_a_study_may_go_on_with_others_and_earlier_records_lack_them(folder, tmp_path):
    results = tmp_path / "results"
    run(TINY, folder, results, losses=("contrastive",))
    more = replace(TINY, repeats=3, diagnostics=("uniformity",))
    assert more.digest() == TINY.digest()
    (job, _) = run(more, folder, results, losses=("contrastive",))
    complete = {record.repeat: record for record in of_stage(job, "complete")}
    has = {repeat: record.diagnostics is not None for repeat, record in complete.items()}
    assert has == {0: False, 1: False, 2: True}


def test_what_cannot_be_had_is_refused_before_anything_is_trained(folder, tmp_path, monkeypatch):
    study = replace(TINY, diagnostics=("verification_accuracy",))
    with pytest.raises(Problem, match="needs 20 test classes of two images or more, there are 8"):
        run(study, folder, tmp_path / "results")
    assert not list(tmp_path.rglob("*.jsonl"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    dataset = datasets.load(f"folder:{folder}", tmp_path, TINY.resize)
    with pytest.raises(Problem, match="python -m pip install faiss-cpu"):
        of_runs.check(replace(TINY, diagnostics=("nmi",)), dataset)
    of_runs.check(replace(TINY, diagnostics=("uniformity",)), dataset)


def test_an_unknown_diagnostic_is_refused_with_the_known_ones():
    with pytest.raises(Problem, match="no diagnostic 'nni'; did you mean 'nmi'"):
        replace(TINY, diagnostics=("nni",))


def test_losses_with_several_proxies_a_class_or_none_have_no_distance_to_them():
    from losses import contrastive, soft_triple, warped

    assert proxies.proxies_of(contrastive.Loss(n_classes=5, dim=3), 5) is None
    assert proxies.proxies_of(soft_triple.Loss(n_classes=5, dim=3), 5) is None
    one_each = warped.Loss(n_classes=5, dim=3)
    assert torch.equal(proxies.proxies_of(one_each, 5), one_each.proxies)
    assert set(DIAGNOSTICS) >= set(NAMES)
