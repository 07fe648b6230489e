"""Trunks by torch.compile: the same training but for rounding, or a line that says why not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.commands.bench import _missing, step
from harness.records import folder, records
from harness.schema import Study
from harness.tables.table_text import computed_in
from harness.training import network, precision
from tests import made as tiny

CPU = torch.device("cpu")
STUDY = Study(name="x", trunk="convnet", weights="none", crop=32, resize=32)


@pytest.fixture
def compiler(tmp_path_factory, monkeypatch):
    """A compiler with a cache of its own, or a skip that says why there is none."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
    why = precision.no_compiler(CPU)
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
    expected, found = gradients(plain.train()), gradients(compiled.train())
    assert not torch.equal(found, expected), "nothing was compiled"
    assert float((found - expected).norm() / expected.norm()) < 1e-12


@pytest.mark.slow
def test_a_study_with_compile_ends_as_the_plain_one_and_every_record_says_what_it_was(
    compiler, tmp_path
):
    folder = tiny.images(tmp_path / "images")
    small = replace(tiny.TINY, trials=1)
    found = {}
    for name, study in {"plain": small, "compiled": replace(small, compile=True)}.items():
        (job, _) = tiny.run(study, folder, tmp_path / name, losses=("contrastive",))
        told = records.read(job.path).records
        assert {record.provenance["compile"] for record in told} == {study.compile}
        assert all(record.failure is None for record in told)
        found[name] = {record.key: record for record in told}
    assert set(found["compiled"]) == set(found["plain"])
    for key, record in found["plain"].items():
        for before, after in zip(record.curve, found["compiled"][key].curve, strict=False):
            assert after["loss"] == pytest.approx(before["loss"], abs=0.05)


def test_bench_measures_a_compiled_step_where_it_can_and_else_says_why_not(monkeypatch):
    monkeypatch.setattr(step, "no_compiler", lambda _device: None)
    assert {case.trunk for case in step.cases(CPU) if case.compile} == {"convnet", "resnet50"}
    assert step.study_of(next(case for case in step.cases(CPU) if case.compile)).compile
    monkeypatch.setattr(step, "no_compiler", lambda _device: "no g++")
    assert not any(case.compile for case in step.cases(CPU))
    monkeypatch.setattr("harness.commands.bench.report.no_compiler", lambda _device: "no g++")
    assert any(
        "torch.compile: it does not work here (no g++)" in x for x in _missing({"step"}, CPU)
    )


def test_compile_shapes_a_run_and_studies_from_before_it_keep_their_digest():
    assert replace(STUDY, compile=True).digest() != STUDY.digest()
    told = json.loads(json.dumps(folder.describe(STUDY, "made", "made", "f")))
    assert told["study"]["compile"] is False
    assert computed_in(STUDY) == "fp32"
    assert computed_in(replace(STUDY, compile=True)) == "fp32, trunk compiled by torch.compile"
