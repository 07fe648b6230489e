"""The benchmark computes the same on both sides, and its arithmetic is right. Nothing is timed."""

from __future__ import annotations

import itertools
import json
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
    metrics,
    orchestration,
    photographs,
    pipeline,
    pml_study,
    pml_training,
    report,
    search,
    step,
    study,
    table,
    timing,
)
from harness.data.store import decode
from harness.engines import conductor as conductor
from harness.engines.execute import Places
from harness.engines.local import Inline
from harness.protocol import plan, splits
from harness.schema import UNTRAINED, Dataset, Problem, Study
from harness.tables import table as tables
from harness.training import network, train, transforms
from harness.training import precision as device_precision
from studies.smoke import STUDY as SMOKE

CPU = torch.device("cpu")
TINY = replace(
    SMOKE, iterations=3, classes_per_batch=4, images_per_class=2, dim=8, complete_dim=16,
    patience=1, max_epochs=2, evaluate_every=1, folds=2, per_dataset={},
)  # fmt: skip


@pytest.fixture(scope="module")
def grey() -> Dataset:
    """24 classes of 5 grey images of 32 pixels, told apart by a pattern under strong noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 5)
    patterns = rng.integers(90, 166, (24, 8, 8)).repeat(4, 1).repeat(4, 2)
    noisy = patterns[labels] + rng.normal(0, 60, (120, 32, 32))
    images = np.clip(noisy, 0, 255).astype(np.uint8)[..., None]
    return Dataset("grey", images, labels, labels >= 12, [str(c) for c in range(24)], "made up")


@pytest.fixture
def hand_written(grey, tmp_path) -> pml_training.Bench:
    """What the study written by hand needs, on the grey images as PNG files."""
    return pml_training.Bench(
        study=TINY,
        dataset="grey",
        loss="warped",
        files=photographs.files_of(grey, tmp_path / "files"),
        trainval=splits.trainval_part(grey, "official"),
        test=splits.test_part(grey, "official"),
        device=CPU,
        folder=tmp_path,
        loaders=0,
    )


# --- the report's arithmetic


def test_ratios_are_per_round_and_the_report_gives_their_median_and_ends():
    told = timing.Comparison(
        name="a", what="b", unit="s", ours=(1.0, 2.0, 4.0), baseline=(4.0, 6.0, 4.0), least_ratio=3
    )
    assert told.ratios == (4.0, 3.0, 1.0)
    assert (told.ratio, told.spread, told.reached) == (3.0, (1.0, 4.0), True)
    assert replace(told, least_ratio=3.1).reached is False
    assert replace(told, rising=True).ratios == (0.25, 1 / 3, 1.0)


values = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=7)


@given(values, st.randoms(), st.booleans())
def test_exchanging_the_sides_inverts_every_ratio(ours, random, rising):
    theirs = random.sample(ours, len(ours))
    one = timing.Comparison(
        name="a", what="b", unit="s", ours=tuple(ours), baseline=tuple(theirs), rising=rising
    )
    other = replace(one, ours=one.baseline, baseline=one.ours)
    assert one.ratios == pytest.approx([1 / ratio for ratio in other.ratios])
    assert one.spread[0] <= one.ratio <= one.spread[1]
    assert one.spread == pytest.approx((1 / other.spread[1], 1 / other.spread[0]))


def test_without_a_baseline_the_goal_is_a_largest_value_and_without_a_goal_nothing_is_judged():
    alone = timing.Comparison(name="a", what="b", unit="ms", ours=(60.0, 40.0, 45.0), most=50)
    assert (alone.ratio, alone.spread, alone.ratios, alone.reached) == (None, None, (), True)
    assert replace(alone, most=44).reached is False
    assert replace(alone, most=None).reached is None


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
    assert all(one != other for one, other in itertools.pairwise(pairs))
    assert sorted(ours + theirs) == list(range(2 * warm_up, 2 * (3 + warm_up)))


def test_the_table_and_its_data_say_the_same():
    items = (
        timing.Comparison(
            name="a", what="fast", unit="img/s", ours=(30.0, 20.0, 25.0),
            baseline=(10.0, 10.0, 10.0), rising=True, least_ratio=5, notes=("a note",),
        ),
        timing.Comparison(name="b", what="alone", unit="s", ours=(1.0,), most=2),
    )  # fmt: skip
    report = timing.Report(items, {"cores": "2"}, ("faiss is not installed",))
    shown = timing.text(report)
    row = next(line for line in shown.splitlines() if line.startswith("a: fast"))
    columns = "a: fast 25 img/s 10 img/s 2.50x 2.00-3.00 >= 5x MISSED"
    assert " ".join(row.split()) == columns
    assert "b: alone" in shown
    assert "<= 2 s  reached" in shown
    assert "a: a note" in shown
    assert "NOT THERE: faiss is not installed" in shown
    data = json.loads(json.dumps(timing.as_data(report)))
    assert data["comparisons"][0]["ratio"] == 2.5
    assert data["comparisons"][0]["reached"] is False
    assert data["comparisons"][1]["baseline_median"] is None
    assert data["missing"] == ["faiss is not installed"]


def test_seconds_are_those_of_the_work(monkeypatch):
    ticks = iter([10.0, 12.5])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    assert timing.seconds(lambda: None, CPU) == 2.5


# --- both sides compute the same


@pytest.mark.parametrize(("trunk", "channels"), [("convnet", 1), ("resnet18", 3)])
@pytest.mark.parametrize("pooling", ["avg", "max", "avg+max"])
def test_the_baseline_s_network_is_the_harness_s_own_function(trunk, channels, pooling):
    study = Study(name="s", trunk=trunk, weights="none", pooling=pooling, dim=16)
    torch.manual_seed(5)
    ours = network.build(study, 16, channels)
    torch.manual_seed(5)
    parts = by_hand.models(study, 16, channels)
    images = torch.randint(0, 256, (4, channels, 64, 64)).float()
    for training in (True, False):
        ours.train(training)
        embeddings = images if training else images.flip(0)
        expected = ours(embeddings)
        for part in parts.values():
            part.train(training)
        found = parts["embedder"](parts["trunk"](ours.normalise(embeddings)))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


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
    (told,) = pipeline.measure(timing.Setting(1, CPU, tmp_path, lambda _: None))
    assert len(told.ours) == len(told.baseline) == 1
    assert min(told.ours + told.baseline) > 0


def test_the_step_s_two_sides_train_on_the_same_images(tmp_path, monkeypatch):
    case = step.Case("convnet", 32, "fp32", batch=8, steps=2)
    monkeypatch.setattr(step, "cases", lambda _device: [case])
    (told,) = step.measure(timing.Setting(1, CPU, tmp_path, lambda _: None))
    assert (told.rising, told.unit, len(told.ours), len(told.baseline)) == (True, "img/s", 1, 1)
    images = step.random_images(case)
    trained = train.fit(
        step.a_run(step.study_of(case), epochs=2), step.part_of(images), CPU, lambda _: None
    )
    assert trained.epochs == (2, 0)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_precision_is_measured_only_where_the_hardware_has_it(monkeypatch, precision):
    monkeypatch.setattr(step, "no_compiler", lambda _device: "it takes seconds to try")
    for has in (True, False):
        monkeypatch.setattr(device_precision, f"has_{precision}", lambda _device, has=has: has)
        assert (precision in {case.precision for case in step.cases(CPU)}) is has


def test_the_goal_for_a_resnet_of_unchanged_precision_is_that_of_the_baseline_s_own(monkeypatch):
    monkeypatch.setattr(step, "no_compiler", lambda _device: "it takes seconds to try")
    for has, judged in ((True, "tf32"), (False, "fp32")):
        monkeypatch.setattr(device_precision, "has_tf32", lambda _device, has=has: has)
        equal = {case.precision for case in step.cases(CPU) if case.least_ratio == 1.0}
        assert equal == {judged}


def test_the_tester_embeds_files_as_the_harness_embeds_the_cache(grey, tmp_path):
    files = photographs.files_of(grey, tmp_path / "files")
    torch.manual_seed(0)
    model = network.build(TINY, 8, 1)
    ours = network.embed(model, splits.test_part(grey, "official"), TINY, CPU)
    torch.manual_seed(0)
    parts = by_hand.models(TINY, 8, 1)
    theirs = embedding.their_embeddings(TINY, parts, files, CPU, "L")
    torch.testing.assert_close(theirs[grey.is_test], ours, rtol=1e-4, atol=1e-4)


def test_scores_of_both_sides_agree_and_made_up_sizes_are_as_published():
    size = metrics.Size("small", 2000, 300, 2, 12)
    embeddings, labels = metrics.embeddings_of(size)
    assert embeddings.shape == (2000, metrics.DIM)
    counts = np.bincount(labels.numpy())
    assert (len(counts), counts.min() >= 2, counts.max() <= 12) == (300, True, True)
    ours, theirs = metrics.our_scores(embeddings, labels), metrics.their_scores(embeddings, labels)
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert 0.05 < ours["map_at_r"] < 0.95  # neither trivial nor hopeless
    told = metrics._float64(embeddings, labels)
    assert told["differing"]["ours"] == 0
    assert {name: told["scores"][name] for name in ours} == pytest.approx(ours, abs=1e-12)


def test_float64_s_lists_are_those_of_all_squared_differences():
    x = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
    x[40:50] = x[30:40]  # ties
    squared = ((x.double()[:, None] - x.double()[None]) ** 2).sum(2).fill_diagonal_(torch.inf)
    expected = squared.sort(dim=1, stable=True).indices[:, :7]
    assert torch.equal(metrics.float64_lists(x, 7), expected)


def test_a_measurement_s_process_reports_seconds_memory_and_scores(monkeypatch, tmp_path):
    small = metrics.Size("CUB", 600, 10, 41, 60)
    monkeypatch.setattr(metrics, "SIZES", (small,))
    answers = []

    def in_this_process(side, size, device):
        embeddings, labels = metrics.embeddings_of(size)
        if side == "float64":
            return metrics._float64(embeddings, labels)
        work = {"ours": metrics.our_scores, "baseline": metrics.their_scores}[side]
        answers.append(metrics._measured(work, embeddings, labels, device))
        return answers[-1]

    monkeypatch.setattr(metrics, "_in_a_process", in_this_process)
    time, memory = metrics.measure(timing.Setting(2, CPU, tmp_path, lambda _: None))
    assert [a["seconds"] for a in answers] == [
        time.ours[0], time.baseline[0], time.baseline[1], time.ours[1],
    ]  # fmt: skip
    assert memory.unit == "MB"
    assert min(memory.ours + memory.baseline) >= 1
    assert "differ from float64's: ours 0," in time.notes[0]


def test_the_search_s_two_sides_know_the_same_trials(tmp_path):
    space, trials = search.a_history()
    assert len(trials) == search.EARLIER == 200
    theirs = search.their_study(space, trials[:20], tmp_path / "search.db")
    assert [t.params for t in theirs.trials] == [dict(t.params) for t in trials[:20]]
    assert [t.value if t.state.name == "COMPLETE" else None for t in theirs.trials] == [
        t.score for t in trials[:20]
    ]
    assert set(search.our_proposal(space, trials[:20])) == set(space)


def test_training_by_hand_gives_the_harness_s_scores_epochs_and_embeddings(hand_written):
    params = {
        "lr": 1e-4, "loss_lr": 1e-2, "followup_lr_ratio": 0.3, "temperature": 2.0, "alpha": 20.0,
        "k1": 0.8, "k2": 1.2, "margin": 1.2, "followup_temperature": 1.0,
        "followup_alpha_ratio": 0.8, "followup_k1": 0.9, "followup_k2": 1.1,
    }  # fmt: skip
    for fold in (0, 1):
        run = hand_written.run("search", 11 + fold, 0, params, fold=fold)
        ours = train.fit(run, hand_written.trainval, CPU, lambda _: None)
        theirs = pml_training.train_one(run, hand_written)
        assert theirs.epochs == ours.epochs
        assert theirs.score == pytest.approx(ours.scores["map_at_r"], abs=1e-3)
        embeddings = network.embed(ours.network, hand_written.test, TINY, CPU)
        tester = by_hand.tester(unit=False, device=CPU, batch=16, loaders=0)
        found, _ = tester.get_all_embeddings(
            hand_written.images(hand_written.test), *theirs.parts.values()
        )
        similarity = torch.nn.functional.cosine_similarity(embeddings, found)
        assert float(similarity.min()) > 0.999


def test_a_study_by_hand_gives_the_harness_s_table(hand_written, grey, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.data.datasets.load", lambda *_: grey)
    places = Places(tmp_path / "results", tmp_path / "data")
    space = orchestration.a_job(TINY, tmp_path / "unused").space
    folder = tmp_path / "results" / TINY.name / "grey"
    folder.mkdir(parents=True)
    jobs = [
        conductor.Job(TINY, "grey", loss, own, folder / f"{loss}.jsonl")
        for loss, own in (("warped", space), (UNTRAINED, {}))
    ]
    conductor.conduct(jobs, Inline(places), lambda *_: None)
    made = tables.table(TINY, "grey", {job.loss: job.records for job in jobs})
    ours = {
        row.loss: {
            f"{category} {metric}": float(np.mean(list(cell.values.values())))
            for (category, metric), cell in row.cells.items()
        }
        for row in made.rows
    }
    found = {r.trial: dict(r.params) for r in jobs[0].records if r.stage == "search"}
    theirs = pml_study.study(hand_written, [found[0], found[1]])
    assert set(theirs) == {"warped", UNTRAINED}
    assert len(theirs["warped"]) == len(ours["warped"]) == 9
    assert study.largest_difference(ours, theirs) < 0.02
    assert study.largest_difference({"a": ours[UNTRAINED]}, {"a": theirs[UNTRAINED]}) < 1e-5


def test_the_largest_difference_of_two_tables_misses_no_cell():
    one = {"a": {"x": 0.5, "y": 0.2}}
    assert study.largest_difference(one, {"a": {"x": 0.4, "y": 0.25}}) == pytest.approx(0.1)
    with pytest.raises(KeyError):
        study.largest_difference(one, {"a": {"x": 0.5}})


# --- what has no baseline


def test_a_study_of_instant_runs_is_the_whole_study(tmp_path):
    study = replace(SMOKE, per_dataset={})
    records = orchestration.conduct(study, tmp_path)
    assert plan.progress(study, orchestration.LOSS, records).finished
    assert len(records) == 2 * 4 + 2 * 4 + 2 + 2


def test_the_table_is_made_from_as_many_records_as_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RECORDS", 50)
    study = replace(SMOKE, per_dataset={})
    files = table.many_records(study, tmp_path, 3)
    assert len(files) == 3
    assert sum(len(path.read_text().splitlines()) for path in files) == 50
    shown = table.a_table(study, files)
    assert all(f"| {path.stem}" in shown for path in files)


def test_ours_is_measured_as_a_worker_executes_and_the_baseline_with_torch_s_defaults():
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.allow_tf32 = True
    try:
        with timing.as_runs_execute(Study(name="own"), CPU):
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.backends.cudnn.allow_tf32
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=True)
        torch.backends.cudnn.allow_tf32 = before[1]


# --- the command


def test_an_unknown_measure_is_a_problem_that_names_the_known_ones():
    with pytest.raises(Problem, match=r"of bench 'stpe'; did you mean 'step'\? known: pipe"):
        report.measure(["stpe"], rounds=1, device="cpu")


def test_without_faiss_the_table_says_what_the_baseline_does_instead_and_scores_are_equal(
    monkeypatch,
):
    monkeypatch.setattr(by_hand, "has_faiss", lambda: False)
    monkeypatch.setattr(metrics, "SIZES", (metrics.Size("SOP", 300, 30, 5, 15),))
    real = metrics.embeddings_of

    def in_this_process(side, size, device):
        if side == "float64":
            return metrics._float64(*real(size))
        work = {"ours": metrics.our_scores, "baseline": metrics.their_scores}[side]
        return metrics._measured(work, *real(size), device)

    monkeypatch.setattr(metrics, "_in_a_process", in_this_process)
    monkeypatch.setattr("pytorch_metric_learning.utils.inference.FaissKNN", None)
    result = report.measure(["metrics"], rounds=1, device="cpu")
    shown = timing.text(report)
    assert shown.count("(baseline without faiss)") == 2
    assert "NOT THERE: faiss is not installed" in shown
    assert "CustomKNN" in shown
    assert {item.reached for item in report.comparisons} == {None}
    assert "ours 0, baseline 0 of 300" in report.comparisons[0].notes[0]


def test_a_device_without_bf16_is_said_to_have_none(monkeypatch):
    monkeypatch.setattr(bench, "has_bf16", lambda _device: False)
    assert "step in bf16: this cpu does not" in report._missing({"step", "help"}, CPU)[0]
    assert report._missing({"help"}, CPU) == ()


def test_every_measure_names_a_function_that_is_there():
    for module, function in report.MEASURES.values():
        assert callable(
            getattr(__import__(f"harness.commands.bench.{module}", fromlist=["x"]), function)
        )
    assert Path(metrics.ROOT / "harness" / "bench").is_dir()


def test_what_is_measured_is_told_at_once_so_that_a_run_that_is_cut_off_has_not_lost_it(
    monkeypatch,
):
    done = timing.Comparison(
        name="search", what="a proposal", unit="ms", ours=(2.0,), baseline=(8.0,)
    )
    monkeypatch.setattr("harness.commands.bench.search.measure", lambda _setting: [done])

    def cut_off(_setting):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.commands.bench.table.measure_help", cut_off)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        report.measure(["search", "help"], rounds=1, device="cpu", say=told.append)
    assert told == [
        "search",
        "search: a proposal: 2 ms, baseline 8 ms, 4.00x (4.00-4.00)",
        "help",
    ]
