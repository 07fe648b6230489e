"""Whole studies on a tiny folder: the records are the same, whatever interrupts a study."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines import attempts, conductor, execute
from harness.engines.execute import Places
from harness.engines.local import Local
from harness.protocol import splits
from harness.records import folder as results_folder
from harness.records import records
from harness.schema import Diverged, Problem
from harness.training import loss_files, train
from tests.made import (
    HANGS,
    SHORT_PAUSES,
    TINY,
    children_of,
    comparable,
    images,
    is_worker,
    lines_in,
    run,
    wait_for_lines,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return images(tmp_path_factory.mktemp("images") / "tiny")


@pytest.fixture(scope="module")
def uninterrupted(folder, tmp_path_factory):
    """The jobs of an uninterrupted study in this process; `results` below copies its folder."""
    return run(TINY, folder, tmp_path_factory.mktemp("whole") / "results")


@pytest.fixture(scope="module")
def whole(uninterrupted):
    """The records of that study."""
    return everything(uninterrupted)


@pytest.fixture
def results(uninterrupted, tmp_path):
    """A results folder of one's own that holds that study, finished."""
    of_study = uninterrupted[0].path.parents[1]
    shutil.copytree(of_study.parent, tmp_path / "results")
    return tmp_path / "results"


def everything(jobs: list[conductor.Job]) -> dict[str, dict[str, object]]:
    """Comparable records by loss/key."""
    return comparable([record for job in jobs for record in records.read(job.path).records])


def without(by_key: dict[str, dict[str, object]], loss: str) -> dict[str, dict[str, object]]:
    return {key: record for key, record in by_key.items() if not key.startswith(f"{loss}/")}


def test_a_study_has_every_run_of_the_protocol(whole):
    stages = [(key.split("/")[0], str(record["stage"])) for key, record in whole.items()]
    assert {pair: stages.count(pair) for pair in stages} == {
        ("untrained", "repeat"): 8,
        ("untrained", "ensemble"): 2,
        ("untrained", "complete"): 2,
        **{
            (loss, stage): count
            for loss in ("warped", "contrastive")
            for stage, count in {"search": 12, "repeat": 8, "ensemble": 2, "complete": 2}.items()
        },
    }


class Stop(BaseException):
    """Stands for anything that ends the conductor."""


@pytest.mark.parametrize("after", [0, 40])
def test_a_study_stopped_between_runs_ends_with_the_records_of_an_uninterrupted_one(
    folder, whole, tmp_path, after
):
    count = 0

    def stop(event, *_):
        nonlocal count
        count += event == "record"
        if count > after:
            raise Stop

    with pytest.raises(Stop):
        run(TINY, folder, tmp_path / "results", notify=stop)
    assert everything(run(TINY, folder, tmp_path / "results")) == whole


def test_a_finished_study_runs_nothing_again(folder, results):
    events: list[str] = []
    run(TINY, folder, results, notify=lambda event, *_: events.append(event))
    assert "started" not in events


def test_a_torn_last_line_is_reported_and_its_run_repeated(folder, whole, results):
    path = next(results.glob("*/*/warped.jsonl"))
    path.write_bytes(path.read_bytes()[:-30])
    lines: list[str] = []

    def collect_lines(event, *values):
        if event == "line":
            lines.append(values[0])

    jobs = run(TINY, folder, results, notify=collect_lines)
    assert any("is torn" in line for line in lines)
    assert everything(jobs) == whole


def test_adding_a_loss_moves_no_seed_and_no_param_of_the_others(folder, whole, tmp_path):
    alone = everything(run(TINY, folder, tmp_path / "results", losses=("warped",)))
    assert alone == without(whole, "contrastive")


def test_losses_share_the_seeds_of_folds_and_repeats(whole):
    seeds: dict[str, dict[str, object]] = {"warped": {}, "contrastive": {}, "untrained": {}}
    for name, record in whole.items():
        loss, key = name.split("/")
        if record["stage"] == "search":
            seeds[loss][key] = record["seed"]
    assert len(seeds["warped"]) == 12
    assert seeds["warped"] == seeds["contrastive"]


