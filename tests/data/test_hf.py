"""hf:NAME through the package datasets, on data sets in its own on-disk format."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data import datasets
from harness.data.datasets import hf
from harness.records import folder
from harness.schema import Dataset, Problem
from tests.data import miniatures
from tests.made import call

SIDE = 16


def load(source: Path, data: Path, end: str = "") -> Dataset:
    return datasets.load.__wrapped__(f"hf:{source}{end}", data, SIDE, lambda line: None)


def encoded(label: int, number: int) -> bytes:
    file = io.BytesIO()
    miniatures.picture(label, number).save(file, "PNG")
    return file.getvalue()


def rows(labels: Sequence[int], per_class: int = 3) -> dict[str, list[Any]]:
    numbered = [(label, number) for label in labels for number in range(per_class)]
    return {
        "image": [{"bytes": encoded(*pair), "path": None} for pair in numbered],
        "label": [label for label, _ in numbered],
    }


def test_without_the_package_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    code, _, err = call("data", "verify", f"hf:{tmp_path}", "--data", tmp_path / "data")
    assert code == 2
    assert "pip install datasets" in err
    assert err.count("\n") == 1


def test_columns_and_configurations_are_part_of_the_name_and_of_hf_alone(tmp_path: Path) -> None:
    assert folder.folder_of(tmp_path, "s", "hf:tanganke/birds:small").name.startswith("hf-birds_sm")
    words = ("data", "verify", f"folder:{tmp_path}", "--label-column", "bird")
    assert "--label-column is for hf:NAME" in call(*words)[2]
    code, _, err = call("study", "--dataset", "cub", "--image-column", "photo", "--data", tmp_path)
    assert (code, "--image-column is for hf:NAME" in err) == (2, True)


def test_records_of_a_hub_name_lie_in_one_place_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder.folder_of(tmp_path, "s", "hf:user/birds")
    monkeypatch.chdir(tmp_path)
    assert folder.folder_of(tmp_path, "s", "hf:user/birds") == place


@pytest.fixture
def package() -> Any:
    return pytest.importorskip("datasets")


@pytest.fixture
def save(tmp_path: Path, package: Any) -> Callable[..., Path]:
    """Writes splits by save_to_disk: each one the numbers of its classes, or its rows."""

    def saved(splits: dict[str, Any], features: Any = None) -> Path:
        labels = package.ClassLabel(names=[f"bird {9 - number}" for number in range(10)])
        features = features or {"image": package.Image(), "label": labels}
        tables = {
            name: package.Dataset.from_dict(
                value if isinstance(value, dict) else rows(value), package.Features(features)
            )
            for name, value in splits.items()
        }
        package.DatasetDict(tables).save_to_disk(tmp_path / "saved")
        return tmp_path / "saved"

    return saved


def test_disjoint_splits_are_the_halves_and_pixels_are_the_images(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    dataset = load(save({"train": [0, 1, 2, 3], "test": [4, 5, 8]}), tmp_path / "data")
    assert dataset.class_names == tuple(f"bird {9 - number}" for number in (0, 1, 2, 3, 4, 5, 8))
    np.testing.assert_array_equal(dataset.labels, np.arange(21) // 3)
    np.testing.assert_array_equal(dataset.is_test, np.arange(21) >= 12)
    for i, label in enumerate(np.repeat([0, 1, 2, 3, 4, 5, 8], 3)):
        image = Image.open(io.BytesIO(encoded(int(label), i % 3))).convert("RGB")
        width, height = image.size
        size = (
            (SIDE, int(SIDE * height / width))
            if width <= height
            else (int(SIDE * width / height), SIDE)
        )
        expected = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(dataset.images[i], expected)


def test_a_copy_has_the_same_fingerprint_and_other_labels_have_another(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    first = save({"train": [0, 1, 2, 3], "test": [4, 5, 8]})
    one = load(first, tmp_path / "data").fingerprint
    first.rename(tmp_path / "copy")
    assert load(tmp_path / "copy", tmp_path / "other").fingerprint == one
    content = rows([0, 1, 2, 3])
    content["label"][0] = 1
    second = save({"train": content, "test": [4, 5, 8]})
    assert load(second, tmp_path / "data").fingerprint != one


def test_splits_with_common_classes_are_put_together_and_said(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    listing = hf.listing(save({"train": range(10), "validation": [0, 9]}))
    assert len(listing) == 36
    names = {listing.class_names[label] for label in listing.labels[listing.is_test]}
    assert names == {f"bird {number}" for number in range(5)}
    note = " ".join(listing.notes)
    assert "train, validation are put together, for 2 of 10 classes are in both" in note
    shuffled = hf.listing(tmp_path / "saved", shuffle=1)
    assert shuffled.class_names != listing.class_names


def test_rows_without_a_label_are_left_out_and_counted(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    unlabelled = rows([4, 5, 6])
    unlabelled["label"][2:5] = [-1, None, -1]
    listing = hf.listing(save({"train": [0, 1, 2], "test": unlabelled}))
    assert len(listing) == 9 + 6
    assert "test/2" not in listing.paths
    assert "test/5" in listing.paths
    assert any(note.startswith("3 rows without a label") for note in listing.notes)


def test_splits_with_class_names_of_their_own_have_the_classes_of_all(
    tmp_path: Path, package: Any
) -> None:
    tables = {}
    for split, names in (("train", ["a", "b"]), ("test", ["c", "d"])):
        features = {"image": package.Image(), "label": package.ClassLabel(names=names)}
        tables[split] = package.Dataset.from_dict(rows([0, 1]), package.Features(features))
    package.DatasetDict(tables).save_to_disk(tmp_path / "saved")
    listing = hf.listing(tmp_path / "saved")
    assert listing.class_names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(listing.labels, np.arange(12) // 3)
    np.testing.assert_array_equal(listing.is_test, np.arange(12) >= 6)


def test_a_split_without_the_column_is_named_and_an_empty_label_is_none(
    tmp_path: Path, package: Any
) -> None:
    features = package.Features({"image": package.Image(), "label": package.Value("string")})
    content = rows([0, 1, 2, 3])
    content["label"] = [f"class {number}" for number in content["label"]]
    content["label"][0] = " "
    table = package.Dataset.from_dict(content, features)
    package.DatasetDict({"train": table}).save_to_disk(tmp_path / "texts")
    listing = hf.listing(tmp_path / "texts")
    assert len(listing) == 11
    assert any(note.startswith("1 rows without a label") for note in listing.notes)
    other = table.remove_columns("label")
    package.DatasetDict({"train": table, "test": other}).save_to_disk(tmp_path / "lacking")
    with pytest.raises(Problem, match="its split test has no column 'label'"):
        hf.listing(tmp_path / "lacking")


def test_columns_that_cannot_be_told_apart_are_named_and_can_be_given(
    tmp_path: Path, package: Any, save: Callable[..., Path]
) -> None:
    content = rows([0, 1, 2, 3])
    content = {
        "photo": content["image"],
        "mask": content["image"][::-1],
        "species": [f"s{label}" for label in content["label"]],
        "sex": [label % 2 for label in content["label"]],
    }
    features = {
        **dict.fromkeys(("photo", "mask"), package.Image()),
        "species": package.Value("string"),
        "sex": package.Value("int64"),
    }
    source = save({"train": content}, features)
    with pytest.raises(Problem, match=r"which column is the image .*photo \(Image\), mask"):
        hf.listing(source)
    words = ("data", "cache", f"hf:{source}", "--resize", SIDE, "--data", tmp_path / "data")
    code, _, err = call(*words, "--image-column", "photo")
    assert (code, "give --label-column NAME" in err) == (2, True)
    code, out, _ = call(*words, "--image-column", "photo", "--label-column", "species")
    assert code == 0
    dataset = load(source, tmp_path / "data", "+image_column=photo+label_column=species")
    assert dataset.fingerprint == out.split()[-1]
    assert dataset.class_names == ("s0", "s1", "s2", "s3")
    with pytest.raises(Problem, match="no column 'colour'"):
        hf.listing(source, image_column="photo", label_column="colour")
    with pytest.raises(Problem, match=r"the column sex holds no images but Value\('int64'\).*give"):
        hf.listing(source, image_column="sex", label_column="species")


def test_a_number_that_is_none_is_no_label(
    tmp_path: Path, package: Any, save: Callable[..., Path]
) -> None:
    content = rows([0, 1, 2, 3])
    content["label"][4] = float("nan")
    features = {"image": package.Image(), "label": package.Value("float32")}
    listing = hf.listing(save({"train": content}, features))
    assert (len(listing), listing.class_names) == (11, ("0.0", "1.0", "2.0", "3.0"))
    assert any(note.startswith("1 rows without a label") for note in listing.notes)


def test_images_that_cannot_be_decoded_are_named_and_can_be_skipped(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    content = rows([0, 1, 2, 3])
    content["image"][4] = {"bytes": b"no image", "path": None}
    content["image"][7] = None
    source = save({"train": content})
    with pytest.raises(Problem, match=r"2 of 12 images.*train/4 .*train/7 .*--skip-bad"):
        load(source, tmp_path / "data")
    dataset = load(source, tmp_path / "data", "+skip_bad")
    assert len(dataset.images) == 10
    np.testing.assert_array_equal(np.bincount(dataset.labels), [3, 2, 2, 3])


def test_images_may_be_files_beside_the_rows(
    tmp_path: Path, package: Any, save: Callable[..., Path]
) -> None:
    content = rows([0, 1, 2, 3])
    for i, cell in enumerate(content["image"]):
        (tmp_path / f"{i}.png").write_bytes(cell["bytes"])
        content["image"][i] = {"bytes": None, "path": str(tmp_path / f"{i}.png")}
    features = package.Features(
        {"image": package.Image(), "label": package.ClassLabel(num_classes=4)}
    )
    table = package.Dataset.from_dict(content, features)
    listing = hf.listing(save({"train": rows([0, 1, 2, 3])}))
    hf_split = hf.Split("train", table, np.arange(12), ["x"] * 12)
    contents = hf.contents_of([hf_split], "image", package, tmp_path)
    assert contents(5) == tmp_path / "5.png"
    assert listing.contents is not None
    assert listing.contents(5) == (tmp_path / "5.png").read_bytes()


def test_a_folder_of_parquet_files_is_loaded_as_on_the_hub(
    tmp_path: Path, package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = package.Features(
        {"image": package.Image(), "label": package.ClassLabel(num_classes=4)}
    )
    table = package.Dataset.from_dict(rows([0, 1, 2, 3]), features)
    (tmp_path / "hub").mkdir()
    table.to_parquet(tmp_path / "hub" / "train-00000-of-00001.parquet")
    dataset = load(tmp_path / "hub", tmp_path / "data")
    assert (len(dataset.images), len(dataset.class_names)) == (12, 4)
    with pytest.raises(Problem, match="cannot be loaded"):
        hf.listing(tmp_path / "hub", config="small")


def test_what_is_no_data_set_is_refused_in_one_line(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    (tmp_path / "empty").mkdir()
    for source, pattern in ((tmp_path / "empty", "cannot be loaded"), (tmp_path / "no", "no such")):
        with pytest.raises(Problem, match=pattern) as caught:
            hf.listing(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(Problem, match="has no configurations"):
        hf.listing(save({"train": [0, 1]}), config="small")
