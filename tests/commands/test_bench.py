"""The benchmark computes the same on both sides, and its arithmetic is right. Nothing is timed.

That training by hand is the harness's training is in test_bench_training.py.
"""

from __future__ import annotations

import importlib
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from harness.commands.bench import (
    by_hand,
    embedding,
    exactness,
    limits,
    metrics,
    orchestration,
    photographs,
    pipeline,
    processes,
    report,
    search,
    step,
    table,
    timing,
)
from harness.data.store import decode
from harness.files import CHECKOUT
from harness.protocol import plan
from harness.schema import Part, Problem, Study
from harness.training import network, train, transforms
from harness.training import precision as device_precision
from studies.smoke import STUDY as SMOKE

CPU = torch.device("cpu")
# --- the report's arithmetic


def test_ratios_are_per_round_and_the_report_gives_their_median_and_ends():
    comparison = timing.Comparison(
        name="a", what="b", unit="s", ours=(1.0, 2.0, 4.0), baseline=(4.0, 6.0, 4.0), least_ratio=3
    )
    assert comparison.ratios == (4.0, 3.0, 1.0)
    assert (comparison.ratio, comparison.spread, comparison.reached) == (3.0, (1.0, 4.0), True)
    assert replace(comparison, least_ratio=3.1).reached is False
    assert replace(comparison, rising=True).ratios == (0.25, 1 / 3, 1.0)


values = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=7)


@given(values, st.randoms(), st.booleans())
def test_exchanging_the_sides_inverts_every_ratio(ours, random, rising):
    theirs = random.sample(ours, len(ours))
    comparison = timing.Comparison(
        name="a", what="b", unit="s", ours=tuple(ours), baseline=tuple(theirs), rising=rising
    )
    exchanged = replace(comparison, ours=comparison.baseline, baseline=comparison.ours)
    assert comparison.ratios == pytest.approx([1 / ratio for ratio in exchanged.ratios])
    low, high = comparison.spread
    assert low <= comparison.ratio <= high
    assert exchanged.spread == pytest.approx((1 / high, 1 / low))


def test_without_a_baseline_the_goal_is_a_largest_value_and_without_a_goal_nothing_is_judged():
    alone = timing.Comparison(name="a", what="b", unit="ms", ours=(60.0, 40.0, 45.0), most=50)
    assert (alone.ratio, alone.spread, alone.ratios, alone.reached) == (None, None, (), True)
    assert replace(alone, most=44).reached is False
    assert replace(alone, most=None).reached is None


def test_the_share_of_the_limit_is_that_of_the_rounds_and_of_times_the_inverse():
    item = timing.Comparison(
        name="a", what="b", unit="s", ours=(2.0, 4.0), limit=(1.0, 3.0), limit_is="x"
    )
    assert item.share == pytest.approx((0.5 + 0.75) / 2)
    assert replace(item, rising=True).share == pytest.approx((2.0 + 4 / 3) / 2)
    with pytest.raises(ValueError, match="one value a round"):
        replace(item, limit=(1.0,))


def test_the_machine_s_ceilings_are_above_what_a_larger_program_reaches(monkeypatch):
    monkeypatch.setattr(limits, "SIDE", 256)
    monkeypatch.setattr(limits, "COPIED", 2**20)
    assert limits.product_rate(CPU) > 1e8
    assert limits.copy_rate(CPU) > 1e7
    assert re.fullmatch(
        r"\d+ GFLOP/s in float32 products, [\d.]+ GB/s copied", limits.ceilings(CPU)
    )


@pytest.mark.parametrize("trunk", ["convnet", "resnet18"])
def test_the_limit_of_a_step_and_of_an_embedding_is_timed_on_the_case_s_own_network(trunk):
    case = step.Case(trunk, 32, "fp32", 8, 1)
    images = step.random_images(case)
    study = step.study_of(case)
    assert step.passes_rate(study, images, 1, CPU) > 0
    part = Part(images, np.arange(10) % len(images), np.arange(10) // 4)
    assert embedding.pass_rate(study, part, CPU) > 0


def test_rounds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match=r"2 values of ours, 1 of the baseline"):
        timing.Comparison(name="a", what="b", unit="s", ours=(1, 2), baseline=(1,))
    with pytest.raises(ValueError, match="0 values of ours"):
        timing.Comparison(name="a", what="b", unit="s", ours=())


