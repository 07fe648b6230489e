"""The loop: two phases, the plateau, divergence, checkpoints, and no way to the test classes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.schema import Diverged, Problem
from harness.training import checkpoints, embeddings, norms, train
from tests.made import fit
from tests.training.patterned import CPU, STUDY, images, run
from tests.twins import retrieval as twins

LIGHT = {"lr": 1e-3, "followup_lr_ratio": 0.1}


def weights(training: train.Training) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in training.network.state_dict().values()]


def test_the_same_run_gives_bitwise_the_same_model_and_another_seed_another():
    one, two, other = (fit(run(seed=s), images()) for s in (5, 5, 6))
    assert one.state.curve == two.state.curve
    assert all(map(torch.equal, weights(one), weights(two)))
    assert not all(map(torch.equal, weights(one), weights(other)))


def test_the_kept_model_is_the_one_with_the_best_held_out_score():
    state = fit(run(study=replace(STUDY, max_epochs=6, patience=6)), images()).state
    scores = [entry["map_at_r"] for entry in state.curve]
    assert state.scores["map_at_r"] == max(scores)
    normal = [entry for entry in state.curve if entry["phase"] == "normal"]
    best = max(normal, key=lambda entry: (entry["map_at_r"], -entry["epoch"]))
    assert state.best["normal"].epoch == best["epoch"]


def test_held_out_scores_leave_matches_of_the_query_s_group_out():
    part = images()
    cameras = np.arange(len(part.labels)) % 2
    trainval = replace(part, groups=cameras)
    training = fit(run(study=replace(STUDY, max_epochs=1, followup=False)), trainval)
    held_out = training.held_out
    assert held_out is not None
    embedded = embeddings.for_retrieval(
        training.network, held_out, training.run, CPU, classes="held-out"
    )
    everyone = [True] * len(held_out)
    expected = twins.retrieval_scores_with_galleries(
        embedded.numpy(),
        held_out.labels.tolist(),
        is_query=everyone,
        is_gallery=everyone,
        groups=cameras[held_out.index].tolist(),
        ks=[1],
    )
    assert training.state.scores["map_at_r"] == pytest.approx(expected["map_at_r"], abs=1e-12)


def at(epoch: int, best: int) -> train.State:
    state = train.State(epoch=epoch)
    state.best["normal"].epoch = best
    return state


def test_a_phase_ends_once_the_best_epoch_lies_further_back_than_the_patience():
    study = replace(STUDY, patience=2)
    held_out = images()
    assert not train.plateaued(at(epoch=5, best=3), study, held_out)
    assert train.plateaued(at(epoch=6, best=3), study, held_out)
    assert not train.plateaued(at(epoch=60, best=3), study, None)


@given(
    every=st.integers(1, 6),
    patience=st.integers(0, 6),
    limit=st.integers(1, 12),
    scores=st.lists(st.floats(0, 1), min_size=24, max_size=24),
)
@settings(max_examples=40, deadline=None)
def test_every_phase_is_evaluated_and_ends_by_its_own_best(every, patience, limit, scores):
    """Against the rule written as a plain loop, with made-up scores instead of training."""
    study = replace(
        STUDY,
        iterations=1,
        evaluate_every=every,
        patience=patience,
        max_epochs=limit,
        followup_max_epochs=limit,
    )
    made_up = iter(scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "retrieval_scores", lambda *_, **__: {"map_at_r": next(made_up)})
        training = fit(run(study=study, loss="contrastive", params=LIGHT), images())
    expected, best, capped = [], {}, []
    left = iter(scores)
    for phase in train.PHASES:
        top, top_epoch = -math.inf, 0
        for epoch in range(1, limit + 1):
            entry = {"phase": phase, "epoch": epoch}
            if epoch % every == 0 or epoch == limit:
                entry["map_at_r"] = next(left)
                if entry["map_at_r"] > top:
                    top, top_epoch = entry["map_at_r"], epoch
            expected.append(entry)
            if epoch % every == 0 and epoch - top_epoch > patience:
                break
        else:
            capped.append(phase)
        best[phase] = (top, top_epoch)
    state = training.state
    names = ("phase", "epoch", "map_at_r")
    assert [{name: e[name] for name in names if name in e} for e in state.curve] == expected
    assert state.capped == capped
    kept_followup = best["followup"][0] > best["normal"][0]
    followup = best["followup"][1] if kept_followup else 0
    assert training.epochs_behind == (best["normal"][1], followup)
    assert state.scores == {"map_at_r": max(best["normal"][0], best["followup"][0])}
    ran = [sum(entry["phase"] == phase for entry in expected) for phase in train.PHASES]
    assert list(state.epochs_run.values()) == ran


def test_the_model_of_the_better_phase_is_kept():
    """The follow-up phase starts from the normal phase's best; it is thrown away if it is worse."""
    study = replace(STUDY, iterations=2, max_epochs=2, followup_max_epochs=2, patience=9)
    for followup, kept in ((0.2, ("normal", (2, 0))), (0.9, ("followup", (2, 1)))):
        made_up = iter([0.3, 0.5, followup, 0.1])
        states = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                train, "retrieval_scores", lambda *_, m=made_up, **__: {"map_at_r": next(m)}
            )
            training = train.start(
                run(study=study, loss="contrastive", params=LIGHT), images(), CPU
            )
            for _ in train.epochs(training):
                states.append(weights(training))
        assert (training.state.kept_phase, training.epochs_behind) == kept
        best = states[1] if kept[0] == "normal" else states[2]
        assert all(map(torch.equal, weights(training), best))


