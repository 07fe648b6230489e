"""One run to its record: what a training is handed, how it stops, what its seconds are."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from harness import files
from harness.data import datasets
from harness.engines import execute
from harness.engines.execute import Places
from harness.protocol import splits
from harness.records import folder
from harness.schema import POOL, Dataset, Problem, Run, Stopped
from harness.training import train
from tests.made import TINY, fit, images
from tests.twins import retrieval as twins

PARAMS = {"lr": 1e-3, "followup_lr_ratio": 0.1}
STUDY = replace(TINY, patience=9)
OPTIMISM = replace(
    STUDY,
    name="optimism",
    protocol="optimism",
    followup=False,
    followup_max_epochs=0,
    pool_images_per_class=2,
)


def test_a_process_that_conducts_or_executes_imports_nothing_that_most_runs_never_use():
    """Each took seconds of every worker's start, and of every command's that reads a study."""
    program = (
        "import sys, harness.engines.conductor, harness.engines.execute, harness.engines.local\n"
        "print(*sys.modules)"
    )
    words = [sys.executable, "-c", program]
    imported = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    seldom = {"sklearn", "scipy.stats", "torchvision", "torch._dynamo", "timm", "pandas"}
    assert seldom & set(imported) == set()


def test_a_record_s_test_scores_leave_out_what_the_dataset_leaves_out_of_galleries():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(6), 8)
    made = Dataset(
        "made",
        np.zeros((48, 1, 1, 3), np.uint8),
        labels,
        labels >= 3,
        list("abcdef"),
        "none",
        is_query=rng.random(48) < 0.5,
        is_gallery=rng.random(48) < 0.8,
        groups=rng.integers(-1, 3, 48),
    )
    test = splits.test_part(made, "official")
    embedded = rng.normal(size=(24, 4)).astype(np.float32)
    run = run_of("made", "complete", study=replace(STUDY, recall_at=(1, 4)))
    scores, by_class = execute.test_scores(run, torch.from_numpy(embedded), test, made)
    expected = twins.retrieval_scores_with_galleries(
        embedded,
        labels[24:].tolist(),
        is_query=made.is_query[24:].tolist(),
        is_gallery=made.is_gallery[24:].tolist(),
        groups=made.groups[24:].tolist(),
        ks=[1, 4],
    )
    assert scores == pytest.approx(expected, abs=1e-12)
    assert sum(by_class["map_at_r"]) / sum(by_class["queries"]) == pytest.approx(scores["map_at_r"])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> str:
    return f"folder:{images(tmp_path_factory.mktemp('images') / 'tiny')}"


@pytest.fixture
def places(tmp_path) -> Places:
    return Places(tmp_path / "results", tmp_path / "data")


def run_of(dataset: str, stage: str = "search", **changes) -> Run:
    study = OPTIMISM if stage == POOL else STUDY
    fields = {
        "study": study,
        "dataset": dataset,
        "loss": "contrastive",
        "stage": stage,
        "seed": 3,
        "params": PARAMS,
        "trial": 0,
        "fold": 0 if stage in ("search", "repeat", POOL) else None,
        "epochs": (1, 1) if stage == "complete" else None,
        "repeat": None if stage in ("search", POOL) else 0,
    }
    return Run(**(fields | changes))


@pytest.mark.parametrize("stage", ["search", "repeat", "complete", POOL])
def test_no_training_is_handed_test_images(dataset, places, monkeypatch, stage):
    parts = []
    real = train.start_on

    def start_on(run, trained, held_out, device):
        parts.extend([trained, held_out])
        return real(run, trained, held_out, device)

    monkeypatch.setattr(train, "start_on", start_on)
    assert execute.execute(run_of(dataset, stage), places).failure is None
    loaded = datasets.load(dataset, places.data, STUDY.resize)
    test = set(splits.test_part(loaded, "official").index.tolist())
    trained, held_out = parts
    assert not test & set(trained.index.tolist())
    if stage == "complete":
        assert held_out is None
    else:
        assert not test & set(held_out.index.tolist())


@pytest.mark.parametrize(("stage", "times"), [("search", 0), ("repeat", 1), ("complete", 1)])
def test_the_test_part_is_built_once_by_a_final_run_and_never_by_a_search_run(
    dataset, places, monkeypatch, stage, times
):
    calls = []
    real = splits.test_part
    monkeypatch.setattr(splits, "test_part", lambda *rest: calls.append(rest) or real(*rest))
    execute.execute(run_of(dataset, stage), places)
    assert len(calls) == times


def test_a_run_asked_to_stop_after_every_epoch_keeps_each_and_ends_with_the_same_record(
    dataset, places
):
    run = run_of(dataset)
    uninterrupted = execute.execute(run, places)
    epochs = [("normal", 1), ("normal", 2), ("followup", 1)]
    assert [(entry["phase"], entry["epoch"]) for entry in uninterrupted.curve] == epochs
    for phase, epoch in epochs:
        calls = iter([False])
        with pytest.raises(Stopped, match=f"after {phase} epoch {epoch}"):
            execute.execute(run, places, lambda calls=calls: next(calls, True))
        assert folder.checkpoint_path(places.results, run).exists()
    record = execute.execute(run, places)
    assert replace(record, seconds=0.0) == replace(uninterrupted, seconds=0.0)
    assert not folder.checkpoint_path(places.results, run).exists()
    assert not folder.progress_path(places.results, run).exists()


def test_a_run_asked_to_stop_before_it_began_does_nothing(dataset, places):
    with pytest.raises(Stopped, match="before it began"):
        execute.execute(run_of(dataset), places, lambda: True)
    assert not places.results.exists()


def test_the_seconds_of_a_stopped_run_add_up_over_its_attempts(dataset, places, monkeypatch):
    """A clock of the test's own: an epoch takes it ten seconds, and nothing else takes any."""
    clock = 0.0
    real = train.epochs

    def epochs(training):
        nonlocal clock
        for epoch in real(training):
            clock += 10.0
            yield epoch

    monkeypatch.setattr(execute.time, "perf_counter", lambda: clock)
    monkeypatch.setattr(train, "epochs", epochs)
    run = run_of(dataset)
    for _ in range(2):
        calls = iter([False])
        with pytest.raises(Stopped):
            execute.execute(run, places, lambda calls=calls: next(calls, True))
        clock += 1000.0  # between two attempts
    record = execute.execute(run, places)
    assert record.seconds == 10.0 * len(record.curve) > 20.0