@pytest.mark.parametrize("warm_up", [True, False])
def test_sides_are_measured_in_turn_who_begins_alternates_and_the_warm_up_is_dropped(warm_up):
    order, clock = [], itertools.count()

    def side(name):
        def measure():
            order.append(name)
            return next(clock)

        return measure

    ours, theirs = timing.in_turn(side("ours"), side("theirs"), 3, warm_up=warm_up)
    pairs = [tuple(order[i : i + 2]) for i in range(0, len(order), 2)]
    assert len(pairs) == 3 + warm_up
    assert all(sorted(pair) == ["ours", "theirs"] for pair in pairs)
    assert all(pair != following for pair, following in itertools.pairwise(pairs))
    assert sorted(ours + theirs) == list(range(2 * warm_up, 2 * (3 + warm_up)))


def test_the_table_and_its_data_say_the_same():
    items = (
        timing.Comparison(
            name="a",
            what="fast",
            unit="img/s",
            ours=(30.0, 20.0, 25.0),
            baseline=(10.0, 10.0, 10.0),
            rising=True,
            least_ratio=5,
            limit=(40.0, 40.0, 25.0),
            limit_is="a pure one",
            notes=("a note",),
        ),
        timing.Comparison(name="b", what="alone", unit="s", ours=(1.0,), most=2),
    )
    result = timing.Report(items, {"cores": "2"}, ("faiss is not installed",))
    shown = timing.text(result)
    row = next(line for line in shown.splitlines() if line.startswith("a: fast"))
    columns = "a: fast 25 img/s 10 img/s 2.50x 2.00-3.00 >= 5x MISSED 75 %"
    assert " ".join(row.split()) == columns
    assert "b: alone" in shown
    assert "<= 2 s  reached" in shown
    assert "a: a note" in shown
    assert "Of the limit: the share of what the machine itself does" in shown
    assert "  a: a pure one\n" in shown
    assert "NOT THERE: faiss is not installed" in shown
    data = json.loads(json.dumps(timing.as_data(result)))
    assert data["comparisons"][0]["ratio"] == 2.5
    assert data["comparisons"][0]["reached"] is False
    assert data["comparisons"][0]["share_of_limit"] == 0.75
    assert data["comparisons"][1]["share_of_limit"] is None
    assert data["comparisons"][1]["baseline_median"] is None
    assert data["missing"] == ["faiss is not installed"]


def test_seconds_are_those_of_the_work(monkeypatch):
    ticks = iter([10.0, 12.5])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    assert timing.seconds(lambda: None, CPU) == 2.5


# --- both sides compute the same


@pytest.mark.parametrize(("trunk", "channels"), [("convnet", 1), ("resnet18", 3)])
@pytest.mark.parametrize("pooling", ["avg", "max", "avg+max"])
def test_the_baseline_s_network_is_the_harness_s_own_function(trunk, channels, pooling, float64):
    study = Study(name="s", trunk=trunk, weights="none", pooling=pooling, dim=16)
    torch.manual_seed(5)
    ours = network.build(study, 16, channels)
    torch.manual_seed(5)
    parts = by_hand.models(study, 16, channels)
    images = torch.randint(0, 256, (4, channels, 64, 64)).float()
    for training in (True, False):
        ours.train(training)
        batch = images if training else images.flip(0)
        expected = ours(batch)
        for part in parts.values():
            part.train(training)
        embeddings = parts["embedder"](parts["trunk"](ours.normalise(batch)))
        torch.testing.assert_close(embeddings, expected, rtol=0, atol=1e-9)


def test_the_baseline_s_test_images_are_the_harness_s(tmp_path):
    files = photographs.photographs(tmp_path, classes=2, per_class=2)
    study = pipeline.STUDY
    images = [decode(path, study.resize) for path, _ in files]
    ours = transforms.test_batch(images, np.arange(4), study, CPU)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    dataset = by_hand.ImageFiles(files, by_hand.test_transform(study, mean, std))
    theirs = torch.stack([dataset[i][0] for i in range(4)])
    model = network.build(replace(study, trunk="resnet18"), 8, 3)
    torch.testing.assert_close(model.normalise(ours), theirs, rtol=0, atol=1e-5)


