"""A folder of images that was moved goes on with its records; a copy gets records of its own."""

from __future__ import annotations

import shutil

from harness.records.records import read
from tests.made import TINY, comparable, images, run

LOSSES = ("contrastive",)


def test_a_moved_folder_goes_on_with_its_records_and_says_so(tmp_path):
    first = images(tmp_path / "a" / "birds")
    results = tmp_path / "results"
    before = [job.path for job in run(TINY, first, results, losses=LOSSES)]
    held = {path: comparable(read(path).records) for path in before}
    for path in before:  # as if it had been stopped on the way
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    (tmp_path / "b").mkdir()
    second = first.rename(tmp_path / "b" / "birds")
    lines = []
    jobs = run(
        TINY, second, results, losses=LOSSES, notify=lambda event, *values: lines.append(values)
    )
    assert [job.path for job in jobs] == before
    assert {path: comparable(read(path).records) for path in before} == held
    assert any("it was moved" in str(values) for values in lines)


def test_a_copy_beside_the_first_gets_records_of_its_own_and_a_line_says_so(tmp_path):
    first = images(tmp_path / "a" / "birds")
    results = tmp_path / "results"
    before = [job.path for job in run(TINY, first, results, losses=LOSSES)]
    second = shutil.copytree(first, tmp_path / "b" / "birds")
    lines = []
    jobs = run(
        TINY, second, results, losses=LOSSES, notify=lambda event, *values: lines.append(values)
    )
    assert not {job.path for job in jobs} & set(before)
    assert any("both are there" in str(values) for values in lines)
