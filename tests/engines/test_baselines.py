"""Rows that need no loss: a head in closed form is fitted to the training classes and scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.measure import linear_maps
from harness.protocol import plan, splits
from harness.records import records
from harness.schema import BASELINES, LDA, UNTRAINED, WHITENING, Diverged, Part, Run
from harness.tables import pairs, table, table_text
from harness.training import network, train
from tests.made import TINY, comparable, images, run

STUDY = replace(TINY, freeze_trunk=True, repeats=2)


def part() -> Part:
    """Trainval images of eight classes: noise around a pattern of each."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (8, 1, 32, 32, 3))
    pixels = np.clip(patterns + rng.normal(0, 40, (8, 4, 32, 32, 3)), 0, 255)
    labels = np.repeat(np.arange(8), 4)
    return Part(pixels.reshape(32, 32, 32, 3).astype(np.uint8), np.arange(32), labels)


def run_of(loss: str, fold: int | None = 0) -> Run:
    stage = "complete" if fold is None else "repeat"
    epochs = (0, 0) if fold is None else None
    return Run(STUDY, "made", loss, stage, 3, {}, 0, repeat=0, fold=fold, epochs=epochs)


def test_a_folds_head_is_the_map_of_its_training_classes_features_alone():
    made = part()
    fold = splits.fold(made.labels, STUDY.fold_layout, folds=STUDY.folds, number=0)
    training = train.start(run_of(LDA), made, torch.device("cpu"))
    plain = train.start(run_of(UNTRAINED), made, torch.device("cpu")).network
    plain.head, plain.dim = torch.nn.Identity(), plain.features
    x = network.embed(plain, made, STUDY, torch.device("cpu")).double().numpy()
    seen = fold.train
    expected = linear_maps.discriminants(x[seen], made.labels[seen], STUDY.dim)
    embedded = network.embed(training.network, made, STUDY, torch.device("cpu")).numpy()
    np.testing.assert_allclose(embedded, (x - expected.mean) @ expected.weight.T, atol=1e-3)


def test_a_complete_runs_head_has_the_complete_dimension():
    training = train.start(run_of(WHITENING, fold=None), part(), torch.device("cpu"))
    embedded = network.embed(training.network, part(), STUDY, torch.device("cpu"))
    assert embedded.shape == (32, STUDY.complete_dim)


def test_features_without_variation_within_classes_are_a_failure_that_says_so():
    made = part()
    same = replace(made, images=np.repeat(made.images[::4], 4, axis=0))
    with pytest.raises(Diverged, match="lda is not defined: no two features of a class differ"):
        train.start(run_of(LDA), same, torch.device("cpu"))


def test_baselines_that_are_asked_for_are_rows_below_the_losses_and_in_no_test(tmp_path):
    notes: list[object] = []
    folder = images(tmp_path / "tiny")
    jobs = run(
        STUDY,
        folder,
        tmp_path / "results",
        losses=("contrastive", LDA, WHITENING),
        notify=lambda *note: notes.append(note),
    )
    by_loss = {job.loss: list(records.read(job.path).records) for job in jobs}
    assert set(by_loss) == {"contrastive", *BASELINES}
    for name in BASELINES:
        assert {record.stage for record in by_loss[name]} == {"repeat", "ensemble", "complete"}
        assert {record.epochs for record in by_loss[name]} == {(0, 0)}
        assert not [record.failure for record in by_loss[name] if record.failure]
        assert plan.progress(STUDY, name, by_loss[name]).finished
    rows = table.table(STUDY, "tiny", by_loss)
    assert rows.rows[0].loss == "contrastive"
    text = table_text.markdown(rows)
    assert "lda: linear discriminants of the trunk's features, fitted to the training" in text
    scores = pairs.scores_by_loss(STUDY, by_loss, category="complete", metric="map_at_r")
    assert list(scores) == ["contrastive"]


def test_a_closed_form_is_the_same_again(tmp_path):
    folder = images(tmp_path / "tiny")
    first, again = (
        [
            record
            for job in run(STUDY, folder, tmp_path / name, losses=(LDA,))
            for record in records.read(job.path).records
        ]
        for name in ("one", "two")
    )
    assert comparable(first) == comparable(again)
