"""features:FILE: what files may hold, in every format, and what is refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data import datasets
from harness.data.datasets import features
from harness.schema import Features, Problem


def arrays(**changes: Any) -> dict[str, Any]:
    """Three images of each of 12 classes, whose labels are whole numbers."""
    labels = np.repeat(np.arange(12), 3)
    rows = np.random.default_rng(0).normal(size=(36, 5)).astype(np.float32)
    given = {"features": rows, "labels": labels, **changes}
    return {name: values for name, values in given.items() if values is not None}


def saved(path: Path, **changes: Any) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def read(path: Path, shuffle: int | None = None) -> tuple[Any, list[str]]:
    lines: list[str] = []
    return features.load(path, shuffle=shuffle, say=lines.append), lines


def test_the_second_half_of_the_classes_in_natural_order_is_the_test_half(tmp_path):
    labels = np.array([f"class {i}" for i in np.repeat(np.arange(12), 3)])
    dataset, lines = read(saved(tmp_path / "f.npz", labels=labels))
    assert dataset.class_names == tuple(f"class {i}" for i in range(12))  # 2 before 10
    np.testing.assert_array_equal(dataset.labels, np.repeat(np.arange(12), 3))
    np.testing.assert_array_equal(dataset.is_test, dataset.labels >= 6)
    assert "test class 6, class 7" in lines[0]
    assert (dataset.is_query, dataset.is_gallery, dataset.groups) == (None, None, None)


def test_whole_numbers_are_ordered_as_numbers_and_a_seed_shuffles_the_classes(tmp_path):
    path = saved(tmp_path / "f.npz", labels=np.repeat(np.arange(12), 3)[::-1] * 5)
    dataset, _ = read(path)
    assert dataset.class_names == tuple(str(5 * i) for i in range(12))
    np.testing.assert_array_equal(dataset.labels, np.repeat(np.arange(12), 3)[::-1])
    shuffled, _ = read(path, shuffle=3)
    assert sorted(shuffled.class_names) == sorted(dataset.class_names) != shuffled.class_names
    assert shuffled.class_names == read(path, shuffle=3)[0].class_names
    assert shuffled.fingerprint != dataset.fingerprint


def as_npz(path: Path, given: dict[str, Any]) -> Path:
    np.savez(path.with_suffix(".npz"), **given)
    return path.with_suffix(".npz")


def as_npy(path: Path, given: dict[str, Any]) -> Path:
    np.save(path.with_suffix(".npy"), given["features"])
    names = ["label", "is_test", "group"]
    columns = [given["labels"], given["is_test"], given["group"]]
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.with_suffix(".csv").write_text("\r\n".join([",".join(names), *rows, ""]), "utf-8-sig")
    return path.with_suffix(".npy")


def as_parquet(path: Path, given: dict[str, Any]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({name: list(values) for name, values in given.items()})
    parquet.write_table(table, path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def as_safetensors(path: Path, given: dict[str, Any]) -> Path:
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file(given, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize("form", [as_npy, as_parquet, as_safetensors])
def test_every_format_gives_the_dataset_of_the_npz_with_its_fingerprint(tmp_path, form):
    given = arrays(is_test=np.repeat(np.arange(12) % 2 == 1, 3), group=np.arange(36) % 4 - 1)
    expected, _ = read(as_npz(tmp_path / "a", given))
    dataset, _ = read(form(tmp_path / "b", given))
    np.testing.assert_array_equal(dataset.images.rows, given["features"])
    assert dataset.images.rows.dtype == np.float32
    for name in ("labels", "is_test", "groups"):
        np.testing.assert_array_equal(getattr(dataset, name), getattr(expected, name))
    assert dataset.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(expected.is_test, expected.labels % 2 == 1)
    np.testing.assert_array_equal(expected.groups == -1, np.arange(36) % 4 == 0)
    assert len(set(expected.groups)) == 4


def test_rows_of_an_npy_stay_on_disk_until_they_are_read(tmp_path):
    given = arrays(is_test=np.repeat(np.arange(12) % 2 == 1, 3), group=np.arange(36))
    rows = read(as_npy(tmp_path / "b", given))[0].images.rows
    assert isinstance(rows.base, np.memmap)


def test_queries_and_galleries_are_kept_and_without_a_gallery_it_is_the_rest(tmp_path):
    is_query = np.arange(36) % 3 == 0
    dataset, _ = read(saved(tmp_path / "f.npz", is_query=is_query.astype(int)))
    np.testing.assert_array_equal(dataset.is_query, is_query)
    assert dataset.is_gallery is None
    both, _ = read(saved(tmp_path / "g.npz", is_query=is_query, is_gallery=np.ones(36)))
    assert both.is_gallery.all()
    assert both.fingerprint != dataset.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"features": arrays()["features"] + np.float32(1e-3)},
        {"labels": np.repeat(np.arange(12), 3)[::-1]},
        {"is_test": np.arange(36) < 18},
        {"group": np.arange(36)},
        {"augmented": np.zeros((36, 2, 5), np.float32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_fingerprint_covers_features_labels_halves_and_marks(tmp_path, changes):
    before = read(saved(tmp_path / "a.npz"))[0].fingerprint
    assert before == read(saved(tmp_path / "b.npz", image=np.array(["x"] * 36)))[0].fingerprint
    assert read(saved(tmp_path / "c.npz", **changes))[0].fingerprint != before


def test_origin_class_names_and_unknown_arrays_are_said(tmp_path):
    names = np.array([f"bird {i}" for i in range(12)])
    path = saved(tmp_path / "f.npz", origin="vit,\n 224 px", class_names=names, colour=np.ones(3))
    dataset, lines = read(path)
    assert dataset.images.origin == "vit, 224 px"
    assert dataset.class_names == tuple(names)
    assert any("colour" in line and "nothing reads" in line for line in lines)
    assert "g.npz" in read(saved(tmp_path / "g.npz"))[0].images.origin


def test_classes_of_one_image_are_told(tmp_path):
    labels = np.append(np.repeat(np.arange(12), 3)[:-1], 99)
    _, lines = read(saved(tmp_path / "f.npz", labels=labels))
    assert any("1 classes hold one image" in line and "99" in line for line in lines)


FLOATS = arrays()["features"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": np.where(np.arange(36)[:, None] == 7, np.nan, FLOATS)}, "row 7"),
        ({"features": FLOATS.astype(np.float64) * 1e300}, "row 0"),
        ({"features": FLOATS[0]}, "not [n, F]"),
        ({"features": FLOATS[:, :0]}, "not [n, F]"),
        ({"features": FLOATS.astype(str)}, "not numbers"),
        ({"features": None}, "no features"),
        ({"labels": None}, "no labels"),
        ({"labels": np.arange(35)}, "36 rows of features and labels of the shape [35]"),
        ({"labels": np.repeat(np.arange(12), 3) + 0.5}, "whole numbers"),
        ({"labels": np.array([""] * 36)}, "row 0 (from 0) has an empty label"),
        (
            {"labels": np.array(["a", "a", "nan"] * 12)},
            "row 2 (from 0) has the label nan: a missing one; leave",
        ),
        ({"is_test": np.arange(36) % 2}, "both the trainval and the test half"),
        ({"is_test": np.array(["maybe"] * 36)}, "'maybe'"),
        ({"is_test": np.array(["", *["true"] * 35])}, "row 0 (from 0): is_test holds ''; true or"),
        ({"is_gallery": np.ones(36)}, "without is_query"),
        (
            {"is_query": np.arange(36) % 3 == 0, "is_gallery": np.arange(36) % 3 == 1},
            "neither query nor gallery in the test half: rows (from 0) 20, 23, 26, 29, 32, 35;",
        ),
        (
            {"is_query": np.array(["true", "false", ""] * 12)},
            "row 20 (from 0): is_query holds ''; true or false is needed",
        ),
        (
            {"features": np.where(np.arange(36)[:, None] == 7, 1e-60, FLOATS.astype(float))},
            "row 7 (from 0) of features holds values that float32 does not hold",
        ),
        (
            {"features": np.arange(36)[:, None] + np.array([[1 << 24, 1 << 53]])},
            "row 1 (from 0) of features holds values that float32 does not hold",
        ),
        (
            {"augmented": np.full((36, 2, 5), 1e-60)},
            "row 0 (from 0) of augmented holds values that float32 does not hold",
        ),
        ({"is_query": np.zeros(36)}, "no test image is a query"),
        ({"is_query": np.ones(36)}, "no test image is in the gallery"),
        ({"augmented": np.zeros((36, 2, 4))}, "augmented has the shape [36, 2, 4]"),
        ({"class_names": np.array(["a", "b"])}, "2 class_names for 12 labels"),
        ({"labels": np.array([{}] * 36, dtype=object)}, "never unpickled"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, changes, reason):
    path = saved(tmp_path / "f.npz", **changes)
    with pytest.raises(Problem) as problem:
        read(path)
    assert reason in str(problem.value)
    assert str(path) in str(problem.value)
    assert "\n" not in str(problem.value)


class Bomb:
    """An object that leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (self.path.touch, ())


