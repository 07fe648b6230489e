"""Studies of heads alone: features of images computed once, and files of features, end to end."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.data import datasets
from harness.engines import conductor, execute, frozen_features
from harness.engines.execute import Places
from harness.records import folder
from harness.schema import Features, Problem, run_of
from harness.training import frozen
from studies.smoke import STUDY as SMOKE
from tests.made import TINY, Inline, call, images, run

CPU = torch.device("cpu")
FROZEN = replace(TINY, freeze_trunk=True, train_crop="centre_crop", flip=0.0, search_repeats=1)
SHORT = replace(FROZEN, trials=1, repeats=2, max_epochs=1, followup=False)


def test_a_study_of_a_frozen_trunk_computes_its_features_once_and_trains_on_them(
    tmp_path, monkeypatch
):
    computed = []
    compute = frozen.compute
    monkeypatch.setattr(
        frozen, "compute", lambda *words, **named: computed.append(1) or compute(*words, **named)
    )
    jobs = run(SHORT, images(tmp_path / "pictures"), tmp_path / "results", losses=("contrastive",))
    assert computed == [1]
    assert [record.failure for job in jobs for record in job.records] == [None] * 28
    files = list((tmp_path / "data" / "cache").glob("features-*"))
    assert [path.suffix for path in files] == [".npy"]
    rows = np.load(files[0])
    assert rows.shape == (64, 128)
    assert np.isfinite(rows).all()


def dataset_of(tmp_path):
    return datasets.load(f"folder:{images(tmp_path / 'pictures')}", tmp_path, 32)


def test_a_file_belongs_to_the_images_the_trunk_and_how_it_is_used(tmp_path):
    dataset = dataset_of(tmp_path)
    stem = frozen_features.stem_of(dataset, FROZEN, CPU)
    others = [
        frozen_features.stem_of(dataset, replace(FROZEN, **changes), CPU)
        for changes in ({"pooling": "max"}, {"crop": 24}, {"trunk": "resnet18"})
    ]
    others.append(frozen_features.stem_of(replace(dataset, fingerprint="x"), FROZEN, CPU))
    assert len({stem, *others}) == 5
    assert stem == frozen_features.stem_of(dataset, replace(FROZEN, dim=3, lr=1e-4), CPU)


def test_an_interrupted_computation_leaves_nothing_and_two_at_once_compute_once(
    tmp_path, monkeypatch
):
    dataset, compute, computed = dataset_of(tmp_path), frozen.compute, []

    def interrupted(*_words, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr(frozen, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        frozen_features.of_dataset(dataset, FROZEN, tmp_path, CPU)
    assert not list((tmp_path / "cache").glob("*features-*"))

    def counted(*words, **named):
        computed.append(1)
        compute(*words, **named)

    monkeypatch.setattr(frozen, "compute", counted)
    results = []
    threads = [
        threading.Thread(
            target=lambda: results.append(
                frozen_features.of_dataset(dataset, FROZEN, tmp_path, CPU).images.rows
            )
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed == [1]
    assert len(results) == 3
    assert all(np.array_equal(rows, results[0]) for rows in results)


def test_a_disk_without_room_for_the_features_is_said_before_any_is_computed(tmp_path, monkeypatch):
    dataset = dataset_of(tmp_path)
    monkeypatch.setattr(frozen, "compute", lambda *_words, **_named: pytest.fail("computed"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1000))
    with pytest.raises(Problem, match=r"the file of its features needs 0\.00 GB more in .*cache"):
        frozen_features.of_dataset(dataset, FROZEN, tmp_path, CPU)
    with pytest.raises(Problem, match=r"its file of features needs 0\.00 GB more in .*here"):
        frozen_features.write_file(
            tmp_path / "here" / "f.npz", dataset, FROZEN, CPU, print, augmented=2
        )
    assert not list((tmp_path / "cache").glob("*features-*"))


@pytest.mark.parametrize("reserves", [True, False])
def test_a_file_has_all_of_its_bytes_on_the_disk_before_a_memory_map_writes_into_it(
    tmp_path, monkeypatch, reserves
):
    """Into a hole of a file on a full disk none can be written: the system ends the process."""
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    dataset, compute, on_disk = dataset_of(tmp_path), frozen.compute, []

    def measured(*words, **named):
        (temporary,) = (tmp_path / "cache").glob(".features-*")
        on_disk.append(temporary.stat().st_blocks * 512)
        compute(*words, **named)

    monkeypatch.setattr(frozen, "compute", measured)
    rows = frozen_features.of_dataset(dataset, FROZEN, tmp_path, CPU).images.rows
    assert on_disk[0] >= rows.nbytes > 0
    assert np.isfinite(rows).all()


def test_what_a_killed_computation_left_is_removed_by_the_next(tmp_path):
    dataset = dataset_of(tmp_path)
    stem = frozen_features.stem_of(dataset, FROZEN, CPU)
    left = tmp_path / "cache" / f".features-{stem}.npy.x7f"
    left.write_bytes(b"half")
    frozen_features.of_dataset(dataset, FROZEN, tmp_path, CPU)
    names = [path.name for path in (tmp_path / "cache").glob("*features-*")]
    assert names == [f"features-{stem}.npy"]


def test_a_file_that_was_changed_or_torn_is_computed_again(tmp_path, caplog):
    dataset = dataset_of(tmp_path)
    rows = np.array(frozen_features.of_dataset(dataset, FROZEN, tmp_path, CPU).images.rows)
    (path,) = (tmp_path / "cache").glob("features-*.npy")
    content = path.read_bytes()
    flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    for damaged in (flipped, content[:-7], content[:-32], b"", content + b"x"):
        path.write_bytes(damaged)
        again = frozen_features.of_dataset(dataset, FROZEN, tmp_path, CPU).images.rows
        assert np.array_equal(again, rows)
        assert path.read_bytes() == content
    assert caplog.text.count("is damaged; it is computed again") == 10  # also under the lock


def test_studies_that_train_more_than_a_head_keep_their_images(tmp_path):
    dataset = dataset_of(tmp_path)
    for study in (replace(FROZEN, freeze_trunk=False), replace(FROZEN, flip=0.5)):
        assert frozen_features.of_dataset(dataset, study, tmp_path, CPU) is dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file of features with its halves, and a whole study on it."""
    root = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(16), 4)
    rows = (rng.normal(size=(16, 20))[labels] + rng.normal(size=(64, 20))).astype(np.float32)
    path = root / "made.npz"
    np.savez(path, features=rows, labels=labels, is_test=labels < 8, origin="clip, 224 px")
    places = Places(root / "results", root / "data", "cpu", 1)
    lines: list[str] = []
    jobs = conductor.prepare(
        replace(SHORT, name="heads"),
        [f"features:{path}"],
        ["contrastive", "proxy_anchor"],
        results=places.results,
        data_root=places.data,
        notify=lambda event, *values: lines.append(str(values)) if event == "line" else None,
    )
    conductor.conduct(jobs, Inline(places), lambda *_: None)
    return path, places, jobs, lines


