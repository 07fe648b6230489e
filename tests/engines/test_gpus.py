"""GPUs without one: random states, TF32, shares of memory, alerts, devices, rounding."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.commands import engine_options, options
from harness.engines import alerts, execute, local, process
from harness.engines.execute import Places
from harness.schema import Part, Problem, Run, Study
from harness.training import checkpoints, precision, resized_crops, transforms
from harness.training.train import start
from tests.made import TINY, images, run

CPU = torch.device("cpu")


class Generators:
    """The random generators of a machine's GPUs, for torch.cuda's two functions of one device."""

    def __init__(self, monkeypatch, gpus: int) -> None:
        self.of = [torch.Generator().manual_seed(7) for _ in range(gpus)]
        monkeypatch.setattr(torch.cuda, "get_rng_state", lambda d: self.of[d.index].get_state())
        monkeypatch.setattr(
            torch.cuda, "set_rng_state", lambda state, d: self.of[d.index].set_state(state)
        )


def training_on(index: int):
    """A training whose device is said to be a GPU; nothing of it computes."""
    pictures = [np.zeros((32, 32, 3), np.uint8)] * 16
    part = Part(pictures, np.arange(16), np.repeat(np.arange(8), 2))
    study = replace(TINY, trunk="convnet", weights="none", resize=32, crop=32, folds=2)
    made = Run(
        study=study,
        dataset="made",
        loss="contrastive",
        stage="search",
        seed=5,
        params={"lr": 1e-3, "followup_lr_ratio": 0.1},
        trial=0,
        fold=0,
    )
    training = start(made, part, CPU)
    training.device = torch.device("cuda", index)
    return training


def test_a_run_goes_on_with_its_own_random_numbers_on_whichever_gpu_is_free(monkeypatch, tmp_path):
    first = Generators(monkeypatch, 2)
    torch.rand(5, generator=first.of[0])
    checkpoints.write(tmp_path / "state", training_on(0), seconds=1.0)
    expected = torch.rand(3, generator=first.of[0])
    second = Generators(monkeypatch, 2)
    untouched = second.of[0].get_state()
    assert checkpoints.resume(tmp_path / "state", training_on(1)) == 1.0
    assert torch.equal(torch.rand(3, generator=second.of[1]), expected)
    assert torch.equal(second.of[0].get_state(), untouched)


def test_a_run_goes_on_where_fewer_gpus_are_seen(monkeypatch, tmp_path):
    first = Generators(monkeypatch, 2)
    checkpoints.write(tmp_path / "state", training_on(1), seconds=1.0)
    expected = torch.rand(3, generator=first.of[1])
    only = Generators(monkeypatch, 1)
    assert checkpoints.resume(tmp_path / "state", training_on(0)) == 1.0
    assert torch.equal(torch.rand(3, generator=only.of[0]), expected)


def test_a_checkpoint_of_a_gpu_is_not_taken_up_by_a_cpu(monkeypatch, tmp_path):
    Generators(monkeypatch, 1)
    checkpoints.write(tmp_path / "state", training_on(0), seconds=1.0)
    on_cpu = training_on(0)
    on_cpu.device = CPU
    assert checkpoints.resume(tmp_path / "state", on_cpu) == 0.0


@pytest.mark.parametrize("wanted", [True, False])
def test_tf32_is_set_for_each_kind_of_operation_whatever_was_set_for_all(wanted):
    before = torch.backends.fp32_precision
    try:
        torch.backends.fp32_precision = "tf32"
        precision.set_tf32(in_convolutions=wanted)
        assert torch.backends.cudnn.conv.fp32_precision == ("tf32" if wanted else "ieee")
        assert torch.backends.cudnn.rnn.fp32_precision == ("tf32" if wanted else "ieee")
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    finally:
        torch.backends.fp32_precision = before
        precision.set_tf32(in_convolutions=False)


def test_a_gpu_beyond_those_that_torch_sees_is_refused_with_those_that_it_sees(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert options.device_named("cuda:1") == "cuda:1"
    assert options.device_named("cuda") == "cuda"
    with pytest.raises(Problem, match="device 'cuda:7' is not there; torch sees cuda:0, cuda:1"):
        options.device_named("cuda:7")


@pytest.mark.parametrize(
    ("devices", "per_gpu", "shares"),
    [(["0", "1"], None, [1.0, 1.0]), (["0"], 4, [0.25] * 4), (["0", "0"], None, [0.5, 0.5])],
)
def test_slots_on_one_gpu_divide_its_memory(monkeypatch, tmp_path, devices, per_gpu, shares):
    monkeypatch.setattr(options, "device_named", lambda name: name)
    monkeypatch.setattr(local, "Local", lambda places: places)
    given = argparse.Namespace(engine="local", devices=devices, workers=None, slots_per_gpu=per_gpu)
    slots = engine_options.open_engine(given, Places(tmp_path, tmp_path, "cuda"))
    assert [slot.gpu_share for slot in slots] == shares


def test_a_process_keeps_to_its_share_of_the_memory_and_a_whole_gpu_is_not_limited(monkeypatch):
    limits = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, d: limits.append((share, d))
    )
    threads = torch.get_num_threads()
    for device, share in (("cuda:1", 1.0), ("cuda:1", 0.5), ("cpu", 0.5)):
        process.prepare(Places(None, execute.Path(), device, threads, share))
    assert limits == [(0.5, torch.device("cuda", 1))]


def test_operations_that_torch_warns_of_are_named_and_other_warnings_are_shown():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with alerts.nondeterministic_operations() as names:
            warnings.warn(
                "cumsum_cuda_kernel does not have a deterministic implementation, but you set ...",
                stacklevel=1,
            )
            warnings.warn("something else", stacklevel=1)
    assert names == {"cumsum_cuda_kernel"}
    assert [str(one.message) for one in shown] == ["something else"]


def test_a_record_names_the_operations_that_may_give_other_numbers(tmp_path, monkeypatch):
    folder = images(tmp_path / "images")
    step = transforms.train_batch

    def warning_step(*arguments):
        warnings.warn("put_ does not have a deterministic implementation", stacklevel=1)
        return step(*arguments)

    monkeypatch.setattr(transforms, "train_batch", warning_step)
    jobs = run(
        replace(TINY, trials=1, repeats=2), folder, tmp_path / "results", losses=("triplet",)
    )
    [trained] = [job for job in jobs if job.loss == "triplet"]
    searched = [r for r in trained.records if r.stage == "search"]
    assert {tuple(r.provenance["nondeterministic"]) for r in searched} == {("put_",)}
    [untrained] = [job for job in jobs if job.loss == "untrained"]
    assert all("nondeterministic" not in r.provenance for r in untrained.records)


def test_crops_on_a_gpu_are_whole_grey_levels_near_those_of_the_cpu(monkeypatch):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (60, 70, 3), np.uint8) for _ in range(4)]
    study = Study(name="x", resize=60, crop=32)
    on_cpu = transforms.train_batch(pictures, np.arange(4), study, np.random.default_rng(3), CPU)
    real = resized_crops.canvas_of
    monkeypatch.setattr(transforms, "canvas_of", lambda p, b, s, _device: real(p, b, s, CPU))
    gpu = SimpleNamespace(type="cuda")
    on_gpu = transforms.train_batch(pictures, np.arange(4), study, np.random.default_rng(3), gpu)
    assert torch.equal(on_gpu, on_gpu.round())
    assert on_gpu.min() >= 0
    assert on_gpu.max() <= 255
    assert (on_gpu - on_cpu).abs().max() <= 1