def test_a_search_run_s_record_holds_what_its_training_ended_with(dataset, places):
    run = run_of(dataset)
    record = execute.execute(run, places)
    loaded = datasets.load(dataset, places.data, STUDY.resize)
    training = fit(run, splits.trainval_part(loaded, "official"))
    state = training.state
    assert (record.scores, list(record.curve)) == (state.scores, state.curve)
    assert record.epochs == training.epochs_behind
    assert record.epochs_run == tuple(state.epochs_run.values())
    assert record.capped == bool(state.capped)
    assert record.by_class is None


def test_the_fold_of_an_ensemble_whose_embeddings_were_lost_is_trained_again(dataset, places):
    run = run_of(dataset, "ensemble")
    first = execute.execute(run, places)
    paths = sorted(folder.work_folder(places.results, run).glob("repeat-*.npz"))
    assert len(paths) == STUDY.folds
    before = [np.load(path)["embeddings"] for path in paths]
    paths[1].unlink()
    second = execute.execute(run, places)
    assert second.scores == first.scores
    assert all(
        np.array_equal(np.load(path)["embeddings"], kept)
        for path, kept in zip(paths, before, strict=True)
    )


def test_embeddings_on_disk_that_are_not_what_the_fold_wrote_are_trained_again(
    dataset, places, caplog
):
    run = run_of(dataset, "ensemble")
    first = execute.execute(run, places)
    path = sorted(folder.work_folder(places.results, run).glob("repeat-*.npz"))[1]
    whole = path.read_bytes()
    with np.load(path) as arrays:
        fields = dict(arrays)
    random = np.random.default_rng(0).normal(size=fields["embeddings"].shape).astype(np.float32)
    caplog.set_level("INFO", logger="harness")
    for changed in (
        {"embeddings": random},  # as the version before wrote it
        fields | {"embeddings": random},
        fields | {"owner": np.array(str(fields["owner"]).replace("repeat", "reseat"))},
        b"",
        b"PK\x03\x04 garbage",
        whole[:-100],
    ):
        if isinstance(changed, bytes):
            path.write_bytes(changed)
        else:
            np.savez(path, **changed)
        caplog.clear()
        assert execute.execute(run, places).scores == first.scores
        assert "fold 1 is trained again" in caplog.text
        with np.load(path) as arrays:
            assert np.array_equal(arrays["embeddings"], fields["embeddings"])


