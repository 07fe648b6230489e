"""Records on disk survive kills and torn lines; incomparable ones never share a folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.protocol import plan
from harness.records import folder, records
from harness.schema import Problem, Record
from tests.made import HANGS, SPACE, STUDY, done


def some(count: int) -> list[Record]:
    """Records of the first runs of a study."""
    runs = plan.next_runs(
        replace(STUDY, trials=10, parallel_trials=10), "made", "made", space=SPACE, records=[]
    )
    return [done(run) for run in runs[:count]]


def test_what_is_appended_is_read_back_equal(tmp_path):
    path = tmp_path / "made.jsonl"
    for record in some(5):
        records.append(path, record)
    assert list(records.read(path).records) == some(5)
    assert records.read(path).torn is None


def test_no_file_is_no_records(tmp_path):
    assert records.read(tmp_path / "none.jsonl") == records.Lines((), None)


@given(st.data())
@settings(deadline=None)  # the disk decides how long an example takes
def test_a_line_torn_anywhere_is_reported_left_out_and_overwritten(data):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "made.jsonl"
        for record in some(3):
            records.append(path, record)
        whole = path.read_bytes()
        start = whole[:-1].rfind(b"\n") + 1
        cut = data.draw(st.integers(start + 1, len(whole) - 1))
        path.write_bytes(whole[:cut])
        read = records.read(path)
        assert list(read.records) == some(2)
        assert read.torn is not None
        assert "line 3 is torn" in read.torn
        records.append(path, some(3)[2])
        assert path.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_a_problem_with_its_number(tmp_path):
    path = tmp_path / "made.jsonl"
    for record in some(3):
        records.append(path, record)
    whole = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([whole[0], whole[1][:50], *whole[2:]]))
    with pytest.raises(Problem, match="line 2 is not a record"):
        records.read(path)


def test_records_read_without_curves_are_the_others_with_empty_ones(tmp_path):
    path = tmp_path / "made.jsonl"
    for record in some(5):
        records.append(path, record)
    expected = [replace(record, curve=[]) for record in some(5)]
    assert list(records.read(path, curves=False).records) == expected


@pytest.mark.parametrize(
    "text", ['", "curve": [1, 2], "epochs": [0, 0], "x": "', "\\", '"curve": [', '], "epochs": ']
)
def test_no_text_in_a_line_is_taken_for_its_curve(tmp_path, text):
    path = tmp_path / "made.jsonl"
    record = replace(
        some(1)[0],
        params={"kind": text, text: 1.0},
        failure=text,
        curve=[{"phase": "normal", "epoch": 1, "loss": 0.5}],
        provenance={text: {"device": text}},
    )
    records.append(path, record)
    assert list(records.read(path).records) == [record]
    assert list(records.read(path, curves=False).records) == [replace(record, curve=[])]


def test_a_line_with_another_layout_is_read_without_its_curve_as_well(tmp_path):
    path = tmp_path / "made.jsonl"
    fields = asdict(replace(some(1)[0], curve=[{"phase": "normal", "epoch": 1, "loss": 0.5}]))
    path.write_text(json.dumps(dict(reversed(fields.items())), separators=(",", ":")) + "\n")
    assert list(records.read(path, curves=False).records) == [replace(some(1)[0], curve=[])]


def test_records_of_another_format_are_refused_with_the_way_out(tmp_path):
    path = tmp_path / "made.jsonl"
    records.append(path, replace(some(1)[0], format=99))
    with pytest.raises(Problem, match=r"format 99.*--results"):
        records.read(path)


def test_a_score_that_is_not_a_number_cannot_be_written(tmp_path):
    bad = replace(some(1)[0], scores={"map_at_r": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        records.append(tmp_path / "made.jsonl", bad)


def _append_without_end(path: Path) -> None:
    many = some(40)
    for i in range(10**6):
        records.append(path, replace(many[i % 40], trial=i, seconds=0.123456789 * i))


def test_a_writer_killed_at_random_leaves_at_most_one_torn_line(tmp_path):
    context = multiprocessing.get_context("fork")
    for attempt in range(6):
        path = tmp_path / f"{attempt}.jsonl"
        writer = context.Process(target=_append_without_end, args=(path,))
        writer.start()
        deadline = time.monotonic() + HANGS
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02 * (attempt + 1))
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        read = records.read(path)
        assert [record.trial for record in read.records] == list(range(len(read.records)))
        records.append(path, some(1)[0])
        assert records.read(path).torn is None


def description(**changes):
    return folder.describe(replace(STUDY, **changes), "made", "made", "f00d")


def test_a_changed_study_is_refused_naming_the_fields_that_differ(tmp_path):
    folder.admit(tmp_path, description())
    with pytest.raises(Problem, match=r"weight_decay 0.0001 -> 0.5.*--results"):
        folder.admit(tmp_path, description(weight_decay=0.5))


def test_a_changed_dataset_is_refused(tmp_path):
    folder.admit(tmp_path, description())
    with pytest.raises(Problem, match=r"fingerprint f00d, now it is beef"):
        folder.admit(tmp_path, description() | {"fingerprint": "beef"})


def test_more_trials_are_let_in_and_fewer_are_not(tmp_path):
    folder.admit(tmp_path, description())
    folder.admit(tmp_path, description(trials=9))
    with pytest.raises(Problem, match="planned with trials = 9, now 5"):
        folder.admit(tmp_path, description())
    assert folder.study_of(folder.read_description(tmp_path) or {}).trials == 9


def test_the_study_read_back_is_the_study(tmp_path):
    folder.admit(tmp_path, description())
    again = folder.study_of(folder.read_description(tmp_path) or {})
    assert again == STUDY
    assert again.digest() == STUDY.digest()


def _hold(path: Path, ready, release) -> None:
    with folder.hold(path):
        ready.set()
        release.wait(HANGS)


def test_a_second_writer_reads_who_holds_the_file_and_a_dead_one_holds_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    path = tmp_path / "made.jsonl"
    holder = context.Process(target=_hold, args=(path, ready, release))
    holder.start()
    assert ready.wait(HANGS)
    with pytest.raises(Problem, match=f"by process {holder.pid} on "), folder.hold(path):
        pass
    assert (folder.holder_of(path) or {})["pid"] == holder.pid
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    assert folder.holder_of(path) is None
    with folder.hold(path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_clear_problem(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Problem, match="cannot be written"):
        folder.create(tmp_path / "results")


def test_a_results_folder_under_a_file_is_one_clear_problem(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match=r"cannot be written .*--results"):
        folder.create(tmp_path / "file" / "results")


def test_a_folder_of_the_users_own_gets_a_name_of_its_own(tmp_path):
    one = folder.folder_of(Path("r"), "s", f"folder:{tmp_path}/a/birds")
    other = folder.folder_of(Path("r"), "s", f"folder:{tmp_path}/b/birds")
    assert one.name.startswith("folder-birds-")
    assert one != other


@pytest.mark.parametrize("curves", [True, False])
@pytest.mark.parametrize("wrong_name", ["seed", "colour"])
def test_a_line_that_lacks_a_field_or_has_an_unknown_one_is_a_problem_that_names_it(
    tmp_path, wrong_name, curves
):
    path = tmp_path / "made.jsonl"
    fields = asdict(some(1)[0])
    if wrong_name in fields:
        del fields[wrong_name]
    else:
        fields[wrong_name] = "red"
    path.write_text(json.dumps(fields) + "\n")
    with pytest.raises(Problem, match=rf"line 1 is not a record .*\['{wrong_name}'\]"):
        records.read(path, curves=curves)
