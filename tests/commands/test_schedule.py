"""Which run a free slot takes, seen with an engine whose runs end by a simulated clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.commands.bench import engines as bench_engines
from harness.commands.bench import schedule
from harness.commands.bench.schedule import Epochs, Images, Simulated
from harness.engines import conductor, local
from harness.engines.jobs import Job
from harness.records import records
from harness.schema import Run, Study
from tests.made import TINY, call, images

STUDY = replace(TINY, trials=3, startup_trials=1, parallel_trials=2, folds=4, repeats=3)
NAMES = [(dataset, loss) for dataset in ("first", "second") for loss in ("a", "b", "c")]


def seconds(run: Run) -> tuple[float, tuple[int, int]]:
    """Runs of different lengths, so that slots become free one by one."""
    return 10.0 + run.seed % 7, run.epochs or (4, 2)


class Seen(Simulated):
    """Looks at the jobs whenever the conductor waits: then it has started all that it will."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots, seconds)
        self.jobs: list[Job] = []
        self.started: list[Run] = []
        self.full = 0

    def submit(self, run):
        self.started.append(run)
        return super().submit(run)

    def wait(self, futures):
        startable = [run for job in self.jobs for run in job.startable()]
        assert len(futures) == self.slots or not startable, "a slot is idle"
        self.full += len(futures) == self.slots
        return super().wait(futures)


def conduct(tmp_path, slots: int, names=NAMES, study: Study = STUDY) -> Seen:
    engine = Seen(slots)
    engine.jobs = [
        Job(study, dataset, loss, {}, tmp_path / f"{dataset}-{loss}.jsonl")
        for dataset, loss in names
    ]
    assert conductor.conduct(engine.jobs, engine, lambda *_: None)
    assert all(job.progress().finished for job in engine.jobs)
    return engine


@pytest.mark.parametrize("slots", [1, 2, 5, 8, 100])
def test_no_slot_is_idle_while_a_run_could_start(tmp_path, slots):
    engine = conduct(tmp_path, slots)
    assert len(engine.started) == len(NAMES) * (3 * 4 + 3 * 4 + 3 + 3)
    assert engine.full > 0 or slots == 100
    for number, job in enumerate(engine.jobs):
        read = records.read(job.path).records
        assert {(record.dataset, record.loss) for record in read} == {NAMES[number]}


def test_slots_go_to_other_studies_first_then_to_folds_then_to_trials_of_a_batch(tmp_path):
    started = conduct(tmp_path, slots=20).started[:20]
    assert [(run.dataset, run.loss) for run in started] == [*NAMES, *NAMES, *NAMES, *NAMES[:2]]
    first = [run for run in started if (run.dataset, run.loss) == NAMES[0]]
    assert [(run.trial, run.fold) for run in first] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    alone = conduct(tmp_path, slots=8, names=[("other", "a")]).started
    searched = [(run.trial, run.fold) for run in alone[:8]]
    assert searched == [(trial, fold) for trial in (0, 1) for fold in range(4)]
    repeats = [(run.fold, run.repeat) for run in alone if run.stage == "repeat"]
    assert repeats == [(fold, repeat) for fold in range(4) for repeat in range(3)]


def test_one_slot_does_one_study_after_the_other(tmp_path):
    order = [(run.dataset, run.loss) for run in conduct(tmp_path, slots=1).started]
    assert list(dict.fromkeys(order)) == NAMES
    assert order == sorted(order)


def test_a_simulated_check_adds_up_and_larger_batches_of_trials_shorten_its_longest_chain():
    study = replace(STUDY, trials=8, parallel_trials=1)
    sizes = {"small": Images(400, 400, 100.0, 200.0), "large": Images(4000, 4000, 100.0, 200.0)}
    spans = Epochs(normal=(3, 9), followup=(2, 5), start_seconds=1.0)
    results = schedule.schedules(
        study, sizes, devices=(1, 4, 64), batches=(1, 4), losses=("a", "b"), epochs=spans
    )
    assert [result.runs for result in results] == [4 * (8 * 4 + 3 * 4 + 3 + 3)] * 6
    one, four, many = results[:3]  # devices
    assert one.utilisation == pytest.approx(1.0)
    # every batch size trains the same searches, so the work is the same but for the winners' runs
    assert four.seconds * 4 * four.utilisation == pytest.approx(one.seconds)
    assert many.seconds == pytest.approx(many.floor_seconds)
    assert many.utilisation < 0.3
    # by hand: the slowest loss's trials in a row, each as long as its longest fold
    longest = 0.0
    for loss in ("a", "b"):
        chain = 0.0
        for trial in range(8):
            runs = [
                Run(study, "large", loss, "search", 0, {}, trial, None, fold) for fold in range(4)
            ]
            chain += max(schedule.cost_of(run, sizes["large"], spans)[0] for run in runs)
        longest = max(longest, chain)
    assert many.search_seconds == pytest.approx(longest)
    assert results[5].search_seconds < 0.6 * longest


@pytest.mark.slow
def test_throughput_is_of_every_run_and_its_ideal_is_the_naps_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_engines, "cluster_engines", lambda *_: [])
    (throughput,) = bench_engines.report(
        runs=12, seconds=0.05, workers=[2], folder=tmp_path, say=lambda _: None
    )
    assert (throughput.engine, throughput.slots, throughput.runs) == ("local, 2", 2, 12)
    assert throughput.ideal_seconds == pytest.approx(0.3)
    assert throughput.seconds > 0.3
    assert throughput.lost_seconds == pytest.approx((throughput.seconds - 0.3) / 6)
    assert "| local, 2 | 2 | 12 |" in bench_engines.lines([throughput])[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("speed", ["0", "-3", "nan", "inf", "fast"])
def test_a_device_of_no_speed_is_refused_with_what_was_given(speed):
    code, _, err = call("bench", "--engines", f"--images-per-second={speed}")
    assert code == 2
    assert speed in err.splitlines()[-1]


@pytest.mark.parametrize("listed", [False, True])
def test_several_datasets_of_a_command_line_or_a_study_file_are_one_study(
    tmp_path, monkeypatch, listed
):
    folders = [f"folder:{images(tmp_path / name)}" for name in ("one", "two")]
    made = Simulated(3, seconds)
    monkeypatch.setattr(local, "Local", lambda places: made)
    losses = ("contrastive", "triplet")
    study = replace(TINY, datasets=tuple(folders), losses=losses) if listed else TINY
    monkeypatch.setattr("harness.commands.study_files.load", lambda name: study)
    named = [] if listed else ["--loss", *losses, "--dataset", *folders]
    code, out, err = call(
        *("study", "--study", "tiny", "--quiet", "--workers", 3, *named),
        *("--results", tmp_path / "results", "--data", tmp_path / "data"),
    )
    assert (code, err) == (0, "")
    assert out.count("| contrastive |") == out.count("| triplet ") == 2
    assert len(list((tmp_path / "results").rglob("contrastive.jsonl"))) == 2