def test_no_search_run_builds_the_test_part(folder, tmp_path, monkeypatch):
    events: list[str] = []
    real_start, real_test = train.start, splits.test_part

    def start(started, *rest):
        events.append(f"start {started.stage}")
        return real_start(started, *rest)

    def test_part(*arguments):
        events.append("test")
        return real_test(*arguments)

    monkeypatch.setattr(execute.train, "start", start)
    monkeypatch.setattr(execute.splits, "test_part", test_part)
    run(TINY, folder, tmp_path / "results", losses=("contrastive",))
    for before, after in itertools.pairwise(events):
        assert (before, after) != ("start search", "test")
    assert "start search" in events
    assert "test" in events


def test_a_diverging_trial_is_a_record_with_a_failure_and_the_study_goes_on(
    folder, tmp_path, monkeypatch
):
    real = train.epochs

    def epochs(training):
        if training.run.stage == "search" and training.run.trial == 1:
            raise Diverged("the loss became nan")
        return real(training)

    monkeypatch.setattr(execute.train, "epochs", epochs)
    jobs = run(TINY, folder, tmp_path / "results", losses=("contrastive",))
    by_key = everything(jobs)
    failed = [record for record in by_key.values() if record["failure"] is not None]
    assert {record["trial"] for record in failed} == {1}
    assert all(record["scores"] == {} for record in failed)
    assert all(job.progress().finished for job in jobs)
    assert all(job.progress().best_trial != 1 for job in jobs)


def test_a_second_conductor_on_the_same_records_is_refused_with_the_process_of_the_first(
    folder, results
):
    path = next(results.glob("*/*/contrastive.jsonl"))
    with results_folder.hold(path), pytest.raises(Problem, match=f"by process {os.getpid()} on "):
        run(TINY, folder, results, losses=("contrastive",))


