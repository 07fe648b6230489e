"""What a refused command leaves behind: everything as it was."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from harness.commands import study_choice
from harness.commands.resume_from import carry_over, check_source
from harness.engines import fold_embeddings, jobs
from harness.protocol.final import fold_runs
from harness.records import code, folder, locks, set_aside
from harness.records import records as record_files
from harness.schema import Problem, Run
from tests.made import STUDY, call, scored, write_records


def resumed_from(source, results, study, dataset, fingerprint=None):
    """As `study --resume-from` does it for a dataset."""
    check_source(source, results, study, dataset, fingerprint, counts_given=folder.COUNTS)
    return carry_over(source, results, study, dataset)


@pytest.fixture
def where(tmp_path):
    """A folder with the records of one loss."""
    write_records(tmp_path / "results", "made", {"a": scored("a", [0.5] * 3)})
    return tmp_path / "results" / STUDY.name / "made"


def describe(study):
    return folder.describe(study, "made", "made", "x")


def test_the_plan_of_a_study_does_not_change_while_another_process_runs_it(where):
    before = (where / "study.json").read_bytes()
    with folder.hold(where / "a.jsonl"):
        folder.admit(where, json.loads(json.dumps(describe(STUDY))))  # the same plan is let in
        with pytest.raises(Problem, match="is being written by process"):
            folder.admit(where, describe(replace(STUDY, trials=50)))
        assert (where / "study.json").read_bytes() == before
    folder.admit(where, describe(replace(STUDY, trials=50)))
    assert folder.study_of(folder.read_description(where)).trials == 50


def test_records_without_a_study_are_adopted_by_none_and_fresh_sets_them_aside(where):
    (where / "study.json").unlink()
    with pytest.raises(Problem, match=r"holds records \(a.jsonl, ...\) and no study.json"):
        folder.admit(where, describe(STUDY))
    assert not (where / "study.json").exists()
    target = set_aside.set_aside(where, ["b"], describe(STUDY))
    assert [path.name for path in target.glob("*.jsonl")] == ["a.jsonl"]
    folder.admit(where, describe(STUDY))
    assert set_aside.set_aside(where.parent / "new", ["b"], describe(STUDY)) is None


@pytest.mark.parametrize(
    "fields", [{"trials": "3"}, {"variants": []}, {"repeats": None}, {"losses": 3}]
)
def test_a_study_json_of_wrong_types_is_one_line_that_names_it(where, fields):
    description = json.loads((where / "study.json").read_text())
    description["study"] |= fields
    (where / "study.json").write_text(json.dumps(description))
    with pytest.raises(Problem, match=r"study.json: .*(restore it|restore or remove it)"):
        folder.admit(where, describe(STUDY))
    description["study"] = {}
    (where / "study.json").write_text(json.dumps(description))
    with pytest.raises(Problem, match=r"study.json"):
        folder.admit(where, describe(STUDY))


def test_records_of_another_study_are_not_copied(where, tmp_path):
    other = replace(STUDY, weight_decay=0.5)
    with pytest.raises(Problem, match=r"holds records of another study .*nothing was copied"):
        resumed_from(where.parents[1], tmp_path / "new", other, "made")
    assert not (tmp_path / "new").exists()
    here = tmp_path / "other" / STUDY.name / "made"
    folder.create(here)
    folder.admit(here, describe(other))
    with pytest.raises(Problem, match="nothing was copied"):
        resumed_from(where.parents[1], tmp_path / "other", STUDY, "made")
    assert sorted(path.name for path in here.iterdir()) == ["study.json"]
    assert "records of a copied" in resumed_from(where.parents[1], tmp_path / "new", STUDY, "made")


def test_records_of_more_trials_than_are_asked_for_are_not_copied(where, tmp_path):
    fewer = replace(STUDY, trials=STUDY.trials - 1)
    with pytest.raises(Problem, match=r"planned with trials = \d, now \d: .*nothing was copied"):
        resumed_from(where.parents[1], tmp_path / "new", fewer, "made")
    assert not (tmp_path / "new").exists()


def test_records_of_other_images_are_not_copied(where, tmp_path):
    with pytest.raises(Problem, match=r"with the fingerprint x, here it is y; nothing was copied"):
        resumed_from(where.parents[1], tmp_path / "new", STUDY, "made", "y")
    assert not (tmp_path / "new").exists()
    assert "copied" in resumed_from(where.parents[1], tmp_path / "new", STUDY, "made", "x")


def test_a_source_that_is_torn_or_says_no_study_leaves_nothing_behind(where, tmp_path):
    (where / "b.jsonl.xz").write_bytes(b"\xfd7zXZ\x00 torn")
    with pytest.raises(Problem):
        resumed_from(where.parents[1], tmp_path / "new", STUDY, "made")
    assert not (tmp_path / "new").exists()
    (where / "b.jsonl.xz").unlink()
    (where / "study.json").unlink()
    with pytest.raises(Problem, match=r"has no study\.json; nothing was copied"):
        resumed_from(where.parents[1], tmp_path / "new", STUDY, "made")
    assert not (tmp_path / "new").exists()


def test_what_a_fold_left_is_not_that_of_another_network(monkeypatch):
    ensemble = Run(STUDY, "made", "a", "ensemble", 0, {}, 0, repeat=0, epochs=(1, 1))
    run = fold_runs(ensemble)[0]
    owners = set()
    for digest in ("a" * 12, "b" * 12):
        monkeypatch.setattr(code, "trunk_code", lambda _, digest=digest: digest)
        owners.add(fold_embeddings.owner(run, "x", 1))
    assert len(owners) == 2


def test_a_folder_is_checked_from_within_the_results_too(where, monkeypatch):
    monkeypatch.chdir(where)
    from_within = call("check", ".", "--json")
    monkeypatch.chdir(where.parent)
    beside = call("check", where.name, "--json")
    monkeypatch.chdir("/")
    assert from_within == beside == call("check", where, "--json")


def test_the_next_command_has_the_threads_of_the_records():
    records = [replace(r, provenance={"threads": 2}) for r in scored("a", [0.5] * 3)]
    assert study_choice.threads_given(records) == ["--threads", "2"]
    assert study_choice.threads_given(scored("a", [0.5] * 3)) == []


def test_failures_stay_where_they_are_until_the_study_has_accepted_its_records(where):
    path = where / "a.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    fields = json.loads(lines[0]) | {"failure": "Diverged: x", "scores": {}, "digest": "0" * 12}
    path.write_bytes(json.dumps(fields).encode() + b"\n" + b"".join(lines[1:]))
    before = path.read_bytes()
    job = jobs.Job(STUDY, "made", "a", {}, path, retries_failed=True)
    with pytest.raises(Problem):
        job.load()
    assert path.read_bytes() == before
    assert not (where / folder.SET_ASIDE).exists()


def test_check_finds_records_that_no_study_json_describes(where):
    (where / "study.json").unlink()
    code, out, _ = call("check", where.parents[1])
    assert code == 1
    assert "tiny/made: STUDY: " in out
    assert "holds no study.json" in out


def test_a_file_that_a_study_holds_is_not_copied_over_it(where, tmp_path):
    here = tmp_path / "new" / STUDY.name / "made"
    folder.create(here)
    folder.admit(here, describe(STUDY))
    with folder.hold(here / "a.jsonl"):  # it has no record yet
        with pytest.raises(Problem, match=r"a\.jsonl is being written by process"):
            resumed_from(where.parents[1], tmp_path / "new", STUDY, "made")
        assert not (here / "a.jsonl").exists()
    assert "records of a copied" in resumed_from(where.parents[1], tmp_path / "new", STUDY, "made")


def test_failures_of_code_that_was_mended_since_are_set_aside(where):
    path = where / "a.jsonl"
    made_by = {"loss_code": "before", "threads": 1}
    failures = [
        replace(record, failure="ValueError: x", scores={}, provenance=made_by)
        for record in scored("a", [0.5] * 3)[:4]
    ]
    path.unlink()
    for record in failures:
        record_files.append(path, record)
    now = {"loss_code": "mended", "threads": 1}
    with pytest.raises(Problem, match="code of the loss before -> mended"):
        jobs.Job(STUDY, "made", "a", {}, path, provenance=now).load()
    job = jobs.Job(STUDY, "made", "a", {}, path, provenance=now, retries_failed=True)
    job.load()
    assert "4 failures" in job.set_failures_aside()
    job.load()
    assert job.records == []


def test_a_run_that_was_given_up_does_not_let_unlike_records_in(tmp_path):
    gone, first, second = scored("a", [0.5] * 3)[:3]
    path = tmp_path / "a.jsonl"
    job = jobs.Job(STUDY, "made", "a", {}, path, provenance={"threads": 1})
    job.add(replace(gone, failure="it ended its process", scores={}, provenance={}))
    job.add(replace(first, provenance={"device": "cpu: x", "versions": {"torch": "2.1"}}))
    with pytest.raises(Problem, match=r"device cpu -> cuda; .*torch 2\.1 -> 2\.9"):
        job.add(replace(second, provenance={"device": "cuda: y", "versions": {"torch": "2.9"}}))
    assert len(job.records) == 2


def test_records_of_another_definition_under_the_same_name_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    for record in scored("a", [0.5] * 3)[:3]:
        record_files.append(path, replace(record, provenance={"study": STUDY.digest()}))
    jobs.Job(STUDY, "made", "a", {}, path).load()
    other = replace(STUDY, weight_decay=0.5)
    with pytest.raises(Problem, match="records of a by another definition"):
        jobs.Job(other, "made", "a", {}, path).load()


def test_who_writes_a_file_is_known_to_a_reader_who_may_not_write_there(where, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    with folder.hold(where / "a.jsonl"):
        monkeypatch.setattr(locks.tempfile, "NamedTemporaryFile", refused)
        assert folder.holder_of(where / "a.jsonl")["pid"] == os.getpid()


def test_records_are_packed_beside_no_others_of_another_study(where, tmp_path):
    packed = tmp_path / "packed"
    words = ("export", "--packed", packed, "--results")
    assert call(*words, where.parents[1])[0] == 0
    before = {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()}
    assert call(*words, where.parents[1])[0] == 0  # again, and brought up to date
    description = json.loads((where / "study.json").read_text())
    description["fingerprint"] = "y"
    (where / "study.json").write_text(json.dumps(description))
    code, out, err = call(*words, where.parents[1])
    assert (code, out) == (2, "")
    assert "give another folder, nothing was written" in err
    after = {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()}
    assert after == before


def test_a_metric_that_no_run_was_recorded_with_is_said_to_be_just_that(where):
    for record in scored("A", [0.5] * 3)[:3]:  # a row above that of the loss that has ended
        record_files.append(where / "A.jsonl", record)
    code, _, err = call("table", "--results", where.parents[1], "--metrics", "recall_at_5")
    assert code == 0
    assert "no run was recorded with R@5" in err
    assert "no final run" not in err
