"""What bf16 does to the scores of a trained network, measured on glyphs that no training saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.data.datasets import load
from harness.measure.scores import retrieval_scores
from harness.protocol import splits
from harness.schema import Run, Study
from harness.training import network
from harness.training.embeddings import unit_length
from tests.made import fit

CPU = torch.device("cpu")
LR = 1e-4
STUDY = Study(
    name="short",
    trunk="convnet",
    weights="none",
    resize=32,
    crop=32,
    train_crop="none",
    flip=0.0,
    iterations=60,
    max_epochs=1,
    followup=False,
    lr=LR,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network trained for 60 batches in fp32, and every fourth image of the test half."""
    dataset = load("glyphs", tmp_path_factory.mktemp("data"), STUDY.resize)
    run = Run(STUDY, "glyphs", "multi_similarity", "search", 0, {"lr": LR}, trial=0, fold=0)
    trainval = splits.trainval_part(dataset, STUDY.halves)
    model = fit(run, trainval).network
    part = splits.test_part(dataset, STUDY.halves)
    return model, part.take(np.arange(0, len(part), 4))


@pytest.mark.slow
def test_a_trained_networks_scores_in_bf16_are_close_to_those_in_fp32_and_not_the_same_numbers(
    trained, record_testsuite_property
):
    model, part = trained
    results = {}
    for bf16 in (False, True):
        model.bf16 = bf16
        embeddings = network.embed(model, part, STUDY, CPU)
        assert embeddings.dtype == torch.float32
        unit = unit_length(embeddings)
        results[bf16] = unit, retrieval_scores(unit, torch.from_numpy(part.labels))
    model.bf16 = False
    names = ("map_at_r", "r_precision", "precision_at_1")
    apart = {name: results[True][1][name] - results[False][1][name] for name in names}
    for name, value in apart.items():
        record_testsuite_property(f"bf16 minus fp32, {name}", value)
    print(f"bf16 minus fp32 on {len(part)} test images: {apart}; fp32: {results[False][1]}")
    assert results[False][1]["map_at_r"] > 0.05  # trained: the untrained network's is below 0.01
    assert 1e-6 < float((results[True][0] - results[False][0]).abs().max()) < 0.05
    assert max(map(abs, apart.values())) < 0.01
