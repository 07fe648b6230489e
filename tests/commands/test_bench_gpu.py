"""The report on a GPU, tried without one: its parts on small sizes, its words, its goals."""

from __future__ import annotations

import signal
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.commands.bench import gpu, gpu_rates, report, step, timing
from harness.records import records
from harness.schema import Problem
from tests.made import call, scored

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
CASE = step.Case("convnet", 32, "fp32", 8, steps=1)
PART = step.part_of(step.random_images(CASE))
ONE_EPOCH = step.a_run(step.study_of(CASE), epochs=1)
SMALL = gpu_rates.Sizes((("resnet18", 32),), batch=8, steps=1)


@pytest.fixture(autouse=True)
def in_fp32_alone(monkeypatch):
    """Some processors compute in bf16, which would add lines."""
    monkeypatch.setattr(gpu_rates, "reduced_precisions", lambda _device: ())


def test_without_a_gpu_the_report_is_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out, err = call("bench", "--gpu-report")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "torch sees no GPU on this machine; give --device cpu to try" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpu-report", "--only", "step"), "--gpu-report and --only measure different things"),
        (("--engines", "--batches"), "--engines and --batches measure different things"),
        (
            ("--gpu-report", "--json"),
            "--json is no option of --gpu-report; give it with plain bench or ",
        ),
    ],
)
def test_options_of_which_one_would_be_ignored_are_refused(words, said):
    code, out, err = call("bench", "--device", "cpu", *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("words", [(), ("--only", "help")])
def test_what_bench_is_not_told_to_measure_alone_is_all(monkeypatch, words):
    """It once said "--only has no value" where --only was not given."""
    asked = []

    def measure(only, **_):
        asked.append(list(only))
        return timing.Report((), {}, ())

    monkeypatch.setattr(report, "measure", measure)
    assert call("bench", "--rounds", "1", "--device", "cpu", *words)[0] == 0
    assert asked == [list(words[1:])]


def test_an_epoch_of_a_loss_ends_well_or_names_the_operation_that_is_not_deterministic(monkeypatch):
    before = torch.get_deterministic_debug_mode()
    assert gpu.one_epoch(ONE_EPOCH, PART, CPU) == ("", 0)
    assert torch.get_deterministic_debug_mode() == before

    def start(*_):
        raise RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation, but")

    monkeypatch.setattr(gpu.train, "start", start)
    failure, _ = gpu.one_epoch(ONE_EPOCH, PART, CPU)
    assert failure == "cumsum_cuda_kernel is not deterministic"


def test_every_loss_is_tried_and_those_that_fail_are_named(monkeypatch):
    tried = []

    def one_epoch(run, _part, _device):
        tried.append(run.loss)
        return ("a reason" if run.loss == "margin" else "", 2.0 + (run.loss == "circle"))

    monkeypatch.setattr(gpu, "one_epoch", one_epoch)
    lines = list(gpu.losses(CUDA))
    assert len(tried) == len(set(tried)) > 60
    assert lines[:2] == [
        f"{len(tried) - 1} of {len(tried)} train with deterministic operations alone",
        "margin: a reason",
    ]
    assert lines[2].startswith("waits of the host a step: circle 3, ")


def test_waits_are_those_that_torch_warns_of_and_other_warnings_are_shown(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def warn():
        with gpu.counted_waits(CUDA) as waits:
            for _ in range(2):
                warnings.warn("called a synchronizing CUDA operation (from x)", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
        return waits

    with pytest.warns(UserWarning, match="something else"):
        waits = warn()
    assert (len(waits), modes) == (2, ["warn", "default"])
    with gpu.counted_waits(CPU) as waits:
        assert waits == []


def test_a_training_again_and_one_that_is_resumed_have_the_same_bits(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_rates.Sizes, "on", lambda _device: replace(SMALL, trunks=()))
    expected = "convnet 32 px fp32: again the same bits; resumed the same bits"
    assert list(gpu.bits(CPU, tmp_path)) == [expected]
    assert [path.name for path in tmp_path.iterdir()] == ["convnet-fp32.checkpoint"]


def test_other_bits_are_told_with_how_far_they_lie_apart():
    one = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3])}
    assert gpu.compared(one, one) == "the same bits"
    other = one | {"a": torch.tensor([1.0, 2.5])}
    assert gpu.compared(one, other) == "OTHER BITS (up to 0.5)"


def test_a_checkpoint_that_is_not_taken_up_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu.checkpoints, "resume", lambda *_: 0.0)
    with pytest.raises(Exception, match="was not taken up"):
        gpu.trained(CASE, CPU, tmp_path / "x.checkpoint")


