"""The loop: two phases, the plateau, divergence, checkpoints, and no way to the test classes."""

from __future__ import annotations

import importlib
import inspect
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.schema import Diverged, Part, Problem, Run, Stopped
from harness.training import checkpoints, network, train
from harness.training.train import State, _plateaued, fit
from tests.made import TINY

CPU = torch.device("cpu")
STUDY = replace(TINY, resize=16, crop=16, max_epochs=4, followup_max_epochs=3, patience=1)


def made(classes: int = 8, per_class: int = 6) -> Part:
    """Images of 16 px that tell their class by a pattern under noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), per_class)
    patterns = rng.integers(0, 255, (classes, 16, 16, 1))
    noisy = patterns[labels] + rng.normal(0, 60, (len(labels), 16, 16, 1))
    return Part(np.clip(noisy, 0, 255).astype(np.uint8), np.arange(len(labels)), labels)


def run(**changes) -> Run:
    params = {"lr": 1e-3, "loss_lr": 1e-2, "followup_lr_ratio": 0.1, "temperature": 1.0}
    fields = {
        "study": STUDY,
        "dataset": "made",
        "loss": "euclidean_softmax",
        "stage": "search",
        "seed": 5,
        "params": params,
        "trial": 0,
        "fold": 0,
    }
    return Run(**(fields | changes))


def weights(trained: train.Trained) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in trained.network.state_dict().values()]


def test_the_same_run_gives_bitwise_the_same_model_and_another_seed_another():
    one, two, other = (fit(run(seed=s), made(), CPU, lambda _: None) for s in (5, 5, 6))
    assert one.curve == two.curve
    assert all(map(torch.equal, weights(one), weights(two)))
    assert not all(map(torch.equal, weights(one), weights(other)))


def test_the_kept_model_is_the_one_with_the_best_held_out_score():
    trained = fit(run(study=replace(STUDY, max_epochs=6, patience=6)), made(), CPU, lambda _: None)
    scores = [entry["map_at_r"] for entry in trained.curve]
    assert trained.scores["map_at_r"] == max(scores)
    normal = [entry for entry in trained.curve if entry["phase"] == "normal"]
    best = max(normal, key=lambda entry: (entry["map_at_r"], -entry["epoch"]))
    assert trained.epochs[0] == best["epoch"]


def test_a_phase_ends_once_the_best_epoch_lies_further_back_than_the_patience():
    study = replace(STUDY, patience=2)
    held = made()
    assert not _plateaued(State(epoch=5, best_epoch=3), study, held)
    assert _plateaued(State(epoch=6, best_epoch=3), study, held)
    assert not _plateaued(State(epoch=60, best_epoch=3), study, None)


def test_no_epoch_after_the_plateau_is_trained():
    study = replace(STUDY, max_epochs=30, followup=False, patience=1, lr=1e-12)
    trained = fit(run(study=study, params={"lr": 1e-12, "temperature": 1.0, "loss_lr": 1e-12}),
                  made(), CPU, lambda _: None)  # fmt: skip
    assert len(trained.curve) - trained.epochs[0] == study.patience + 1


def test_a_complete_run_trains_the_epochs_it_is_given_on_every_class_at_its_own_dimension():
    trained = fit(
        run(stage="complete", fold=None, repeat=0, epochs=(3, 2)), made(), CPU, lambda _: None
    )
    assert [entry["phase"] for entry in trained.curve] == ["normal"] * 3 + ["followup"] * 2
    assert trained.epochs == (3, 2)
    assert trained.scores == {}
    assert trained.network.head.out_features == STUDY.complete_dim


def test_the_followup_phase_changes_the_params_and_lowers_the_learning_rates():
    module = importlib.import_module("losses.warped")
    params = {
        "lr": 1e-3,
        "loss_lr": 1e-2,
        "followup_lr_ratio": 0.1,
        "alpha": 8.0,
        "k1": 0.5,
        "followup_k1": 0.9,
        "followup_alpha_ratio": 0.25,
    }
    model = nn.Linear(3, 8)
    first = train._models(run(params=params, loss="warped"), module, model, 6, 0)
    with torch.no_grad():
        first["loss"].proxies.fill_(3.0)
    later = train._models(run(params=params, loss="warped"), module, model, 6, 1)
    train._load(later, train._snapshot(first))
    assert (later["loss"].k1, later["loss"].alpha) == (0.9, 2.0)
    assert torch.equal(later["loss"].proxies, torch.full((6, 8), 3.0))
    rates = [group["lr"] for group in later["optimiser"].param_groups]
    assert rates == pytest.approx([1e-4, 1e-3])


def test_values_that_stop_being_finite_are_a_divergence():
    params = {"lr": 1e25, "loss_lr": 1e25, "followup_lr_ratio": 0.1, "temperature": 1.0}
    with pytest.raises(Diverged):
        fit(run(params=params), made(), CPU, lambda _: None)


class Fussy(nn.Module):
    """A loss, infinite for what is finite, that cannot compute with what is not."""

    def forward(self, embeddings, labels):
        if not torch.isfinite(embeddings).all():
            raise RuntimeError("the eigenvalues did not converge")
        return embeddings.sum() / 0


class Careless(nn.Module):
    """A loss, infinite for what is finite, that takes embeddings as they come."""

    def forward(self, embeddings, labels):
        return embeddings[labels].abs().sum() / 0


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (math.nan, "embeddings became NaN"),
        (math.inf, "embeddings became NaN"),
        (1.0, "the loss became inf"),
    ],
)
def test_a_divergence_says_whether_embeddings_or_the_loss_stopped_being_finite(first, told):
    embeddings = torch.ones(4, 2)
    embeddings[0, 0] = first
    for loss in (Fussy(), Careless()):
        with pytest.raises(Diverged, match=told):
            train._checked(loss, embeddings, torch.arange(4))


def test_an_error_of_a_loss_on_sound_embeddings_is_its_own():
    with pytest.raises(IndexError):
        train._checked(Careless(), torch.ones(4, 2), torch.arange(4, 8))


class Waits(TorchDispatchMode):
    """Counts how often a number is fetched from the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimiser", ["rmsprop", "sgd"])  # adam counts its steps on the host
