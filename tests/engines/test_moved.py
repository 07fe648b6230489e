"""A folder of images that was moved goes on with its records; a copy gets records of its own."""

from __future__ import annotations

import shutil

import numpy as np

from harness.data import datasets
from harness.engines import conductor
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


def jobs_on(dataset, results, lines):
    return conductor.prepare(
        TINY,
        [dataset],
        LOSSES,
        results=results,
        data_root=results.parent / "data",
        notify=lambda event, *values: lines.append(str(values)),
    )


def test_a_table_that_was_moved_with_its_images_goes_on_with_its_records(tmp_path):
    root = images(tmp_path / "a" / "birds")
    rows = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.rglob("*.png"))]
    (root / "df.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    results = tmp_path / "results"
    before = jobs_on(f"table:{root / 'df.csv'}", results, [])
    second = root.rename(tmp_path / "birds")
    lines = []
    after = jobs_on(f"table:{second / 'df.csv'}", results, lines)
    assert [(job.path, job.dataset) for job in after] == [(job.path, job.dataset) for job in before]
    assert any("it was moved" in line for line in lines)
    # A run that is told the old name reads the images where they are now.
    dataset = datasets.load(f"table:{root / 'df.csv'}", tmp_path / "data", TINY.resize)
    assert len(dataset.images) == len(rows)


def test_features_under_another_name_go_on_with_the_records_that_know_them_by_the_first(tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "elsewhere" / "second.npz"
    rows = np.random.default_rng(0).normal(size=(64, 8))
    np.savez(first, features=rows, labels=np.repeat(np.arange(16), 4))
    results = tmp_path / "results"
    before = jobs_on(f"features:{first}", results, [])
    second.parent.mkdir()
    first.rename(second)
    lines = []
    after = jobs_on(f"features:{second}", results, lines)
    assert after == before
    assert before[0].study.weights == "first.npz, which does not say of what trunk"
    assert any("it was moved" in line for line in lines)
