"""The bench of heads on features measures both sides and records what ours trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from harness.commands.bench import bare_loop, features
from harness.commands.bench.timing import Setting
from harness.protocol.batches import epoch_batches
from tests.made import Inline


def test_it_times_as_many_runs_of_both(tmp_path, monkeypatch):
    small = {"IMAGES": 60, "CLASSES": 12, "DIM": 8, "EPOCHS": 2, "LOSSES": ("contrastive",)}
    for name, value in small.items():
        monkeypatch.setattr(features, name, value)
    study = replace(features.STUDY, max_epochs=2, patience=2, classes_per_batch=4)
    monkeypatch.setattr(features, "STUDY", study)
    trained, train = [], bare_loop.train

    def counted(run, *words):
        trained.append(run.fold)
        return train(run, *words)

    monkeypatch.setattr(bare_loop, "train", counted)
    monkeypatch.setattr(features, "Local", lambda places: Inline(places[0]))
    (item,) = features.measure(Setting(2, torch.device("cpu"), tmp_path, lambda _line: None))
    assert (len(item.ours), len(item.baseline), len(item.limit)) == (2, 2, 2)
    assert min(*item.ours, *item.baseline, *item.limit) > 0
    assert trained == [0, 1] * 3  # a round to warm up, and two
    (path,) = (tmp_path / "features").glob("bench/*/contrastive.jsonl")
    assert len(path.read_text().splitlines()) == features.RUNS


def test_the_bare_loop_has_as_many_batches_of_the_same_size():
    labels = np.repeat(np.arange(50), np.arange(50) % 7 + 3)
    study = replace(features.STUDY, classes_per_batch=8)
    run = type("Run", (), {"study": study, "seed": 1})()
    theirs = bare_loop.balanced(labels, run)()
    ours = epoch_batches(labels, classes=8, per_class=4, rng=np.random.default_rng(0))
    assert [len(batch) for batch in theirs] == [len(batch) for batch in ours]
    for batch in theirs:
        assert (np.unique(labels[batch], return_counts=True)[1] == 4).all()
