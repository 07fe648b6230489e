"""Records that older versions wrote: they are read, and their study goes on or says why not.

tests/golden/records holds a finished study of one loss on the pictures of tests/made.py, by two old
versions: one of the rules 1, whose records have no digest, no code of the loss and absolute params
of the follow-up phase, and one of the rules 2.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.engines import conductor
from harness.engines.execute import Places
from harness.records import code, folder, packed, records
from harness.records.content import sealed_line
from harness.records.provenance import package_versions
from harness.schema import Problem
from tests.made import Inline, call, images

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "records"
LOSS = "contrastive"
RUNS = 3 * 4 + 2 * 4 + 2 + 2  # trials and repeats on 4 folds, ensembles, Complete runs


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return images(tmp_path_factory.mktemp("old") / "pictures")


def copied(rules: int, root: Path) -> Path:
    """The results folder of a copy of the old records."""
    where = root / "results" / "tiny" / "folder-pictures-16123a"
    shutil.copytree(GOLDEN / f"rules_{rules}", where)
    return where


def go_on(where: Path, pictures: Path, lines: list[str] | None = None) -> None:
    """Continue the study of a results folder as study.json declares it."""
    description = folder.read_description(where)
    assert description is not None
    results = where.parents[1]
    places = Places(results.resolve(), results.resolve().parent / "data", "cpu", 1)

    def notify(event: str, *values: Any) -> None:
        if event == "line" and lines is not None:
            lines.append(values[0])

    jobs = conductor.prepare(
        folder.study_of(description),
        [f"folder:{pictures}"],
        [LOSS],
        results=places.results,
        data_root=places.data,
        notify=notify,
    )
    conductor.conduct([job for job in jobs if job.loss == LOSS], Inline(places), notify)


@pytest.mark.parametrize("rules", [1, 2])
def test_every_record_is_read_and_stands_in_the_table(rules, tmp_path):
    where = copied(rules, tmp_path)
    read = records.read(where / f"{LOSS}.jsonl")
    assert (len(read.records), read.torn, read.altered) == (RUNS, None, frozenset())
    exit_code, out, err = call("table", "--results", where.parents[1], "--json")
    (row,) = json.loads(out)["rows"]
    assert (exit_code, err, row["loss"]) == (0, "", LOSS)
    assert "LEFT OUT" not in json.loads(out)["caption"]
    assert "finished; search 12/12" in call("status", "--results", where.parents[1])[1]


def test_records_of_the_rules_2_derive_from_their_study(tmp_path):
    where = copied(2, tmp_path)
    exit_code, out, _ = call("check", "--results", where.parents[1])
    assert exit_code == 0
    assert f"{RUNS} records in 1 folders checked: nothing is wrong" in out


def test_check_says_of_records_of_the_rules_1_which_version_can_propose_their_params(tmp_path):
    where = copied(1, tmp_path)
    exit_code, out, _ = call("check", "--results", where.parents[1])
    assert exit_code == 1
    assert "the rules of training changed since: 1 -> 2" in out
    assert "does their runs again" not in out


def as_made_today(path: Path) -> list[bytes]:
    """The lines of a record file, as if today's packages and today's loss had made them."""
    lines = []
    for line in packed.content_of(path).splitlines():
        fields = json.loads(line)
        fields["provenance"] |= {"versions": package_versions(), "loss_code": code.loss_code(LOSS)}
        lines.append(sealed_line(fields))
    return lines


def test_a_study_of_the_rules_2_goes_on_after_its_records(pictures, tmp_path):
    where = copied(2, tmp_path)
    path = where / f"{LOSS}.jsonl"
    *kept, _, _ = as_made_today(path)
    path.write_bytes(b"".join(kept))
    lines: list[str] = []
    go_on(where, pictures, lines)
    assert path.read_bytes().startswith(b"".join(kept))
    keys = [record.key for record in records.read(path).records]
    before = [record.key for record in records.read(GOLDEN / "rules_2" / path.name).records]
    assert keys == before
    assert any("it was moved, and its records" in line for line in lines)
    assert call("check", "--results", where.parents[1])[0] == 0


def test_a_study_whose_loss_has_other_code_now_is_refused_with_both_and_loses_no_record(
    pictures, tmp_path
):
    where = copied(2, tmp_path)
    before = records.read(where / f"{LOSS}.jsonl").records
    with pytest.raises(Problem, match=r"code of the loss de3e3eadc38d -> .*study --fresh"):
        go_on(where, pictures)
    assert records.read(where / f"{LOSS}.jsonl").records == before


def test_an_unfinished_study_of_the_rules_1_is_refused_with_the_rules_and_loses_no_record(
    pictures, tmp_path
):
    where = copied(1, tmp_path)
    path = where / f"{LOSS}.jsonl"
    *lines, _, _ = packed.content_of(path).splitlines(keepends=True)
    path.write_bytes(b"".join(lines))
    with pytest.raises(Problem, match=r"has the rules 1 of an older version.*--results with a new"):
        go_on(where, pictures)
    assert path.read_bytes() == b"".join(lines)