@pytest.mark.parametrize("classes", [8, 15])
def test_too_few_classes_for_the_folds_are_refused_before_anything_is_written(tmp_path, classes):
    few = images(tmp_path / "few", classes=classes)
    with pytest.raises(Problem, match=f"4 folds over {classes // 2} trainval classes.* folds = "):
        run(TINY, few, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_class_with_one_image_is_refused_by_name(tmp_path):
    lonely = images(tmp_path / "lonely")
    for path in sorted((lonely / "class_03").iterdir())[1:]:
        path.unlink()
    with pytest.raises(Problem, match="'class_03' holds one image"):
        run(TINY, lonely, tmp_path / "results")


def test_changed_images_are_refused_in_the_same_results_folder(tmp_path):
    changing = images(tmp_path / "changing")
    run(TINY, changing, tmp_path / "results", losses=("contrastive",))
    (changing / "class_00" / "0.png").unlink()
    with pytest.raises(Problem, match="the images or labels changed"):
        run(TINY, changing, tmp_path / "results", losses=("contrastive",))


def start(folder: Path, results: Path, workers: int = 2) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tests.made", str(folder), str(results), str(workers)]
    return subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find workers")
def test_kill_9_of_the_conductor_and_of_workers_in_mid_run_loses_at_most_the_runs_in_flight(
    folder, whole, tmp_path
):
    results = tmp_path / "results"
    for count in (4, 25):
        process = start(folder, results)
        wait_for_lines(results, count, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = lines_in(results)
    assert before >= 25
    process = start(folder, results)
    wait_for_lines(results, before + 3, process)
    for victim in filter(is_worker, children_of(process.pid)):
        os.kill(victim, signal.SIGKILL)
    assert process.wait(240) == 0
    assert everything(run(TINY, folder, results)) == whole


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find workers")
def test_workers_end_when_the_conductor_is_killed(folder, tmp_path):
    process = start(folder, tmp_path / "results")
    wait_for_lines(tmp_path / "results", 2, process)
    workers = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + HANGS
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlives its conductor"
        time.sleep(0.05)


def test_the_study_file_beside_the_records_holds_the_study(uninterrupted):
    description = json.loads((uninterrupted[0].path.parent / "study.json").read_text())
    assert description["study"]["trials"] == TINY.trials
    assert description["digest"] == replace(TINY, trials=99).digest()


def test_a_loss_that_cannot_be_imported_is_named_before_any_image_is_read(
    folder, tmp_path, monkeypatch
):
    def load(*_):
        raise AssertionError("the dataset was loaded first")

    def module_of(name):
        raise Problem(f"losses/{name}.py cannot be imported")

    monkeypatch.setattr(conductor.datasets, "load", load)
    monkeypatch.setattr(loss_files, "module_of", module_of)
    with pytest.raises(Problem, match=r"losses/warped\.py cannot be imported"):
        run(TINY, folder, tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_workers_that_cannot_start_stop_the_study_and_leave_no_failure_record(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(attempts, "PAUSES", SHORT_PAUSES)
    places = Places(tmp_path / "results", tmp_path / "data", threads=0)  # torch refuses 0 threads
    jobs = conductor.prepare(
        TINY,
        [f"folder:{folder}"],
        ("contrastive",),
        results=places.results,
        data_root=places.data,
        notify=lambda *_: None,
    )
    engine = Local([places])
    try:
        with pytest.raises(Problem, match="end before they begin"):
            conductor.conduct(jobs, engine, lambda *_: None)
    finally:
        engine.close()
    assert lines_in(places.results) == 0


def test_repeating_the_search_adds_searches_with_other_seeds_and_changes_nothing_of_the_first(
    folder, whole, tmp_path
):
    twice = replace(TINY, search_repeats=2)
    jobs = run(twice, folder, tmp_path / "results", losses=("contrastive",))
    by_key = everything(jobs)
    first = {key: record for key, record in by_key.items() if not record["search_repeat"]}
    second = {key: record for key, record in by_key.items() if record["search_repeat"] == 1}
    assert first == without(whole, "warped")
    stages = [str(record["stage"]) for record in second.values()]
    expected = {"search": 12, "repeat": 8, "ensemble": 2, "complete": 2}
    assert {stage: stages.count(stage) for stage in stages} == expected
    assert all(f"{record['stage']}-s1-" in key for key, record in second.items())
    first_seeds = {record["seed"] for record in first.values()}
    assert not first_seeds & {record["seed"] for record in second.values()}
    for job in jobs:  # lines of the first search do not even mention that searches can repeat
        for line in job.path.read_text().splitlines():
            assert ('"search_repeat"' in line) == ("-s1-" in json.loads(line)["key"])
    with pytest.raises(Problem, match="was planned with search_repeats = 2, now 1"):
        run(TINY, folder, tmp_path / "results", losses=("contrastive",))


def test_what_is_wrong_with_one_dataset_leaves_the_folders_of_the_others_as_they_were(tmp_path):
    good, bad = images(tmp_path / "good"), images(tmp_path / "bad", classes=4)
    places = Places(tmp_path / "results", tmp_path / "data")

    def prepare(study, *folders, **more):
        return conductor.prepare(
            study,
            [f"folder:{one}" for one in folders],
            ["contrastive"],
            results=places.results,
            data_root=places.data,
            notify=lambda *_: None,
            **more,
        )

    job = next(one for one in prepare(TINY, good) if one.loss == "contrastive")
    job.path.write_bytes(b"")
    before = {path: path.read_bytes() for path in job.path.parent.rglob("*") if path.is_file()}
    for study, fresh in ((TINY, True), (replace(TINY, trials=TINY.trials + 1), False)):
        with pytest.raises(Problem, match="folds"):
            prepare(study, good, bad, fresh=fresh)
        after = {path: path.read_bytes() for path in job.path.parent.rglob("*") if path.is_file()}
        assert after == before


def test_a_run_that_its_engine_cancelled_is_done_and_is_not_waited_for():
    waiting, cancelled = Future(), Future()
    cancelled.cancel()  # as an engine does it when it is stopped; `wait` alone never returns it
    assert conductor._wait_for_some([waiting, cancelled]) == {cancelled}
