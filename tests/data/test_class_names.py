"""A class is one class however its name is spelled; halves are told from classes."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from harness.data import embedding_files
from harness.data.datasets import folder, hf
from harness.schema import Problem
from tests.data import miniatures
from tests.made import call, images

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def halved(root: Path, **halves: str) -> Path:
    """ROOT/HALF/CLASS with two images of every class; its classes are letters, or one is CAFE."""
    for half, names in halves.items():
        for name in names.split(","):
            (root / half / name).mkdir(parents=True)
            for number in range(2):
                miniatures.save(root / half / name / f"{number}.png", miniatures.picture(3, number))
    return root


@pytest.mark.parametrize(("one", "other"), [(NFC, NFD), ("cat", "cat ")])
def test_a_class_in_both_halves_is_refused_in_whatever_spelling(
    tmp_path: Path, one: str, other: str
) -> None:
    root = halved(tmp_path, train=f"a,b,{one}", test=f"d,e,{other}")
    with pytest.raises(Problem, match="lies in the train and in the test half"):
        folder.listing(root)


def test_two_spellings_within_a_half_are_one_class_and_said(tmp_path: Path) -> None:
    root = halved(tmp_path, train=f"a,b,{NFC}", val=f"{NFD},c", test="d,e")
    listing = folder.listing(root)
    assert [unicodedata.normalize("NFC", name) for name in listing.class_names] == [
        *("a", "b", "c", NFC, "d", "e")
    ]
    assert np.bincount(listing.labels).tolist() == [2, 2, 2, 4, 2, 2]
    assert any("1 folders join a class of a name that looks the same" in n for n in listing.notes)


def test_labels_of_features_and_of_score_are_one_class_in_either_spelling(tmp_path: Path) -> None:
    names = [NFC, NFD, "b", "b ", "c", "c", "d", "d"]
    np.savez(tmp_path / "f.npz", features=np.eye(8), labels=np.array(names))
    code, out, err = call("data", "verify", f"features:{tmp_path / 'f.npz'}")
    assert (code, "(2 classes); test" in out) == (0, True), err
    read = embedding_files.labels_of({"label": names}, tmp_path, sha256="")
    assert read.labels.tolist() == [2, 2, 0, 0, 1, 1, 3, 3]


def test_splits_of_a_hugging_face_data_set_share_a_class_in_either_spelling() -> None:
    rows = np.arange(4)
    splits = [
        hf.Split("train", None, rows, ["cat", "cat", NFC, NFC]),
        hf.Split("test", None, rows, ["cat ", "dog", NFD, "dog"]),
    ]
    train, test = hf._with_one_spelling(splits, ["cat", "dog", "cat ", NFC, NFD])
    assert train.classes == ["cat", "cat", NFC, NFC]
    assert test.classes == ["cat", "dog", NFC, "dog"]


def test_beside_train_and_test_no_other_folder_may_hold_images(tmp_path: Path) -> None:
    root = halved(tmp_path / "birds", train="a,b,c", test="d,e,f", val="x,y,z")
    listing = folder.listing(root)
    assert "".join(listing.class_names) == "abcdefxyz"
    images(root / "unlabeled", classes=1)
    with pytest.raises(Problem, match="beside them unlabeled, with images of neither half: move"):
        folder.listing(root)
    shutil.rmtree(root / "unlabeled")
    (root / "notes" / "old").mkdir(parents=True)
    (root / "notes" / "old" / "readme.txt").write_text("no image")
    listing = folder.listing(root)
    assert "".join(listing.class_names) == "abcdefxyz"
    assert any("hold no images and are no classes: notes" in note for note in listing.notes)


def test_a_half_without_class_folders_is_refused_beside_other_folders_too(tmp_path: Path) -> None:
    root = halved(tmp_path / "birds", train="a,b,c", unlabeled="u")
    images(root / "test", classes=1)
    for path in (root / "test").rglob("*.png"):
        path.rename(root / "test" / path.name)
    shutil.rmtree(root / "test" / "class_00")
    with pytest.raises(Problem, match=r"test in .* looks like a half of the split and holds no"):
        folder.listing(root)


def test_classes_that_are_called_train_and_test_stay_classes(tmp_path: Path) -> None:
    root = images(tmp_path / "words", classes=4)
    for number, name in enumerate(("train", "test", "bus")):
        (root / f"class_0{number}").rename(root / name)
    assert set(folder.listing(root).class_names) == {"train", "test", "bus", "class_03"}
