"""Trunks by torch.compile: the same training but for rounding, or a line that says why not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.records import folder, records
from harness.schema import Study
from harness.tables.table_caption import precision_of
from harness.training import network, precision
from tests import made as tiny

CPU = torch.device("cpu")
STUDY = Study(name="x", trunk="convnet", weights="none", crop=32, resize=32)


@pytest.fixture
def compiler(tmp_path_factory, monkeypatch):
    """A compiler with a cache of its own, or a skip that says why there is none."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
    why = precision.why_no_compiler(CPU)
    if why is not None:
        pytest.skip(f"torch.compile does not work here: {why}")


def built(study: Study) -> network.Network:
    torch.manual_seed(0)
    return network.build(study, 16, 1)


def images() -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (32, 1, 32, 32)).astype(np.float32))


def gradients(model: network.Network) -> Tensor:
    """The trunk's gradient in float64, as one vector.

    Not in float32: there, rounding moves a near-tie of the max pool to its other pixel now and
    then, compiled or not, which changes a gradient by per cents.
    """
    trunk = model.trunk.double()
    feature_map = (model.compiled or trunk)((images().double() - 127.5) / 73.9)
    weight = torch.linspace(-1, 1, feature_map.numel(), dtype=torch.float64)
    (feature_map.flatten() * weight).sum().backward()
    return torch.cat([p.grad.flatten() for p in trunk.parameters() if p.grad is not None])


@pytest.mark.slow
def test_a_compiled_trunk_has_the_plain_ones_state_embeddings_and_gradients(compiler):
    plain, compiled = built(STUDY), built(replace(STUDY, compile=True))
    assert list(compiled.state_dict()) == list(plain.state_dict())
    assert len(list(compiled.parameters())) == len(list(plain.parameters()))
    torch.testing.assert_close(compiled(images()), plain(images()), rtol=1e-3, atol=1e-3)
    for name, value in plain.state_dict().items():  # the running statistics moved alike
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-4, atol=1e-4)
    compiled.load_state_dict(plain.state_dict())
    assert torch.equal(compiled.eval()(images()), plain.eval()(images()))
    expected, gradient = gradients(plain.train()), gradients(compiled.train())
    assert not torch.equal(gradient, expected), "nothing was compiled"
    assert float((gradient - expected).norm() / expected.norm()) < 1e-12


@pytest.mark.slow
def test_a_study_with_compile_ends_as_the_plain_one_and_every_record_says_what_it_was(
    compiler, tmp_path, float64
):
    folder = tiny.images(tmp_path / "images")
    small = replace(tiny.TINY, trials=1)
    results = {}
    for name, study in {"plain": small, "compiled": replace(small, compile=True)}.items():
        (job, _) = tiny.run(study, folder, tmp_path / name, losses=("contrastive",))
        lines = records.read(job.path).records
        assert {record.provenance["compile"] for record in lines} == {study.compile}
        assert all(record.failure is None for record in lines)
        results[name] = {record.key: record for record in lines}
    assert set(results["compiled"]) == set(results["plain"])
    for key, record in results["plain"].items():
        compiled = results["compiled"][key]
        assert compiled.scores == pytest.approx(record.scores, abs=1e-9)
        for before, after in zip(record.curve, compiled.curve, strict=True):
            assert after["loss"] == pytest.approx(before["loss"], abs=1e-9)


def test_compile_shapes_a_run_and_studies_from_before_it_keep_their_digest():
    assert replace(STUDY, compile=True).digest() != STUDY.digest()
    description = json.loads(json.dumps(folder.describe(STUDY, "made", "made", "f")))
    assert description["study"]["compile"] is False
    assert precision_of(STUDY) == "fp32"
    assert precision_of(replace(STUDY, compile=True)) == "fp32, trunk compiled by torch.compile"