def test_training_crops_and_flips_have_the_same_distribution(tmp_path):
    """On an image of slopes the corners' values say where a crop was taken and if mirrored."""
    study = replace(pipeline.STUDY, crop=32, resize=96)
    slopes = np.zeros((96, 144, 3), np.uint8)
    slopes[..., 0], slopes[..., 1] = np.arange(144), 2 * np.arange(96)[:, None]
    Image.fromarray(slopes).save(tmp_path / "slopes.png")
    n = 1500
    ours = transforms.train_batch(
        [slopes], np.zeros(n, np.int64), study, np.random.default_rng(0), CPU
    )
    torch.manual_seed(0)
    transform = by_hand.train_transform(study, [0.0] * 3, [1 / 255] * 3)
    dataset = by_hand.ImageFiles([(tmp_path / "slopes.png", 0)] * n, transform)
    theirs = torch.stack([dataset[i][0] for i in range(n)])
    mirrored = []
    for batch in (ours, theirs):
        left, right = batch[:, 0, :, :4].mean((1, 2)), batch[:, 0, :, -4:].mean((1, 2))
        mirrored.append(float((left > right).double().mean()))
    assert abs(mirrored[0] - mirrored[1]) < 0.08
    for of in (
        lambda batch: batch[:, 0].mean((1, 2)),
        lambda batch: batch[:, 1].mean((1, 2)),
        lambda batch: batch[:, 0].amax((1, 2)) - batch[:, 0].amin((1, 2)),
        lambda batch: batch[:, 1].amax((1, 2)) - batch[:, 1].amin((1, 2)),
    ):
        assert stats.ks_2samp(of(ours).numpy(), of(theirs).numpy()).pvalue > 1e-3


def test_both_pipelines_give_the_batches_that_they_are_timed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "BATCH", 4)
    monkeypatch.setattr(pipeline, "BATCHES", 2)
    monkeypatch.setattr(pipeline, "STUDY", replace(pipeline.STUDY, trunk="resnet18", crop=32))
    monkeypatch.setattr(by_hand, "workers", lambda: 1)
    (comparison,) = pipeline.measure(timing.Setting(1, CPU, tmp_path, lambda _: None))
    assert len(comparison.ours) == len(comparison.baseline) == 1
    assert min(comparison.ours + comparison.baseline) > 0


def test_the_step_s_two_sides_train_on_the_same_images(tmp_path, monkeypatch):
    case = step.Case("convnet", 32, "fp32", batch=8, steps=2)
    monkeypatch.setattr(step, "cases", lambda _device: [case])
    (comparison,) = step.measure(timing.Setting(1, CPU, tmp_path, lambda _: None))
    assert (comparison.rising, comparison.unit) == (True, "img/s")
    assert len(comparison.ours) == len(comparison.baseline) == 1
    images = step.random_images(case)
    run = step.a_run(step.study_of(case), epochs=2)
    training = train.start(run, step.part_of(images), CPU)
    assert len(list(train.epochs(training))) == 2
    assert training.epochs_behind == (2, 0)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_precision_is_measured_only_where_the_hardware_has_it(monkeypatch, precision):
    monkeypatch.setattr(step, "why_no_compiler", lambda _device: "it takes seconds to try")
    for has in (True, False):
        monkeypatch.setattr(device_precision, f"has_{precision}", lambda _device, has=has: has)
        assert (precision in {case.precision for case in step.cases(CPU)}) is has


def test_the_goal_for_a_resnet_of_unchanged_precision_is_that_of_the_baseline_s_own(monkeypatch):
    monkeypatch.setattr(step, "why_no_compiler", lambda _device: "it takes seconds to try")
    for has, judged in ((True, "tf32"), (False, "fp32")):
        monkeypatch.setattr(device_precision, "has_tf32", lambda _device, has=has: has)
        equal = {case.precision for case in step.cases(CPU) if case.least_ratio == 1.0}
        assert equal == {judged}


