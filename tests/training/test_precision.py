"""What a device can do, and what a study that asks for more is precisions and given instead."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.schema import Problem, Study
from harness.training import precision
from tests import made as tiny

CPU = torch.device("cpu")
STUDY = Study(name="x", trunk="convnet", weights="none", crop=32, resize=32)


@pytest.fixture
def tf32(monkeypatch):
    """A device that has TF32, and the process's setting as it was afterwards."""
    before = torch.backends.cudnn.conv.fp32_precision
    monkeypatch.setattr(precision, "has_tf32", lambda _device: True)
    yield
    precision.set_tf32(in_convolutions=before == "tf32")


@pytest.mark.parametrize("name", ["tf32", "bf16"])
def test_a_device_without_a_precision_is_told_and_fp32_used_and_another_left_alone(
    monkeypatch, name
):
    study = Study(name="x", precision=name, per_dataset={"cub": {"precision": name}})
    monkeypatch.setattr(precision, f"has_{name}", lambda _device: False)
    changed, lines = precision.adapt_to_device(study, CPU)
    assert {changed.precision, changed.for_dataset("cub").precision} == {"fp32"}
    (line,) = lines
    assert f"asks for {name}" in line
    assert "fp32 is used instead" in line
    plain = replace(study, precision="fp32", per_dataset={})
    assert precision.adapt_to_device(plain, CPU) == (plain, ())
    monkeypatch.setattr(precision, f"has_{name}", lambda _device: True)
    assert precision.adapt_to_device(study, CPU) == (study, ())


def test_a_precision_that_is_there_stays_for_the_dataset_that_asks_for_it(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda _device: True)
    study = Study(name="x", precision="tf32", per_dataset={"cub": {"precision": "bf16"}})
    changed, lines = precision.adapt_to_device(study, CPU)
    assert (changed.precision, changed.for_dataset("cub").precision) == ("fp32", "bf16")
    assert len(lines) == 1


def test_a_cpu_has_no_tf32_and_a_run_that_asks_for_it_there_is_refused():
    assert not precision.has_tf32(CPU)
    with pytest.raises(Problem, match=r'asks for tf32, .* has not; set precision to "fp32"'):
        precision.allow_tf32(replace(STUDY, precision="tf32"), CPU)


def test_convolutions_are_in_tf32_for_the_runs_that_say_so_and_for_no_other(tf32, tmp_path):
    folder = tiny.images(tmp_path / "images")
    for name, allowed in (("tf32", True), ("fp32", False)):
        changed = replace(tiny.TINY, precision=name, trials=1)
        jobs = tiny.run(changed, folder, tmp_path / name / "results", losses=("contrastive",))
        precisions = [record.provenance["precision"] for job in jobs for record in job.records]
        assert set(precisions) == {name}
        assert torch.backends.cudnn.conv.fp32_precision == ("tf32" if allowed else "ieee")
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"


def test_without_a_compiler_the_study_runs_as_it_stands_and_says_so(monkeypatch):
    study = replace(STUDY, per_dataset={"cub": {"compile": True}})
    monkeypatch.setattr(precision, "why_no_compiler", lambda _device: "NoCompiler: no c++ here")
    changed, (line,) = precision.adapt_to_device(study, CPU)
    assert changed.for_dataset("cub").compile is False
    assert "asks for torch.compile" in line
    assert "NoCompiler: no c++ here" in line
    assert precision.adapt_to_device(STUDY, CPU) == (STUDY, ())
    monkeypatch.setattr(precision, "why_no_compiler", lambda _device: None)
    assert precision.adapt_to_device(study, CPU) == (study, ())


def test_whatever_a_compiler_raises_is_the_reason_that_is_told(monkeypatch):
    def fails(_function):
        raise RuntimeError("no g++ found\nand much more")

    precision.why_no_compiler.cache_clear()
    monkeypatch.setattr(torch, "compile", fails)
    assert precision.why_no_compiler(CPU) == "RuntimeError: no g++ found"
    precision.why_no_compiler.cache_clear()