def test_records_of_features_say_whose_they_are_and_the_table_too(made):
    path, places, jobs, lines = made
    assert any("as the file says" in line for line in lines)
    for job in jobs:
        for record in job.records:
            assert record.failure is None
            assert record.provenance["weights"] == "clip, 224 px"
    where = folder.folder_of(places.results, "heads", f"features:{path}")
    description = json.loads((where / "study.json").read_text())
    assert description["study"]["trunk"] == "features:20"
    code, text, _ = call("table", "--results", places.results)
    assert code == 0
    assert "Network: frozen features of clip, 224 px; only a linear head is trained." in text


def test_records_of_features_are_checked_without_the_file_and_verified_with_it(made):
    path, places, _, _ = made
    hidden = path.with_name("elsewhere.npz")
    path.rename(hidden)
    try:
        code, text, error = call("check", "--results", places.results)
        assert code == 0, text + error
    finally:
        hidden.rename(path)
    name = f"heads/features:{path}/proxy_anchor"
    code, text, error = call("verify", name, "--results", places.results, "--data", places.data)
    assert code == 0, text + error
    assert "different" not in text


def test_a_study_of_a_file_is_not_taken_for_changed_because_it_ran_on_features(made, tmp_path):
    path, places, _, _ = made
    conductor.prepare(
        SMOKE,
        [f"features:{path}"],
        ["contrastive"],
        results=tmp_path,
        data_root=places.data,
        notify=lambda *_: None,
    )
    _, text, _ = call("check", "--results", tmp_path)
    assert "has no records" in text
    assert "STUDY" not in text


def test_other_features_never_join_the_records(made):
    path, places, _, _ = made
    content = path.read_bytes()
    with np.load(path) as arrays:
        changed = dict(arrays)
    changed["features"] = changed["features"] + np.float32(1)
    try:
        np.savez(path, **changed)
        datasets.load.cache_clear()
        with pytest.raises(Problem, match="fingerprint"):
            conductor.prepare(
                replace(SHORT, name="heads"),
                [f"features:{path}"],
                ["contrastive"],
                results=places.results,
                data_root=places.data,
                notify=lambda *_: None,
            )
    finally:
        path.write_bytes(content)
        datasets.load.cache_clear()


def test_progress_is_written_at_most_once_in_a_while(made, monkeypatch):
    _, places, jobs, _ = made
    search = next(record for record in jobs[1].records if record.stage == "search")
    longer = replace(jobs[1].study, max_epochs=5, patience=9)
    again = replace(run_of(jobs[1].study, search), study=longer)
    elsewhere = replace(places, results=places.results.parent / "other")
    path = folder.progress_path(elsewhere.results, again)

    def progress_after_epochs(seconds: float) -> list[str]:
        """What stands in the file whenever the run is asked whether it should stop."""
        monkeypatch.setattr(execute, "PROGRESS_SECONDS", seconds)
        texts: list[str] = []

        def stopping() -> bool:
            texts.append(path.read_text() if path.exists() else "")
            return False

        record = execute.execute(again, elsewhere, stopping)
        assert len(record.curve) == 5
        return texts[2:]  # asked before the run and after the first epoch: nothing is written yet

    assert len(set(progress_after_epochs(3600))) == 1
    assert len(set(progress_after_epochs(0))) == 4


def test_the_dataset_of_a_file_is_features_and_needs_no_cache(made):
    path, places, _, _ = made
    dataset = datasets.load(f"features:{path}", places.data, 0)
    assert isinstance(dataset.images, Features)
    assert frozen_features.of_dataset(dataset, FROZEN, places.data, CPU) is dataset