@pytest.mark.parametrize("queries", [0, 900])
def test_our_scores_are_those_of_exact_lists_and_the_baseline_s_but_for_lists_out_of_order(queries):
    size = metrics.Size("small", 2000, 300, 2, 12, queries)
    embeddings, labels = metrics.embeddings_of(size)
    ours, theirs = (
        metrics.scores_by_harness(embeddings, labels, queries),
        metrics.scores_by_pml(embeddings, labels, queries),
    )
    assert 0.05 < ours["map_at_r"] < 0.95  # neither trivial nor hopeless
    exact = exactness.exactness(embeddings, labels, queries)
    assert exact["differing"]["ours"] == 0
    assert ours == pytest.approx({name: exact["scores"][name] for name in ours}, abs=1e-12)
    # faiss orders by float32 distances: which neighbours change places depends on the processor
    assert exact["differing"]["baseline"] <= 0.01 * size.images
    most = exact["differing"]["baseline"] / (
        queries or size.images
    )  # a query's score is between 0 and 1
    assert theirs == pytest.approx(ours, abs=most + 1e-9)


def test_made_up_sizes_are_as_published():
    embeddings, labels = metrics.embeddings_of(metrics.Size("small", 2000, 300, 2, 12))
    assert embeddings.shape == (2000, metrics.DIM)
    counts = np.bincount(labels.numpy())
    assert (len(counts), counts.min() >= 2, counts.max() <= 12) == (300, True, True)


@pytest.mark.parametrize("without_self", [True, False])
def test_float64_s_lists_are_those_of_all_squared_differences(without_self):
    x = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
    x[40:50] = x[30:40]  # ties
    squared = ((x.double()[:, None] - x.double()[None]) ** 2).sum(2)
    if without_self:
        squared.fill_diagonal_(torch.inf)
    expected = squared.sort(dim=1, stable=True).indices[:, :7]
    assert torch.equal(exactness.float64_lists(x, x, 7, without_self=without_self), expected)


def test_a_measurement_s_process_reports_seconds_memory_and_scores(monkeypatch, tmp_path):
    small = metrics.Size("CUB", 600, 10, 41, 60)
    monkeypatch.setattr(metrics, "SIZES", (small,))
    results = []

    def in_this_process(side, size, device):
        results.append(metrics.result_of(side, *metrics.embeddings_of(size), device))
        return results[-1]

    monkeypatch.setattr(metrics, "result_by_process", in_this_process)
    time, memory = metrics.measure(timing.Setting(2, CPU, tmp_path, lambda _: None))
    first, second = zip(time.ours, time.baseline, time.limit, strict=True)
    durations = [*first, *reversed(second)]
    assert [result["seconds"] for result in results if "seconds" in result] == durations
    assert memory.unit == "MB"
    assert min(memory.ours + memory.baseline) >= 1
    assert "differ from float64's: ours 0," in time.notes[0]


def test_the_search_s_two_sides_know_the_same_trials(tmp_path):
    space, trials = search.a_history()
    assert len(trials) == search.EARLIER == 200
    theirs = search.optuna_study(space, trials[:20], tmp_path / "search.db")
    assert [t.params for t in theirs.trials] == [dict(t.params) for t in trials[:20]]
    assert [t.value if t.state.name == "COMPLETE" else None for t in theirs.trials] == [
        t.score for t in trials[:20]
    ]
    assert set(search.proposal(space, trials[:20])) == set(space)


# --- what has no baseline


def test_a_study_of_instant_runs_is_the_whole_study(tmp_path):
    study = replace(SMOKE, per_dataset={})
    records = orchestration.conduct(study, tmp_path)
    assert plan.progress(study, orchestration.LOSS, records).finished
    assert len(records) == 2 * 4 + 2 * 4 + 2 + 2


def test_the_table_is_made_from_as_many_records_as_it_says(tmp_path):
    study = replace(SMOKE, per_dataset={})
    files = table.many_records(study, tmp_path, 3, 50)
    assert len(files) == 3
    assert sum(len(path.read_text().splitlines()) for path in files) == 50
    shown = table.a_table(study, files)
    assert all(f"| {path.stem}" in shown for path in files)


