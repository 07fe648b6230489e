"""Trunks with folded BatchNorm: the plain trunk's embeddings, of the weights that it has now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.records import records
from harness.schema import Part, Study
from harness.tables.table_caption import precision_of
from harness.training import network
from harness.training.folded_batch_norm import Folding
from tests import made as tiny

CPU = torch.device("cpu")
LARGE = {"resnet50": 53, "bn_inception": 69}  # BatchNorm layers, each behind a convolution
SMALL = {"convnet": 4, "resnet18": 20}


def trained(trunk: str) -> nn.Module:
    """A trunk in float64 and evaluation mode whose BatchNorm is far from doing nothing."""
    torch.manual_seed(0)
    study = Study(name="x", trunk=trunk, weights="none", crop=64, resize=64)
    model = network.build(study, 16, 3).trunk.double().eval()
    shake(model)
    return model


def shake(trunk: nn.Module) -> None:
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, dtype=torch.float64)


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference, in units of the largest value."""
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize(("trunk", "norms"), [*SMALL.items(), *LARGE.items()])
def test_a_folded_trunk_gives_the_plain_ones_features_in_float64_without_any_batch_norm(
    trunk, norms
):
    plain = trained(trunk)
    folding = Folding(plain)
    assert len(folding.pairs) == norms
    with torch.inference_mode():
        seen = images()
        folded = folding.folded()
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
        before = plain(seen)
        assert 0 < apart(folded(seen), before) < 1e-12
        shake(plain)  # as another epoch would
        after = plain(seen)
        assert apart(after, before) > 1e-3
        assert apart(folding.folded()(seen), after) < 1e-12
    assert sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules()) == norms


class Branched(nn.Module):
    """A convolution whose output its BatchNorm does not read alone, and a BatchNorm without one."""

    def __init__(self) -> None:
        super().__init__()
        self.read_twice = nn.Conv2d(3, 3, 3, padding=1)
        self.first = nn.BatchNorm2d(3)
        self.second = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        convolved = self.read_twice(images)
        result: Tensor = self.second(convolved + self.first(convolved))
        return result


def test_batch_norm_that_cannot_be_folded_stays_and_follows_the_trunk():
    torch.manual_seed(0)
    plain = Branched().double().eval()
    folding = Folding(plain)
    assert folding.pairs == []
    for _ in range(2):
        shake(plain)
        with torch.inference_mode():
            assert torch.equal(folding.folded()(seen := images()), plain(seen))


def test_embed_folds_where_the_study_says_so_and_leaves_network_and_state_as_they_were():
    study = Study(
        name="x", trunk="convnet", weights="none", crop=32, resize=32, train_crop="none", flip=0.0
    )
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 32, 32, 1)).astype(np.uint8)
    part = Part(pixels, np.arange(40), np.arange(40) // 4)
    embeddings = {}
    for folds in (False, True):
        torch.manual_seed(0)
        changed = replace(study, fold_batch_norm=folds)
        model = network.build(changed, 16, 1)
        shake(model.trunk)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        embeddings[folds] = network.embed(model, part, changed, CPU)
        assert model.training
        assert list(model.state_dict()) == list(state)
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not torch.equal(embeddings[True], embeddings[False]), "nothing was folded"
    torch.testing.assert_close(embeddings[True], embeddings[False], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_study_that_folds_scores_like_the_plain_one_and_every_record_and_table_says_so(
    tmp_path, float64
):
    folder = tiny.images(tmp_path / "images")
    small = replace(tiny.TINY, trials=1)
    results = {}
    for folds in (False, True):
        study = replace(small, fold_batch_norm=folds)
        (job, _) = tiny.run(study, folder, tmp_path / str(folds), losses=("contrastive",))
        lines = records.read(job.path).records
        assert {record.provenance["fold_batch_norm"] for record in lines} == {folds}
        assert ("BatchNorm folded" in precision_of(study)) is folds
        results[folds] = {record.key: record for record in lines}
    assert set(results[True]) == set(results[False])
    for key, record in results[False].items():
        assert record.failure is None
        for name, score in record.scores.items():
            assert results[True][key].scores[name] == pytest.approx(score, abs=1e-9)
