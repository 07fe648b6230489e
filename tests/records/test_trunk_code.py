"""A trunk's file counts: networks of two codes stand in no row together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.commands import shortfalls
from harness.engines import conductor
from harness.protocol import likeness
from harness.records import code
from harness.schema import Problem
from tests.made import TINY, images, run


def write(root, name, text):
    path = root.joinpath(*code.TRUNKS, f"{name}.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    code.trunk_code.cache_clear()


def test_the_digest_is_of_the_file_and_of_what_it_imports_from_its_folder(tmp_path):
    write(tmp_path, "mine", "from harness.training.trunks._parts import x\nTRUNK = x\n")
    write(tmp_path, "_parts", "x = 128\n")
    first = code.trunk_code("mine", tmp_path)
    write(tmp_path, "mine", '"""Words."""\nfrom harness.training.trunks._parts import x\nTRUNK = x')
    assert code.trunk_code("mine", tmp_path) == first
    write(tmp_path, "_parts", "x = 8\n")
    assert code.trunk_code("mine", tmp_path) != first


@pytest.mark.parametrize("name", ["timm:resnet50", "none", "../../records/code", "features:8"])
def test_what_is_no_file_there_has_no_digest(name):
    assert code.trunk_code(name) is None


def test_a_study_goes_on_with_no_other_network_than_it_began_with(tmp_path, monkeypatch):
    of_images = images(tmp_path / "images", classes=16)
    [*_, job] = run(TINY, of_images, tmp_path / "results", losses=("warped",))
    digest = code.trunk_code(TINY.trunk)
    assert digest is not None
    assert {record.provenance["trunk_code"] for record in job.records} == {digest}
    monkeypatch.setattr(code, "trunk_code", lambda _: "0" * 12)
    with pytest.raises(Problem, match=f"code of the trunk {digest} -> 000000000000"):
        conductor.conduct(
            conductor.prepare(
                replace(TINY, repeats=TINY.repeats + 1),
                [f"folder:{of_images}"],
                ("warped",),
                results=tmp_path / "results",
                data_root=tmp_path / "data",
                notify=lambda *_: None,
            ),
            engine=None,
            notify=lambda *_: None,
        )


def test_older_records_without_it_may_stand_beside_newer_ones():
    assert likeness.differences({"threads": "1"}, likeness.making({"trunk_code": "a"})) == []


@pytest.mark.parametrize(
    ("loss", "fault", "file"),
    [
        ("untrained", "RuntimeError: x (harness/training/trunks/mine.py:9)", "trunks/mine.py"),
        ("untrained", "RuntimeError: 99 features were declared", "the trunk convnet"),
        ("warped", "RuntimeError: x (losses/warped.py:9)", "losses/warped.py"),
        ("warped", "RuntimeError: x (harness/training/train.py:9)", "losses/warped.py"),
    ],
)
def test_what_is_to_be_mended_is_the_file_that_the_fault_names(loss, fault, file):
    class Job:
        study = replace(TINY, trunk="convnet")

    job = Job()
    job.loss, job.fault = loss, fault
    named = shortfalls._file_at_fault(job)
    assert file in named
    assert "losses/untrained.py" not in named
