"""Folders of results: those that a study.json describes, and those that hold records alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.audit import evidence
from harness.commands import selection
from harness.records import folders
from tests.made import STUDY, call, scored, write_records


@pytest.fixture
def results(tmp_path):
    """Records of two datasets, of which one has lost its study.json."""
    selection._warn.cache_clear()
    for dataset in ("made", "lost"):
        records = [*scored("begun", [0.5] * 3, dataset=dataset)]
        write_records(tmp_path, dataset, {"begun": records})
    (tmp_path / STUDY.name / "lost" / "study.json").unlink()
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("table",),
        ("compare",),
        ("order",),
        ("report", "--output", "page.html"),
        ("export", "--packed", "packed"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_says_which_records_it_leaves_out(results, tmp_path, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, _, err = call(*words, "--results", results)
    assert f"{results / STUDY.name / 'lost'} holds records of begun and no study.json" in err
    assert err.count("no study.json") == 1


def test_they_are_no_evidence_and_that_is_said(results):
    said: list[str] = []
    found = evidence.read(results, STUDY.name, said.append)
    assert {key[1] for key in found} == {"made"}
    assert any("lost holds records of begun and no study.json" in line for line in said)


def test_packed_records_count_other_files_and_other_studies_do_not(tmp_path: Path) -> None:
    where = tmp_path / "tiny" / "made"
    where.mkdir(parents=True)
    (where / "notes.txt").write_text("-")
    assert folders.without_study(tmp_path) == []
    (where / "a.jsonl.xz").write_bytes(b"-")
    assert folders.without_study(tmp_path, "other") == []
    (line,) = folders.without_study(tmp_path, "tiny")
    assert line.startswith(f"{where} holds records of a and no study.json")
    (where / "study.json").write_text("{}")
    assert folders.without_study(tmp_path) == []
    assert folders.described(tmp_path) == [where]
    shutil.rmtree(where)
    assert folders.described(tmp_path) == []