def test_ours_is_measured_as_a_worker_executes_and_the_baseline_with_torch_s_defaults():
    conv = torch.backends.cudnn.conv
    before = torch.are_deterministic_algorithms_enabled(), conv.fp32_precision
    torch.use_deterministic_algorithms(False)
    conv.fp32_precision = "tf32"
    try:
        with timing.as_runs_execute(Study(name="s"), CPU):
            assert torch.are_deterministic_algorithms_enabled()
            assert conv.fp32_precision == "ieee"
        assert not torch.are_deterministic_algorithms_enabled()
        assert conv.fp32_precision == "tf32"
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=True)
        conv.fp32_precision = before[1]


# --- the command


def test_an_unknown_measure_is_a_problem_that_names_the_known_ones():
    with pytest.raises(Problem, match=r"of bench 'stpe'; did you mean 'step'\? known: pipe"):
        report.measure(["stpe"], rounds=1, device="cpu")


def test_without_faiss_the_table_says_what_the_baseline_does_instead_and_its_lists_are_right(
    monkeypatch,
):
    monkeypatch.setattr(by_hand, "has_faiss", lambda: False)
    monkeypatch.setattr(metrics, "SIZES", (metrics.Size("SOP", 300, 30, 5, 15),))

    def in_this_process(side, size, device):
        return metrics.result_of(side, *metrics.embeddings_of(size), device)

    monkeypatch.setattr(metrics, "result_by_process", in_this_process)
    monkeypatch.setattr("pytorch_metric_learning.utils.inference.FaissKNN", None)
    result = report.measure(["metrics"], rounds=1, device="cpu")
    shown = timing.text(result)
    assert shown.count("(baseline without faiss)") == 2
    assert "NOT THERE: faiss is not installed" in shown
    assert "CustomKNN" in shown
    assert {item.reached for item in result.comparisons} == {None}
    # torch's float32 distances may exchange two neighbours on one processor and not on another
    note = result.comparisons[0].notes[0]
    lists = re.search(r"differ from float64's: ours 0, baseline (\d+) of 300", note)
    assert lists is not None
    assert int(lists[1]) <= 3


def test_a_device_without_bf16_is_said_to_have_none(monkeypatch):
    monkeypatch.setattr(report, "has_bf16", lambda _device: False)
    assert "step in bf16: this cpu does not" in report.missing_for({"step", "help"}, CPU)[0]
    assert report.missing_for({"help"}, CPU) == ()


def test_every_measure_is_a_module_with_a_function_of_that_name():
    for name in report.MEASURES:
        assert callable(importlib.import_module(f"harness.commands.bench.{name}").measure)


def test_a_process_works_in_the_checkout_and_its_failure_is_a_problem_with_its_last_line():
    output = processes.output_of("a path", "-c", "import harness; print(harness.__file__)")
    assert Path(output.strip()).parent == CHECKOUT / "harness"
    with pytest.raises(Problem, match="bench: a sum failed: ZeroDivisionError: "):
        processes.output_of("a sum", "-c", "1 / 0")


def test_what_is_measured_is_printed_at_once_so_that_a_run_that_is_cut_off_has_not_lost_it(
    monkeypatch,
):
    done = timing.Comparison(
        name="search", what="a proposal", unit="ms", ours=(2.0,), baseline=(8.0,)
    )
    monkeypatch.setattr("harness.commands.bench.search.measure", lambda _setting: [done])

    def cut_off(_setting):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.commands.bench.help.measure", cut_off)
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        report.measure(["search", "help"], rounds=1, device="cpu", say=lines.append)
    assert lines == [
        "search",
        "search: a proposal: 2 ms, baseline 8 ms, 4.00x (4.00-4.00)",
        "help",
    ]


def test_bench_measures_a_compiled_step_where_it_can_and_else_says_why_not(monkeypatch):
    monkeypatch.setattr(step, "why_no_compiler", lambda _device: None)
    assert {case.trunk for case in step.cases(CPU) if case.compile} == {"convnet", "resnet50"}
    assert step.study_of(next(case for case in step.cases(CPU) if case.compile)).compile
    monkeypatch.setattr(step, "why_no_compiler", lambda _device: "no g++")
    assert not any(case.compile for case in step.cases(CPU))
    monkeypatch.setattr("harness.commands.bench.report.why_no_compiler", lambda _device: "no g++")
    missing = report.missing_for({"step"}, CPU)
    assert any("torch.compile: it does not work here (no g++)" in line for line in missing)