def test_an_older_version_s_rules_are_refused_with_the_way_out():
    with pytest.raises(Problem, match="has the rules 1 of an older version"):
        fit(run(study=replace(STUDY, rules=1)), images())


def test_complete_runs_may_scale_their_learning_rates_with_the_dimension():
    study = replace(STUDY, complete_lr_scale="sqrt_dim", dim=8, complete_dim=32)
    rates = {}
    for stage, fold in (("search", 0), ("complete", None)):
        changes = {"study": study, "stage": stage, "fold": fold, "repeat": 0, "epochs": (1, 0)}
        training = train.start(run(**changes), images(), CPU)
        rates[stage] = [group["lr"] for group in training.models.optimiser.param_groups]
    assert rates["search"] == pytest.approx([1e-3, 1e-2])
    assert rates["complete"] == pytest.approx([5e-4, 5e-3])


def test_no_epoch_after_the_plateau_is_trained():
    study = replace(STUDY, max_epochs=30, followup=False, patience=1, lr=1e-12)
    params = {"lr": 1e-12, "temperature": 1.0, "loss_lr": 1e-12}
    state = fit(run(study=study, params=params), images()).state
    assert len(state.curve) - state.best["normal"].epoch == study.patience + 1
    assert state.capped == []


def test_images_on_a_disk_are_told_the_next_batch_before_the_one_before_is_read():
    """Reading goes on while a step computes."""

    class OnDisk:
        def __init__(self, array):
            self.array, self.events = array, []

        def __len__(self):
            return len(self.array)

        def __getitem__(self, index):
            self.events.append(("read", int(index)))
            return self.array[index]

        def will_need(self, indices):
            self.events.append(("told", set(indices)))

    part = images()
    disk = OnDisk(part.images)
    study = replace(STUDY, max_epochs=1, followup=False, iterations=4, evaluate_every=5)
    training = train.start(run(study=study), replace(part, images=disk), CPU)
    disk.events.clear()  # the number of channels is known from the first image
    assert len(list(train.epochs(training))) == 1
    told = [place for place, (event, _) in enumerate(disk.events) if event == "told"]
    assert len(told) == study.iterations - 1
    size = study.classes_per_batch * study.images_per_class
    assert told == [place * (size + 1) for place in range(len(told))]
    for place in told:
        following = disk.events[place + size + 1 :]
        read = [index for event, index in following if event == "read"][:size]
        assert set(read) == disk.events[place][1]


def test_a_complete_run_trains_the_epochs_it_is_given_on_every_class_at_its_own_dimension():
    training = fit(run(stage="complete", fold=None, repeat=0, epochs=(3, 2)), images())
    phases = [entry["phase"] for entry in training.state.curve]
    assert phases == ["normal"] * 3 + ["followup"] * 2
    assert training.epochs_behind == (3, 2)
    assert training.state.scores == {}
    assert training.network.head.out_features == STUDY.complete_dim


def test_the_followup_phase_changes_the_params_and_lowers_the_learning_rates():
    params = {
        "lr": 1e-3,
        "loss_lr": 1e-2,
        "followup_lr_ratio": 0.1,
        "alpha": 8.0,
        "k1": 0.5,
        "followup_k1": 0.9,
        "followup_alpha_ratio": 0.25,
    }
    training = train.start(run(params=params, loss="warped", fold=None), images(), CPU)
    with torch.no_grad():
        training.models.loss.proxies.fill_(3.0)
    weights_before = weights(training)
    later = train.enter(training, "followup")
    assert (later.loss.k1, later.loss.alpha) == (0.9, 2.0)
    assert torch.equal(later.loss.proxies, torch.full((8, STUDY.dim), 3.0))
    assert all(map(torch.equal, weights(training), weights_before))
    rates = [group["lr"] for group in later.optimiser.param_groups]
    assert rates == pytest.approx([1e-4, 1e-3])


def test_values_that_stop_being_finite_are_a_divergence():
    params = {"lr": 1e25, "loss_lr": 1e25, "followup_lr_ratio": 0.1, "temperature": 1.0}
    with pytest.raises(Diverged):
        fit(run(params=params), images())