def test_a_pickle_in_the_place_of_arrays_is_never_run(tmp_path):
    bomb = Bomb(tmp_path / "ran")
    (tmp_path / "a.npz").write_bytes(pickle.dumps(bomb))
    np.save(tmp_path / "b.npy", np.array([bomb], dtype=object), allow_pickle=True)
    (tmp_path / "b.csv").write_text("label\n1\n")
    np.savez(tmp_path / "c.npz", features=np.array([bomb], dtype=object), labels=[1])
    for name in ("a.npz", "b.npy", "c.npz"):
        with pytest.raises(Problem, match=name):
            read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["f.npz", "f.npy", "f.parquet", "f.safetensors"])
def test_torn_and_missing_files_are_refused_in_one_line(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(Problem, match="there is no file"):
        read(tmp_path / name)
    (tmp_path / "f.csv").write_text("label\n1\n")
    whole = saved(tmp_path / "whole.npz").read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Problem, match="cannot be read"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no labels"),
        ("colour\n1\n", "a column `label`"),
        ("label,label\n1,1\n", "different"),
        ("label,group\n1\n", "row 2 has 1 columns"),
        ("", "a column `label`"),
    ],
)
def test_an_npy_needs_a_csv_with_a_label_a_row(tmp_path, text, reason):
    np.save(tmp_path / "f.npy", FLOATS)
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(Problem, match=reason):
        read(tmp_path / "f.npy")


def test_the_name_of_a_dataset_means_the_file_with_its_seed(tmp_path):
    path = saved(tmp_path / "f.npz")
    dataset = datasets.load(f"features:{path}+shuffle_classes=3", tmp_path, 0)
    assert isinstance(dataset.images, Features)
    assert dataset.class_names == read(path, shuffle=3)[0].class_names
    with pytest.raises(Problem, match="skip-bad"):
        datasets.load(f"features:{path}+skip_bad", tmp_path, 0)


def test_marks_of_queries_may_be_empty_in_the_trainval_half(tmp_path):
    marks = np.array([""] * 18 + ["true", "false"] * 9)
    dataset, _ = read(saved(tmp_path / "f.npz", is_query=marks))
    np.testing.assert_array_equal(dataset.is_query, marks == "true")


def test_rows_of_zeros_are_said(tmp_path):
    rows = np.where(np.isin(np.arange(36), (4, 9))[:, None], 0, FLOATS)
    _, lines = read(saved(tmp_path / "f.npz", features=rows))
    assert any("2 rows hold zeros only" in line and "4, 9" in line for line in lines)