def test_layouts_are_timed_on_the_trunk_in_both(monkeypatch):
    monkeypatch.setattr(gpu_rates.Sizes, "on", lambda _device: SMALL)
    layouts = []
    build = gpu_rates.network.build

    def built(*arguments):
        model = build(*arguments)
        model.trunk.register_forward_pre_hook(
            lambda module, given: layouts.append(
                [
                    tensor.is_contiguous(memory_format=torch.channels_last)
                    for tensor in (given[0], next(p for p in module.parameters() if p.dim() == 4))
                ]
            )
        )
        return model

    monkeypatch.setattr(gpu_rates.network, "build", built)
    (line,) = gpu_rates.layouts(CPU)
    assert line.startswith("resnet18 32 px fp32, batch 8: NCHW ")
    assert "hours" not in line, "what a loss costs is told of a GPU's rate alone"
    assert layouts == [[False, False]] * 2 + [[True, True]] * 2


def test_a_part_that_ends_in_an_error_costs_no_other(monkeypatch, tmp_path):
    def broken(_device):
        yield "one line"
        raise RuntimeError("CUDA error: unspecified\nmore")

    monkeypatch.setattr(gpu, "losses", broken)
    for module, name in (
        (gpu, "bits"),
        (gpu, "kill"),
        (gpu_rates, "layouts"),
        (gpu_rates, "slots"),
    ):
        monkeypatch.setattr(module, name, lambda *_, name=name: iter([name]))
    made = timing.Report((), {"device": "x"}, ())
    monkeypatch.setattr(report, "measure", lambda *_, **__: made)
    lines = [
        line for line in gpu.lines(CPU, tmp_path, rounds=1, say=print) if not line.endswith(" 0 s")
    ]
    assert lines[:2] == [
        "losses: one line",
        "losses: ended by RuntimeError: CUDA error: unspecified",
    ]
    assert lines[2:6] == ["bits: bits", "layouts: layouts", "slots: slots", "kill: kill"]
    assert lines[6] == timing.text(made)


def test_a_gpu_has_goals_of_its_own():
    values = {"unit": "img/s", "ours": (9.0,), "baseline": (1.0,), "rising": True, "limit_is": "x"}
    item = timing.Comparison(name="step", what="a", **values, limit=(10.0,), least_ratio=2.5)
    judged = report.with_goals_of_a_gpu(item)
    assert (judged.least_ratio, judged.least_share, judged.reached) == (None, 0.85, True)
    assert replace(judged, limit=(11.0,)).reached is False
    assert ">= 85 % of the limit" in timing.text(timing.Report((judged,), {}, ()))
    pipeline = report.with_goals_of_a_gpu(replace(item, name="pipeline"))
    assert pipeline.reached is None
    table = timing.Comparison(name="table", what="a", unit="s", ours=(2.0,), most=3.0)
    assert report.with_goals_of_a_gpu(table) is table


class FakeStudy:
    """In place of the study's process: it writes records, and half of them until it is stopped."""

    lives = 0
    records = scored("contrastive", [0.5, 0.6, 0.7])

    def __init__(self, words, **_):
        self.path = Path(words[words.index("--results") + 1]) / "smoke" / "made" / "made.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.stopped, self.returncode = False, None
        FakeStudy.lives += 1
        self.write(self.records[: len(self.records) // 2])

    def write(self, some):
        for record in some:
            records.append(self.path, record)

    def poll(self):
        return self.returncode

    def send_signal(self, number):
        assert number == signal.SIGTERM
        self.stopped = True

    def wait(self):
        if self.stopped:
            return 143
        self.write(self.records[len(self.records) // 2 :])
        self.returncode = 0
        return 0


@pytest.mark.parametrize("other", [None, 0.25])
def test_records_of_a_study_that_was_stopped_are_compared_with_those_of_a_whole_one(
    monkeypatch, tmp_path, other
):
    monkeypatch.setattr(FakeStudy, "lives", 0)
    monkeypatch.setattr(gpu.subprocess, "Popen", FakeStudy)
    read = gpu._scores

    def with_another(results):
        scores = read(results)
        if other is not None and results.name == "stopped" and FakeStudy.lives == 3:
            scores[next(iter(scores))] = {"map_at_r": other}
        return scores

    monkeypatch.setattr(gpu, "_scores", with_another)
    lines = list(gpu.kill(CPU, tmp_path))
    n = len(FakeStudy.records)
    assert FakeStudy.lives == 3
    assert lines[0].startswith(f"whole: {n} records in ")
    assert lines[1] == f"stopped with {n // 2} records"
    same = n if other is None else n - 1
    assert lines[3] == f"{same} of {n} records have the same scores to the last digit"


def test_a_study_that_ends_badly_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu.subprocess, "Popen", FakeStudy)
    monkeypatch.setattr(FakeStudy, "wait", lambda _self: 2)
    with pytest.raises(Problem, match="ended with the exit code 2"):
        list(gpu.kill(CPU, tmp_path))


@pytest.mark.slow
def test_processes_that_share_a_device_each_give_their_rate(monkeypatch):
    monkeypatch.setattr(gpu_rates.Sizes, "on", lambda _device: SMALL)
    monkeypatch.setattr(gpu_rates, "SLOTS", (1, 2))
    one, two = gpu_rates.slots(CPU)
    assert one.startswith("resnet18 32 px fp32, 1: ")
    assert one.endswith(" img/s (1.00x)")
    assert two.startswith("resnet18 32 px fp32, 2: ")