def test_the_curve_tells_the_norms_of_gradient_and_update_of_each_epoch_s_last_step():
    """Plain SGD moves by the learning rate times the gradient, clipped as it was."""
    study = replace(
        STUDY, optimiser="sgd", momentum=0.0, weight_decay=0.0, clip_gradient=1e-3, followup=False
    )
    params = {"lr": 0.25}
    state = fit(run(study=study, loss="contrastive", params=params), images()).state
    for entry in state.curve:
        assert entry["gradient_norm"] > 0
        assert entry["update_norm"] == pytest.approx(0.25 * entry["gradient_norm"], rel=1e-3)


def test_a_norm_that_is_not_finite_is_none_so_that_a_record_can_hold_it():
    parameter = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    before = norms.copies(optimiser)
    parameter.grad = torch.tensor([math.inf, 0.0, 0.0])
    assert norms.of_step(optimiser, before) == (None, 0.0)


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
    ("first", "reason"),
    [
        (math.nan, "embeddings became NaN"),
        (math.inf, "embeddings became NaN"),
        (1.0, "the loss became inf"),
    ],
)
def test_a_divergence_says_whether_embeddings_or_the_loss_stopped_being_finite(first, reason):
    embeddings = torch.ones(4, 2)
    embeddings[0, 0] = first
    for loss in (Fussy(), Careless()):
        with pytest.raises(Diverged, match=reason):
            train.finite_loss(loss, embeddings, torch.arange(4))


def test_an_error_of_a_loss_on_sound_embeddings_is_its_own():
    with pytest.raises(IndexError):
        train.finite_loss(Careless(), torch.ones(4, 2), torch.arange(4, 8))


class Waits(TorchDispatchMode):
    """Counts how often a number is fetched from the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimiser", ["rmsprop", "sgd"])  # adam counts its steps on the host
def test_a_step_waits_for_the_device_twice_to_check_the_batch_and_to_learn_the_loss(optimiser):
    counts = {}
    for steps in (2, 7):
        study = replace(STUDY, optimiser=optimiser, clip_gradient=1.0, iterations=steps)
        complete = run(study=study, stage="complete", fold=None, repeat=0, epochs=(1, 0))
        training = train.start(complete, images(), CPU)
        with Waits() as waits:
            next(train.epochs(training))
        counts[steps] = waits.count
    assert counts[7] - counts[2] == 2 * (7 - 2)


def test_a_loss_that_needs_pairs_refuses_batches_of_one_image_a_class():
    study = replace(STUDY, images_per_class=1)
    params = {"lr": 1e-3, "followup_lr_ratio": 0.1}
    with pytest.raises(Problem, match="needs 2 images of a class"):
        fit(run(study=study, loss="contrastive", params=params), images())


@pytest.mark.parametrize("stage", ["search", "complete"])
@pytest.mark.parametrize("after", [1, 3, 5])
@pytest.mark.parametrize("loss", ["warped", "contrastive"])
def test_a_run_stopped_after_any_epoch_goes_on_from_its_checkpoint_to_the_same_result(
    tmp_path, stage, after, loss
):
    params = {"lr": 1e-3, "followup_lr_ratio": 0.1}
    if loss == "warped":
        params |= {"loss_lr": 1e-2, "followup_k1": 0.9, "alpha": 3.0}
    changes = {"loss": loss, "params": params, "stage": stage}
    changes["study"] = replace(STUDY, patience=9)
    if stage == "complete":
        changes |= {"fold": None, "repeat": 0, "epochs": (4, 3)}
    uninterrupted = fit(run(**changes), images())

    path = tmp_path / "state"
    stopped = train.start(run(**changes), images(), CPU)
    for _ in itertools.islice(train.epochs(stopped), after):
        checkpoints.write(path, stopped, seconds=10.0 * after)
    torch.manual_seed(99)
    resumed = train.start(run(**changes), images(), CPU)
    assert checkpoints.resume(path, resumed) == 10.0 * after
    entries = list(train.epochs(resumed))
    assert len(entries) == len(uninterrupted.state.curve) - after
    assert resumed.state == uninterrupted.state
    assert all(map(torch.equal, weights(resumed), weights(uninterrupted)))


def test_a_checkpoint_of_another_run_a_torn_one_or_an_older_format_s_is_not_used(tmp_path):
    path = tmp_path / "state"
    training = train.start(run(), images(), CPU)
    next(train.epochs(training))
    checkpoints.write(path, training, seconds=3.0)

    def resumed(**changes) -> bool:
        fresh = train.start(run(**changes), images(), CPU)
        seconds = checkpoints.resume(path, fresh)
        assert (seconds > 0) == bool(fresh.state.curve)
        return seconds > 0

    params = dict(run().params)
    assert resumed()
    assert not resumed(seed=6)
    assert not resumed(params=params | {"lr": 2.0})
    content = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in content.items() if name != "format"}, path)
    assert not resumed()
    path.write_bytes(path.read_bytes()[:-100])
    assert not resumed()
