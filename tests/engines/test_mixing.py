"""Records of unlike making never meet in one file: another loss, other threads, other images."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace

import pytest

from harness.engines import conductor
from harness.engines.execute import Places, execute
from harness.records import code, folder, records
from harness.schema import Problem
from tests.made import TINY, Inline, call, images, run

SMALL = replace(TINY, trials=2, startup_trials=2)
LOSS = "contrastive"


@pytest.fixture
def place(tmp_path):
    """A tiny folder of images, and where its results go."""
    return images(tmp_path / "tiny"), tmp_path / "results"


class Enough(Exception):
    """Ends a study in the middle."""


def begin(place, **more) -> None:
    """Run a study until the loss has some records, after the untrained trunk, and stop it."""
    n_records = 0

    def notify(event, *_):
        nonlocal n_records
        n_records += event == "record"
        if n_records > 12 + 3:
            raise Enough

    with pytest.raises(Enough):
        run(SMALL, *place, losses=(LOSS,), notify=notify, **more)


def lines_of(results) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in results.glob("*/*/*.jsonl")}


def test_a_loss_whose_code_changed_is_refused_with_the_way_out_and_nothing_is_lost(
    place, monkeypatch
):
    begin(place)
    before = lines_of(place[1])
    monkeypatch.setattr(code, "loss_code", lambda loss: "changed" if loss == LOSS else None)
    with pytest.raises(Problem) as caught:
        run(SMALL, *place, losses=(LOSS,))
    for part in ("code of the loss", "-> changed", "study --fresh", "--results NEW"):
        assert part in str(caught.value)
    assert lines_of(place[1]) == before


def test_records_from_before_there_were_digests_go_on_where_nothing_tells_them_apart(place):
    begin(place)
    for path in place[1].glob("*/*/*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for fields in lines:
            del fields["digest"]
            for name in ("loss_code", "study_code", "content"):
                fields["provenance"].pop(name, None)
        path.write_text("".join(f"{json.dumps(fields)}\n" for fields in lines))
    jobs = run(SMALL, *place, losses=(LOSS,))
    assert all(job.progress().finished for job in jobs)


def conduct(place, *, threads: int, fresh: bool = False) -> conductor.Job:
    """Begin the study as the command conducts it with --threads and --fresh; the loss's job."""
    places = Places(place[1], place[1].parent / "data", "cpu", threads)
    jobs = conductor.prepare(
        SMALL,
        [f"folder:{place[0]}"],
        [LOSS],
        results=places.results,
        data_root=places.data,
        notify=lambda *_: None,
        provenance={"threads": threads, "device": "cpu"},
        fresh=fresh,
    )
    job = next(job for job in jobs if job.loss == LOSS)
    try:
        conductor.conduct(
            [job], Inline(places), lambda *_: None, stopping=lambda: len(job.records) > 1
        )
    finally:
        Inline(replace(places, threads=1))
    return job


def test_other_threads_are_refused_and_fresh_sets_the_old_records_aside(place):
    begin(place)
    before = lines_of(place[1])
    with pytest.raises(Problem, match=r"threads 1 -> 2.*study --fresh"):
        conduct(place, threads=2)
    assert lines_of(place[1]) == before
    job = conduct(place, threads=2, fresh=True)
    assert {record.provenance["threads"] for record in job.records} == {2}
    (aside,) = (job.path.parent / folder.SET_ASIDE).iterdir()
    assert {path.stem: path.read_bytes() for path in aside.glob("*.jsonl")} == before


def test_a_record_that_comes_back_unlike_the_others_is_not_recorded(place, monkeypatch):
    """As from a cluster's node with another version of a package."""
    begin(place)
    before = lines_of(place[1])

    def elsewhere(run, places, *rest):
        record = execute(run, places, *rest)
        versions = {**record.provenance["versions"], "torch": "1.0"}
        return replace(record, provenance={**record.provenance, "versions": versions})

    monkeypatch.setattr("tests.made.execute", elsewhere)
    with pytest.raises(Problem, match=r"torch .* -> 1\.0.*nothing was recorded"):
        run(SMALL, *place, losses=(LOSS,))
    assert lines_of(place[1]) == before


def test_images_that_change_while_a_study_runs_stop_it_and_leave_no_record(place, monkeypatch):
    begin(place)
    before = lines_of(place[1])
    loaded = conductor.datasets.load

    def changed(*words):
        return replace(loaded(*words), fingerprint="beef")

    engine = importlib.import_module("harness.engines.execute")
    real = engine.datasets
    monkeypatch.setattr(engine, "datasets", type("Changed", (), {"load": staticmethod(changed)}))
    with pytest.raises(Problem, match=r"changed while .* fingerprint is beef, study\.json's is"):
        run(SMALL, *place, losses=(LOSS,))
    monkeypatch.setattr(engine, "datasets", real)
    assert lines_of(place[1]) == before


def test_foreign_records_are_refused_by_the_conductor(place):
    begin(place)
    (path,) = place[1].glob(f"*/*/{LOSS}.jsonl")
    record = records.read(path).records[0]
    foreign = {**record.provenance, "dataset": "beef"}
    records.append(path, replace(record, key="search-t1-f3", provenance=foreign))
    with pytest.raises(Problem, match=r"dataset beef -> "):
        run(SMALL, *place, losses=(LOSS,))


def test_a_line_that_was_changed_is_refused_by_the_conductor(place):
    begin(place)
    (path,) = place[1].glob(f"*/*/{LOSS}.jsonl")
    path.write_text(path.read_text().replace('"seed": ', '"seed": 1', 1))
    with pytest.raises(Problem, match=r"line 1, search-t0-f0: it was changed after"):
        run(SMALL, *place, losses=(LOSS,))


def test_another_spelling_of_the_same_folder_is_refused_because_seeds_come_from_the_name(place):
    begin(place)
    other = place[0].parent / "nowhere" / ".." / place[0].name
    with pytest.raises(Problem, match="seeds come from the name"):
        run(SMALL, other, place[1], losses=(LOSS,))


def test_the_help_says_that_threads_change_results():
    out = " ".join(call("study", "--help")[1].split())
    assert "--threads N" in out
    assert "changes results: all records of a loss are made with the same" in out
    assert "--fresh" in out