class Awkward(Exception):
    """Cannot be made again from its arguments, as a pickle would."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ValueError("no such thing\nsecond line"), "ValueError: no such thing second line"),
        (SystemExit(0), "SystemExit: 0"),
        (Awkward(1, 2), "Awkward: 1 2"),
        (MemoryError(), "OutOfMemoryError: "),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "OutOfMemoryError: Default"),
    ],
)
def test_whatever_a_loss_raises_is_a_failure_that_names_it(
    dataset, places, monkeypatch, error, failure
):
    def epochs(training):
        raise error
        yield

    monkeypatch.setattr(train, "epochs", epochs)
    record = execute.execute(run_of(dataset), places)
    assert str(record.failure).startswith(failure)
    assert record.scores == {}
    assert record.provenance["study"] == STUDY.digest()


@pytest.mark.parametrize("raised", ["SystemExit(-1)", "ValueError('timed-out too many times')"])
def test_what_a_scheduler_s_signal_handler_raises_is_no_failure_and_keeps_the_checkpoint(
    dataset, places, monkeypatch, raised
):
    run = run_of(dataset, "complete")
    names: dict[str, Any] = {}
    source, where = (
        f"def handle():\n    raise {raised}",
        "packages/submitit/core/job_environment.py",
    )
    handler = compile(source, where, "exec")
    exec(handler, names)
    epochs = train.epochs

    def interrupted(training):
        yield from itertools.islice(epochs(training), 1)
        names["handle"]()

    monkeypatch.setattr(execute, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(execute, "CHECKPOINT_COST", 0)
    monkeypatch.setattr(train, "epochs", interrupted)
    with pytest.raises((SystemExit, ValueError)):
        execute.execute(run, places)
    assert folder.checkpoint_path(places.results, run).exists()


def test_a_disk_that_is_full_is_a_problem_and_leaves_the_run_to_the_next_start(
    dataset, places, monkeypatch
):
    def full(*_words, **_named):
        raise OSError(28, "No space left on device")

    datasets.load(dataset, places.data, STUDY.resize)  # its cache is not what is tried here
    monkeypatch.setattr(files.os, "replace", full)
    monkeypatch.setattr(execute, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(execute, "CHECKPOINT_COST", 0)
    with pytest.raises(Problem, match=r"No space left on device.*the same command carries on"):
        execute.execute(run_of(dataset), places)
    monkeypatch.undo()
    assert execute.execute(run_of(dataset), places).failure is None


def test_embeddings_that_are_not_finite_are_a_failure_that_names_the_classes(
    dataset, places, monkeypatch
):
    real = execute.embeddings.network.embed

    def embed(model, part, study, device):
        return real(model, part, study, device) * torch.nan

    monkeypatch.setattr(execute.embeddings.network, "embed", embed)
    for stage, classes in (("search", "held-out"), ("complete", "test")):
        record = execute.execute(run_of(dataset, stage), places)
        assert (
            record.failure == f"Diverged: embeddings of the {classes} classes are NaN or infinite"
        )
        assert record.scores == {}