def test_a_step_waits_for_the_device_twice_to_check_the_batch_and_to_learn_the_loss(optimiser):
    study = replace(STUDY, optimiser=optimiser, clip_gradient=1.0)
    part, rng, own = made(), np.random.default_rng(0), run(study=study)
    module = importlib.import_module(f"losses.{own.loss}")
    model = network.build(study, study.dim, channels=1)
    models = train._models(own, module, model, part.n_classes, phase=0)
    order = train._batches(study, module, part, rng)
    with Waits() as waits:
        train._epoch(module, models, part, order, own, rng)
    assert waits.count == 2 * len(order) > 2


def test_a_loss_that_needs_pairs_refuses_batches_of_one_image_a_class():
    study = replace(STUDY, images_per_class=1)
    params = {"lr": 1e-3, "followup_lr_ratio": 0.1}
    with pytest.raises(Problem, match="needs 2 images of a class"):
        fit(run(study=study, loss="contrastive", params=params), made(), CPU, lambda _: None)


class Stop(BaseException):
    """Stands for whatever ends a process between two epochs."""


@pytest.mark.parametrize("stage", ["search", "complete"])
@pytest.mark.parametrize("after", [1, 3, 5])
@pytest.mark.parametrize("loss", ["warped", "contrastive"])
def test_a_run_stopped_after_any_epoch_goes_on_from_its_checkpoint_to_the_same_result(
    tmp_path, monkeypatch, stage, after, loss
):
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", -1.0)
    params = {"lr": 1e-3, "followup_lr_ratio": 0.1}
    if loss == "warped":
        params |= {"loss_lr": 1e-2, "followup_k1": 0.9, "alpha": 3.0}
    changes = {"loss": loss, "params": params, "stage": stage}
    changes["study"] = replace(STUDY, patience=9)
    if stage == "complete":
        changes |= {"fold": None, "repeat": 0, "epochs": (4, 3)}
    whole = fit(run(**changes), made(), CPU, lambda _: None)

    heard = 0

    def stop(_entry):
        nonlocal heard
        heard += 1
        if heard == after + 1:
            raise Stop

    path = tmp_path / "state"
    with pytest.raises(Stop):
        fit(run(**changes), made(), CPU, stop, path)
    torch.manual_seed(99)
    entries: list[object] = []
    resumed = fit(run(**changes), made(), CPU, entries.append, path)
    assert len(entries) < len(whole.curve), "it started afresh"
    assert resumed.curve == whole.curve
    assert resumed.scores == whole.scores
    assert resumed.epochs == whole.epochs
    assert all(map(torch.equal, weights(resumed), weights(whole)))


def test_the_seconds_of_a_stopped_run_add_up_over_its_attempts(tmp_path, monkeypatch):
    """A clock of the test's own: an epoch takes it ten seconds, and nothing else takes any."""
    now = 0.0
    monkeypatch.setattr(train.time, "monotonic", lambda: now)

    def tell(_entry):
        nonlocal now
        now += 10.0

    params = {"lr": 1e-3, "followup_lr_ratio": 0.1}
    one = run(loss="contrastive", params=params, study=replace(STUDY, patience=9))
    path = tmp_path / "state"
    for _ in range(2):
        with pytest.raises(Stopped):
            fit(one, made(), CPU, tell, path, lambda: True)
        now += 1000.0  # between two attempts
    resumed = fit(one, made(), CPU, tell, path)
    assert resumed.earlier_seconds == 20.0


def test_a_run_asked_to_stop_after_every_epoch_keeps_each_and_ends_with_the_same_result(tmp_path):
    params = {"lr": 1e-3, "followup_lr_ratio": 0.1}
    one = run(loss="contrastive", params=params, study=replace(STUDY, patience=9))
    whole = fit(one, made(), CPU, lambda _: None)
    path = tmp_path / "state"
    stops = 0
    while True:
        try:
            resumed = fit(one, made(), CPU, lambda _: None, path, lambda: True)
        except Stopped:
            stops += 1
        else:
            break
    assert stops == len(whole.curve)
    assert resumed.curve == whole.curve
    assert resumed.scores == whole.scores
    assert all(map(torch.equal, weights(resumed), weights(whole)))


def test_a_checkpoint_of_another_run_or_a_torn_one_is_not_used(tmp_path):
    path = tmp_path / "state"
    rng = np.random.default_rng(0)
    checkpoints.write(path, run(), {"state": {}}, rng)
    assert checkpoints.read(path, run()) is not None
    assert checkpoints.read(path, run(seed=6)) is None
    assert checkpoints.read(path, run(params={"lr": 2.0})) is None
    path.write_bytes(path.read_bytes()[:-100])
    assert checkpoints.read(path, run()) is None


def test_training_is_given_the_trainval_part_and_knows_no_dataset():
    assert "Dataset" not in inspect.getsource(train)
    assert "test_part" not in inspect.getsource(train)
    hints = inspect.signature(fit).parameters
    assert str(hints["trainval"].annotation) == "Part"
