"""Heads on features: the same as with the frozen trunk in the loop, and as a loop by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.commands.bench import bare_loop
from harness.protocol import batches
from harness.schema import Features, Part, Run, Study
from harness.seeds import seed_from
from harness.training import frozen, network, train
from tests.made import TINY, fit

CPU = torch.device("cpu")
ON_FEATURES = replace(
    TINY,
    trunk="features:24",
    weights="made up",
    freeze_trunk=True,
    iterations=None,
    max_epochs=3,
    patience=9,
    followup=False,
    classes_per_batch=3,
    images_per_class=2,
    lr=1e-3,
    loss_lr=1e-2,
)


def made_up(dim: int = 24, dtype: type = np.float32, augmented: int = 0) -> Part:
    """Features of 12 classes of 3 to 6 images around centres of their own."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), rng.integers(3, 7, 12))
    rows = (rng.normal(size=(12, dim))[labels] + rng.normal(size=(len(labels), dim))).astype(dtype)
    crops = rng.normal(size=(len(labels), augmented, dim)).astype(dtype) if augmented else None
    return Part(Features(rows, "made up", crops), np.arange(len(labels)), labels)


def a_run(loss: str, study: Study = ON_FEATURES) -> Run:
    params = {"temperature": 1.0} if loss == "euclidean_softmax" else {}
    return Run(
        study=study,
        dataset="made",
        loss=loss,
        stage="search",
        seed=5,
        params=params,
        trial=0,
        fold=1,
    )


@pytest.mark.parametrize("loss", ["contrastive", "proxy_anchor", "euclidean_softmax"])
def test_training_on_features_is_the_loop_by_hand_in_float64(loss, float64):
    trainval, run = made_up(dtype=np.float64), a_run(loss)
    task = bare_loop.task_of(run, trainval)
    rng = np.random.default_rng(seed_from(run.seed, "batches"))

    def sampler():
        return batches.epoch_batches(task.labels.numpy(), classes=3, per_class=2, rng=rng)

    by_hand = bare_loop.train(run, task, 3, sampler)
    training = fit(run, trainval)
    assert [entry["map_at_r"] for entry in training.state.curve] == pytest.approx(by_hand, abs=1e-9)
    assert len(set(by_hand)) > 1


def images() -> Part:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(10), 4)
    patterns = rng.integers(0, 255, (10, 20, 20, 1))
    noisy = np.clip(patterns[labels] + rng.normal(0, 60, (40, 20, 20, 1)), 0, 255)
    return Part(noisy.astype(np.uint8), np.arange(40), labels)


FROZEN = replace(
    ON_FEATURES,
    trunk="convnet",
    weights="none",
    crop=16,
    resize=20,
    train_crop="centre_crop",
    flip=0.0,
)


def of_images(study: Study, part: Part) -> Part:
    out = np.empty((len(part.images), network.trunk_of(study).features), np.float32)
    frozen.compute(study, part.images, CPU, lambda _line: None, out=out)
    return replace(part, images=Features(out, "computed"))


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_features_computed_once_give_what_the_frozen_trunk_in_the_loop_gives(head):
    study = replace(FROZEN, head=head, head_width=32)
    part, run = images(), a_run("contrastive", study)
    in_loop, on_features = fit(run, part), fit(run, of_images(study, part))
    for name in ("loss", "map_at_r"):
        expected = [entry[name] for entry in in_loop.state.curve]
        assert [entry[name] for entry in on_features.state.curve] == pytest.approx(
            expected, abs=1e-5
        )
    heads = zip(
        in_loop.network.head.parameters(), on_features.network.head.parameters(), strict=True
    )
    for one, other in heads:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    assert list(on_features.network.trunk.parameters()) == []


def test_computing_features_leaves_the_draws_of_a_run_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    of_images(FROZEN, images())
    assert torch.equal(torch.rand(4), expected)


def test_a_frozen_trunk_without_weights_is_the_same_in_every_run_and_its_head_is_not():
    nets = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        nets.append(network.build(FROZEN, 8, 1))
    one, two = nets
    pairs = zip(one.trunk.parameters(), two.trunk.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.head.weight, two.head.weight)


def test_training_draws_among_the_random_crops_and_evaluation_takes_the_centre():
    part = made_up(augmented=3)
    training = train.start(a_run("contrastive"), part, CPU)
    features = part.images
    seen: dict[int, set[int]] = {}
    chosen = np.arange(len(training.train))
    for _ in range(40):
        rows, _ = train.load_batch(training, chosen)
        for place, row in zip(training.train.index, rows.numpy(), strict=True):
            same = (features.augmented[place] == row).all(1)
            assert same.sum() == 1
            seen.setdefault(int(place), set()).add(int(same.argmax()))
    assert all(copies == {0, 1, 2} for copies in seen.values())
    embedded = network.embed(training.network, training.held_out, ON_FEATURES, CPU)
    rows = torch.from_numpy(features.rows[training.held_out.index])
    with torch.no_grad():
        torch.testing.assert_close(embedded, training.network(rows))


def test_embedding_in_pieces_changes_nothing(monkeypatch):
    part = made_up()
    torch.manual_seed(0)
    model = network.build(ON_FEATURES, 8, None)
    whole = network.embed(model, part, ON_FEATURES, CPU)
    monkeypatch.setattr(network, "ROWS", 7)
    pieces = network.embed(model, part, replace(ON_FEATURES, evaluate_batch=5), CPU)
    torch.testing.assert_close(pieces, whole)


@pytest.mark.parametrize(("head", "expected"), [("linear", 2 * 600), ("mlp", 2 * 300)])
def test_the_initial_norm_of_a_head_is_known_from_the_study_alone(head, expected):
    study = replace(ON_FEATURES, trunk="features:600", head=head, head_width=300)
    assert network.initial_norm(study) ** 2 == pytest.approx(expected)
    torch.manual_seed(0)
    squares = []
    for _ in range(20):
        embedded = network.build(study, 64, None)(torch.randn(16, 600))
        squares.append(embedded.square().sum(1).mean().item())
    assert np.mean(squares) == pytest.approx(expected, rel=0.05)


def test_an_mlp_has_one_hidden_layer_of_the_stated_width():
    head = network.build(replace(ON_FEATURES, head="mlp", head_width=7), 8, None).head
    assert [tuple(p.shape) for p in head.parameters()] == [(7, 24), (7,), (8, 7), (8,)]


def test_whole_studies_on_features_say_so_and_studies_on_images_keep_their_digest():
    part = made_up()
    dataset = type("D", (), {"images": part.images})()
    study = TINY.on(dataset)
    assert (study.trunk, study.weights, study.freeze_trunk) == ("features:24", "made up", True)
    assert study.trains_head_alone
    assert TINY.on(type("D", (), {"images": images().images})()) is TINY
    assert study.digest() != TINY.digest()
    assert not replace(FROZEN, flip=0.5).trains_head_alone
    assert not replace(FROZEN, freeze_trunk=False).trains_head_alone
