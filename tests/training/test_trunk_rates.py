"""A frozen trunk, and one that learns at another rate than the head."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.schema import Problem, Study
from harness.training import network, train
from tests.made import TINY, fit
from tests.training.patterned import CPU, images, run

STUDY = replace(TINY, resize=16, crop=16, max_epochs=2, followup_max_epochs=1, patience=1)


def started(study: Study, **changes: object) -> train.Training:
    training = train.start(run(study=study, **changes), images(), CPU)
    assert training.models is not None
    return training


def rates(training: train.Training) -> list[float]:
    return [group["lr"] for group in training.models.optimiser.param_groups]


def test_a_frozen_trunk_does_not_change_in_training_and_the_head_does():
    study = replace(STUDY, freeze_trunk=True)
    before = started(study).network.state_dict()
    before = {key: value.clone() for key, value in before.items()}
    training = fit(run(study=study), images())
    after = training.network.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert any(key.endswith("running_mean") for key in before)  # statistics are among what stays
    assert changed == {"head.weight", "head.bias"}


def test_a_frozen_trunk_is_in_no_optimiser_has_no_graph_and_always_evaluates():
    training = started(replace(STUDY, freeze_trunk=True))
    model = training.network
    trunk = set(map(id, model.trunk.parameters()))
    groups = training.models.optimiser.param_groups
    assert not any(id(each) in trunk for group in groups for each in group["params"])
    model.train()
    assert not any(module.training for module in model.trunk.modules())
    batch = torch.rand(4, 1, 16, 16) * 255
    assert model.pooled(model.trunk, batch).grad_fn is None
    assert model(batch).grad_fn is not None


def test_frozen_or_not_a_trunk_gives_the_same_embeddings_of_the_same_weights(tmp_path):
    state = network.build(STUDY, 8, 1).trunk.state_dict()
    torch.save(state, tmp_path / "net.pth")
    batch = torch.rand(4, 1, 16, 16) * 255
    embedded = []
    for frozen in (False, True):
        torch.manual_seed(0)
        study = replace(STUDY, weights=str(tmp_path / "net.pth"), freeze_trunk=frozen)
        built = network.build(study, 8, 1)
        built.head.weight.data.fill_(0.5)
        embedded.append(built.eval()(batch))
    assert torch.equal(*embedded)


def test_the_trunk_s_rate_is_a_multiple_of_the_head_s_in_both_phases_and_complete():
    study = replace(STUDY, trunk_lr_ratio=0.25)
    training = started(study)
    assert rates(training) == pytest.approx([0.25e-3, 1e-3, 1e-2])
    trunk, head = (group["params"] for group in training.models.optimiser.param_groups[:2])
    assert [*map(id, trunk)] == [*map(id, training.network.trunk.parameters())]
    assert [*map(id, head)] == [*map(id, training.network.head.parameters())]
    train.enter(training, "followup")
    assert rates(training) == pytest.approx([0.25e-4, 1e-4, 1e-3])
    study = replace(study, complete_lr_scale="sqrt_dim")  # dims 8 and 16
    complete = started(study, stage="complete", fold=None, epochs=(1, 1))
    assert rates(complete)[:2] == pytest.approx([0.25e-3 / 2**0.5, 1e-3 / 2**0.5])


def test_one_step_of_sgd_moves_the_trunk_by_the_ratio_and_the_head_as_ever():
    """Of plain SGD a parameter's step is its rate times its gradient."""
    steps = []
    for ratio in (1.0, 0.25):
        study = replace(
            STUDY, optimiser="sgd", momentum=0.0, weight_decay=0.0, trunk_lr_ratio=ratio
        )
        study = replace(study, iterations=1, max_epochs=1, followup=False)
        training = started(study)
        before = {key: value.clone() for key, value in training.network.named_parameters()}
        next(train.epochs(training))
        after = dict(training.network.named_parameters())
        steps.append({key: after[key].detach() - before[key] for key in before})
    plain, scaled = steps
    for key, step in plain.items():
        ratio = 0.25 if key.startswith("trunk.") else 1.0
        assert step.abs().max() > 0, key
        torch.testing.assert_close(scaled[key], ratio * step, rtol=1e-3, atol=1e-7)


def test_without_a_ratio_network_and_optimiser_are_as_they_were():
    assert len(rates(started(STUDY))) == 2  # network, loss
    assert replace(STUDY, trunk_lr_ratio=1.0, freeze_trunk=False).digest() == STUDY.digest()
    digests = {replace(STUDY, **{name: value}).digest() for name, value in CHANGES}
    assert len(digests | {STUDY.digest()}) == 3


CHANGES = (("trunk_lr_ratio", 0.1), ("freeze_trunk", True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trunk_lr_ratio": 0.0}, "trunk_lr_ratio = 0.0; a positive number is needed, and freeze_"),
        ({"trunk_lr_ratio": float("inf")}, "a positive number is needed"),
        ({"trunk_lr_ratio": 0.1, "freeze_trunk": True}, "which freeze_trunk = True does not train"),
        ({"trunk_lr_ratio": "0.1"}, "trunk_lr_ratio = '0.1' is not of the type float"),
        ({"freeze_trunk": 1}, "freeze_trunk = 1 is not of the type bool"),
    ],
)
def test_rates_that_make_no_sense_are_one_line(changes, message):
    with pytest.raises(Problem, match=message):
        replace(STUDY, **changes)
