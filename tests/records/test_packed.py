"""Record files that are committed: packed, read by every command, unpacked to go on."""

from __future__ import annotations

import lzma
import shutil
from dataclasses import replace

import pytest

from harness.records import folder, packed, records
from harness.records.folder import read_description, study_of
from harness.schema import Problem
from tests.made import TINY, call, images, run
from tests.records.test_admitted import resumed_from

SHORT = replace(TINY, trials=1, repeats=2, search_repeats=1, max_epochs=1, followup=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Records of two losses on images of a folder, and the folder."""
    place = tmp_path_factory.mktemp("packed")
    run(SHORT, images(place / "pictures"), place / "results", losses=("contrastive", "warped"))
    return place / "results"


def where_of(results):
    (where,) = (path.parent for path in results.glob("*/*/study.json"))
    return where


def test_packed_records_are_the_records_and_packing_twice_gives_the_same_bytes(results, tmp_path):
    for path in packed.record_files(where_of(results)):
        target = packed.pack(path, tmp_path)
        assert lzma.decompress(target.read_bytes()) == path.read_bytes()
        assert target.stat().st_size < path.stat().st_size / 3
        assert records.read(tmp_path / path.name) == records.read(path)
        assert packed.pack(path, tmp_path / "again").read_bytes() == target.read_bytes()


def test_commands_read_a_packed_folder_as_they_read_the_records(results, tmp_path):
    assert call("export", "--packed", tmp_path / "packed", "--results", results)[0] == 0
    files = sorted(path.name for path in where_of(tmp_path / "packed").iterdir())
    assert files == ["contrastive.jsonl.xz", "study.json", "untrained.jsonl.xz", "warped.jsonl.xz"]
    for words in (("table", "--format", "csv"), ("check",), ("status", "--json")):
        plain = call(*words, "--results", results)
        from_packed = call(*words, "--results", tmp_path / "packed")
        assert plain == from_packed
        assert plain[0] == 0


def test_a_torn_packed_file_is_one_line_that_names_it(results, tmp_path):
    path = packed.pack(where_of(results) / "warped.jsonl", tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(Problem, match=r"warped\.jsonl\.xz is not readable .*; restore it, or"):
        records.read(tmp_path / "warped.jsonl")


def test_what_is_there_is_never_overwritten_by_what_is_carried_over(results, tmp_path):
    call("export", "--packed", tmp_path / "packed", "--results", results)
    source, here = where_of(tmp_path / "packed"), tmp_path / "here"
    here.mkdir()
    (here / "warped.jsonl").write_bytes(b"mine\n")
    carried = packed.carry_over(source, here, folder.hold)
    assert carried.copied == ["contrastive", "untrained"]
    (line,) = carried.kept
    assert line.startswith("warped (1 records here, ")
    assert line.endswith(f"there; remove {here / 'warped.jsonl'} to take those)")
    assert (here / "warped.jsonl").read_bytes() == b"mine\n"
    original = (where_of(results) / "contrastive.jsonl").read_bytes()
    assert (here / "contrastive.jsonl").read_bytes() == original
    assert packed.carry_over(source, here, folder.hold).copied == []


def test_the_first_records_of_a_loss_are_completed_by_what_is_carried_over(results, tmp_path):
    whole = (where_of(results) / "warped.jsonl").read_bytes()
    begun = whole.splitlines(keepends=True)[0]
    for name, left in (("begun", begun), ("torn", whole[: len(begun) + 20])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "warped.jsonl").write_bytes(left)
        carried = packed.carry_over(where_of(results), tmp_path / name, folder.hold)
        assert (carried.copied, carried.kept) == (["contrastive", "untrained", "warped"], [])
        assert (tmp_path / name / "warped.jsonl").read_bytes() == whole


def test_a_fuller_package_is_not_replaced_by_a_shorter_one(results, tmp_path):
    where = where_of(results)
    call("export", "--packed", tmp_path / "packed", "--results", results)
    shorter = tmp_path / "results" / where.parent.name / where.name
    shorter.mkdir(parents=True)
    shutil.copy(where / "study.json", shorter)
    lines = (where / "warped.jsonl").read_bytes().splitlines(keepends=True)
    (shorter / "warped.jsonl").write_bytes(lines[0])
    package = where_of(tmp_path / "packed") / "warped.jsonl.xz"
    before = package.read_bytes()
    words = ("export", "--packed", tmp_path / "packed", "--results", tmp_path / "results")
    code, _, err = call(*words)
    assert code == 2
    assert f"holds {len(lines) - 1} records that" in err
    assert "nothing was written: give --packed another folder" in err
    (shorter / "warped.jsonl").write_bytes(b"".join(lines) + b"\n{\n")
    code, _, err = call(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert f"line {len(lines) + 1} is not a record" in err
    assert package.read_bytes() == before


def test_a_study_goes_on_from_packed_records_and_trains_none_of_them_again(results, tmp_path):
    place = tmp_path / "second"
    place.mkdir()
    where = where_of(results)
    into = place / "results" / where.parent.name / where.name
    for path in packed.record_files(where):
        packed.pack(path, into)
    shutil.copy(where / "study.json", into)
    begun = []
    jobs = run(
        SHORT,
        results.parent / "pictures",
        place / "results",
        losses=("contrastive", "warped"),
        notify=lambda kind, *_: begun.append(kind) if kind == "started" else None,
    )
    assert begun == []
    assert [len(job.records) for job in jobs] == [
        len(records.read(path).records)
        for name in ("untrained", "contrastive", "warped")
        for path in [where / f"{name}.jsonl"]
    ]
    assert sorted(path.name for path in into.glob("*.xz")) == []


def test_resume_from_copies_what_the_results_lack_and_refuses_a_folder_without_records(
    results, tmp_path
):
    call("export", "--packed", tmp_path / "packed", "--results", results)
    source = where_of(tmp_path / "packed")
    dataset = f"folder:{results.parent / 'pictures'}"
    study = study_of(read_description(where_of(results)))
    line = resumed_from(tmp_path / "packed", tmp_path / "results", study, dataset)
    assert line.endswith(f"contrastive, untrained, warped copied from {source}")
    with pytest.raises(Problem, match=f"--resume-from {tmp_path / 'none'}: there are no records"):
        resumed_from(tmp_path / "none", tmp_path / "results", study, dataset)
